"""Use cases: the only writers. Each is a few lines over `execute.py`."""
