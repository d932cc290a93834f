"""The stack on one machine: an embedded PostgreSQL and an embedded emulator of AWS."""
