"""Fixtures of all tiers: a real PostgreSQL for the session."""

from collections.abc import Iterator

import pytest

from infra.local.postgres import DatabaseAddress, Postgres, start_postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[DatabaseAddress]:
    """Run an embedded PostgreSQL."""
    folder, address = start_postgres()
    yield address
    Postgres(folder).stop()
