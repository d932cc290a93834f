"""What the stack needs besides its two functions."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
"""The checkout."""
