"""The refresh function, and what it shares with the lookup API."""
