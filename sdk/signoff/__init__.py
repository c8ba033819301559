"""Put a human decision in front of a risky action, and never lose it."""
