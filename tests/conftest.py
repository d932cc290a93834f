"""Fixtures of all tiers: a real PostgreSQL for the session."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra import ROOT
from infra.local.postgres import DatabaseAddress, Postgres, read_address, start_postgres
from tests.checkout import ELSEWHERE
from tests.families import pin_families
from tests.writers.files import PYTHON, write_files

# No tests, and some of it needs libraries of an environment of its own.
collect_ignore = ["benchmarks", "mutants", "writers"]

pin_families()

for elsewhere in [name for name in os.environ if name.startswith(ELSEWHERE)]:
    del os.environ[elsewhere]


@pytest.fixture(scope="session")
def postgres() -> Iterator[DatabaseAddress]:
    """Run an embedded PostgreSQL, or take the one that `make mutants` runs for all of its forks."""
    if url := os.environ.get("TEST_POSTGRES"):
        yield read_address(url)
        return
    folder, address = start_postgres()
    yield address
    Postgres(folder).stop()


@pytest.fixture(scope="session")
def foreign_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Have the same records written in every form by writers that are not ours; the files by their names."""
    if not PYTHON.exists():
        pytest.skip(f"the writers are not installed: make {PYTHON.parents[1].relative_to(ROOT)}/.ready")
    return write_files(tmp_path_factory.mktemp("foreign"))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep together what shares something expensive: a running stack, built packages, the fixtures of a file."""
    for item in items:
        shared = {"stack", "packages", "report_pages"} & set(getattr(item, "fixturenames", ()))
        item.add_marker(pytest.mark.xdist_group(min(shared, default=item.nodeid.partition("::")[0])))
