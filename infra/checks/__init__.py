"""Checks of the templates before anything is deployed."""
