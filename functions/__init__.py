"""The refresh and the migrate function, and the code that they share with the lookup API."""

__version__ = "0.1.0"
"""The newest release in CHANGELOG.md, shown by `GET /health` and every line of the refresh function's log."""
