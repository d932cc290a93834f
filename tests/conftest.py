"""Fixtures of all tiers: a real PostgreSQL for the session."""

import os
from collections.abc import Iterator

import pytest

from infra.local.postgres import DatabaseAddress, Postgres, read_address, start_postgres

# No tests, and some of it needs libraries of an environment of its own.
collect_ignore = ["benchmarks", "mutants"]


@pytest.fixture(scope="session")
def postgres() -> Iterator[DatabaseAddress]:
    """Run an embedded PostgreSQL, or take the one that `make mutants` runs for all of its forks."""
    if url := os.environ.get("TEST_POSTGRES"):
        yield read_address(url)
        return
    folder, address = start_postgres()
    yield address
    Postgres(folder).stop()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep together what shares something expensive: a running stack, built packages, the fixtures of a file."""
    for item in items:
        shared = {"stack", "packages"} & set(getattr(item, "fixturenames", ()))
        item.add_marker(pytest.mark.xdist_group(min(shared, default=item.nodeid.partition("::")[0])))
