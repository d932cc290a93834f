"""What the stack needs besides its two functions."""
