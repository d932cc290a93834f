"""The refresh function, and what it shares with the lookup API."""

__version__ = "0.1.0"
"""Of the project: the newest release in CHANGELOG.md, told by `GET /health` and every line of the refresh's log."""
