"""Code that the functions share: settings, the database, days and segments."""
