"""Turn rows into usage: clean, encode and count them, and keep the rejected ones apart."""
