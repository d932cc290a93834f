"""Locks and Lambda packages."""
