"""The pure heart: no clock, no ids, no randomness, no I/O. Illegal input raises and changes nothing."""
