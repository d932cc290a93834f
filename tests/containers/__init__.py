"""LocalStack and PostgreSQL in containers, with a real engine: `make test-containers`."""
