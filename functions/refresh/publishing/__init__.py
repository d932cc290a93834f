"""The published table and the most used amounts in it."""
