"""A release: tag, version and changelog agree, and its files are the same wherever they are made."""

import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from functions import __version__
from infra.packaging.errors import BuildError
from infra.packaging.release import check_release, read_changes, write_archive, write_checksums
from tests.support import ROOT

CHANGELOG = """# Changelog

## [Unreleased]

## [1.2.0] - 2026-12-01

### Added

- More.

## [1.1.0] - 2026-11-24

- Less.
"""


def test_the_newest_section_of_the_changelog_is_the_version() -> None:
    changes = read_changes((ROOT / "CHANGELOG.md").read_text())
    unreleased, newest, *older = changes
    assert (unreleased, newest) == ("Unreleased", __version__)
    versions = [tuple(map(int, version.split("."))) for version in (newest, *older)]
    assert versions == sorted(versions, reverse=True)
    assert all(len(version) == 3 for version in versions)
    assert all(changes[version] for version in (newest, *older))


def test_a_release_says_what_is_new_in_it() -> None:
    assert check_release("v1.2.0", "1.2.0", CHANGELOG) == "### Added\n\n- More."
    assert check_release("v1.1.0", "1.1.0", CHANGELOG) == "- Less."


@pytest.mark.parametrize(
    ("tag", "version", "changelog", "says"),
    [
        ("v1.2.1", "1.2.0", CHANGELOG, "functions/__init__.py has the version 1.2.0: tag v1.2.0"),
        ("1.2.0", "1.2.0", CHANGELOG, "tag v1.2.0"),
        ("v1.3.0", "1.3.0", CHANGELOG, "has nothing about 1.3.0"),
        ("v1.2.0", "1.2.0", CHANGELOG.replace("### Added\n\n- More.\n", ""), "has nothing about 1.2.0"),
        ("v1.2.0", "1.2.0", CHANGELOG.replace("[Unreleased]\n", "[Unreleased]\n\n- Even more.\n"), "under Unreleased"),
    ],
)
def test_tag_version_and_changelog_that_disagree_are_refused(tag: str, version: str, changelog: str, says: str) -> None:
    with pytest.raises(BuildError, match=says):
        check_release(tag, version, changelog)


def test_a_wrong_tag_makes_no_files(tmp_path: Path) -> None:
    folder = tmp_path / "release"
    command = [sys.executable, "-m", "infra.packaging.release", "v0.0.0", str(folder)]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("v0.0.0: the tag is 'v0.0.0'")
    assert not folder.exists()


@pytest.fixture
def move_to(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Change the zone of this process, until the test is over."""

    def move(zone: str) -> None:
        monkeypatch.setenv("TZ", zone)
        time.tzset()

    yield move
    monkeypatch.undo()
    time.tzset()


def test_an_archive_is_the_same_wherever_it_is_made_and_its_checksum_is_there(
    tmp_path: Path, move_to: Callable[[str], None]
) -> None:
    # When the same package is archived twice, in other zones
    for name, zone in (("one", "Asia/Tokyo"), ("other", "America/Lima")):
        move_to(zone)
        (tmp_path / name).mkdir()
        write_archive("lookup", "arm64", tmp_path / name)
        write_checksums(tmp_path / name)
    # Then archive and checksum are the same
    file = f"voucher-segmenter-{__version__}-lookup-python3.14-arm64.zip"
    one, other = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("one", "other"))
    assert set(one) == {file, "SHA256SUMS"}
    assert one == other
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=tmp_path / "one", check=True)
    # And Lambda may read what is in it
    with zipfile.ZipFile(tmp_path / "one" / file) as archive:
        assert {"app.py", "chalicelib/openapi.json", "functions/__init__.py"} <= set(archive.namelist())
        assert {entry.external_attr >> 16 for entry in archive.infolist()} == {0o100644}
