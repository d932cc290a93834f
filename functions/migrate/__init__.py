"""The function that brings the database's schema up to date, signed in as the schema's administrator."""
