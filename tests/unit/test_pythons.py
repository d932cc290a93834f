"""Fetching a Python: what cannot be fetched is refused with a remedy. `make test-runtimes` fetches and runs them."""

from pathlib import Path

import pytest

from infra.packaging.errors import BuildError
from infra.packaging.pythons import fetch_python


def test_a_version_that_debian_does_not_have_is_refused_before_anything_is_removed(tmp_path: Path) -> None:
    (tmp_path / "earlier").touch()
    with pytest.raises(BuildError, match=r"Python 3\.12 is not fetched, only 3\.13, 3\.14: install it"):
        fetch_python("3.12", tmp_path)
    assert (tmp_path / "earlier").exists()


def test_a_machine_without_debians_packages_is_told_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BuildError, match=r"no Python 3\.14 on this machine.*install python3\.14 so that it is on PATH"):
        fetch_python("3.14", tmp_path / "python")
