"""What both functions need, written once: settings, the database, days and segments."""
