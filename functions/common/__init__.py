"""Code that both functions share: settings, the database, days and segments."""
