"""The files of a release: `python -m infra.packaging.release v1.2.3 FOLDER`.

They are every package for both processors, their checksums, and the version's section of CHANGELOG.md. The release
workflow (.github/workflows/release.yml) calls it for a tag and publishes the folder.
"""

import hashlib
import re
import sys
import tempfile
from pathlib import Path

from functions import __version__
from infra import ROOT
from infra.packaging.build import ARCHITECTURES, DEFAULT_RUNTIME, PACKAGES, build
from infra.packaging.errors import BuildError
from infra.packaging.folder import archived

NOTES = "notes.md"
"""The file with the version's section of CHANGELOG.md."""

CHECKSUMS = "SHA256SUMS"
"""The file that `sha256sum --check` takes."""


def read_changes(changelog: str) -> dict[str, str]:
    """Return the sections of a changelog in their order, by the version in their heading or `Unreleased`."""
    parts = re.split(r"^## \[([^\]]+)\].*\n", changelog, flags=re.MULTILINE)
    return {version: text.strip() for version, text in zip(parts[1::2], parts[2::2], strict=True)}


def check_release(tag: str, version: str, changelog: str) -> str:
    """Return what is new in the release that a tag names.

    Parameters
    ----------
    tag : str
        Such as `v1.2.3`.
    version : str
        The version in the code.
    changelog : str
        The text of CHANGELOG.md.

    Returns
    -------
    str
        The version's section.

    Raises
    ------
    BuildError
        When tag, version and changelog do not agree; the message says what to do.
    """
    if tag != f"v{version}":
        raise BuildError(f"the tag is {tag!r}, but functions/__init__.py has the version {version}: tag v{version}")
    changes = read_changes(changelog)
    if not changes.get(version):
        raise BuildError(f"CHANGELOG.md has nothing about {version}: add a section '## [{version}] - its day'")
    if changes.get("Unreleased"):
        raise BuildError(f"CHANGELOG.md has changes under Unreleased: move them to the section of {version}")
    return changes[version]


def write_archive(name: str, architecture: str, folder: Path) -> None:
    """Build a function's package for a processor, and put its archive into a folder.

    Raises
    ------
    BuildError
        When the package is over its limit.
    """
    with tempfile.TemporaryDirectory() as package:
        build(name, Path(package), runtime=DEFAULT_RUNTIME, architecture=architecture)
        archive = archived(Path(package))
    (folder / f"voucher-segmenter-{__version__}-{name}-{DEFAULT_RUNTIME}-{architecture}.zip").write_bytes(archive)


def write_checksums(folder: Path) -> None:
    """Write down the checksum of every archive of a folder."""
    archives = sorted(folder.glob("*.zip"))
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in archives]
    (folder / CHECKSUMS).write_text("".join(lines))


def main() -> None:
    """Make the files of the release that the command line names."""
    tag, folder = sys.argv[1], Path(sys.argv[2])
    try:
        notes = check_release(tag, __version__, (ROOT / "CHANGELOG.md").read_text())
        folder.mkdir(parents=True, exist_ok=True)
        (folder / NOTES).write_text(notes + "\n")
        for name in PACKAGES:
            for architecture in ARCHITECTURES:
                write_archive(name, architecture, folder)
        write_checksums(folder)
    except BuildError as error:
        sys.exit(f"{tag}: {error}")
    print((folder / CHECKSUMS).read_text(), end="")


if __name__ == "__main__":
    main()
