"""What happens without a request: the agenda's work, and the follower that wakes whoever a hint did not reach."""
