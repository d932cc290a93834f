"""The function that brings the database's schema up to date, as the user who may."""
