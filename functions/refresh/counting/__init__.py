"""Rows become usage: cleaned, encoded and counted; the rejected ones are kept apart."""
