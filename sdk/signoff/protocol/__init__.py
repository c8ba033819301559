"""What both sides of the wire must agree on: pure, and the only part of the SDK that the backend imports."""
