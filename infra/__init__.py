"""Everything that the stack needs besides its functions."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
"""The checkout."""
