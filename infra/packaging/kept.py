"""Packages as archives, kept by what they are built from: the same inputs are built once."""

import fcntl
import hashlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from infra import ROOT
from infra.packaging.build import AUTHORITIES_LOCK, PACKAGES, build, sources
from infra.packaging.folder import archived

KEPT = ROOT / ".local" / "packages"
"""Where they are kept."""

# For each function. A build that runs at the same time may still need the previous archive.
_MOST_KEPT = 2


def kept_package(name: str, *, runtime: str, architecture: str, system: str) -> Path:
    """Return a function's archive, built only if there is none of the same inputs.

    Parameters
    ----------
    name : {'refresh', 'migrate', 'lookup'}
        The function.
    runtime, architecture, system : str
        What it is built for: see `infra.packaging.build.build`.

    Raises
    ------
    BuildError
        When it cannot be built.
    """
    inputs = _hash_of_inputs(name, runtime, architecture, system)
    archive = KEPT / f"{name}-{inputs}.zip"
    if archive.exists():
        os.utime(archive)
        return archive
    KEPT.mkdir(parents=True, exist_ok=True)
    with (KEPT / f".{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another process may be building the same
        if not archive.exists():
            _keep(name, archive, runtime=runtime, architecture=architecture, system=system)
    return archive


def _keep(name: str, archive: Path, *, runtime: str, architecture: str, system: str) -> None:
    with tempfile.TemporaryDirectory(dir=KEPT, prefix=f".{name}-") as temporary:
        package = Path(temporary, name)
        build(name, package, runtime=runtime, architecture=architecture, system=system)
        unfinished = Path(temporary, "archive")
        # Little compression: it is read on this machine, once.
        unfinished.write_bytes(archived(package, level=1))
        unfinished.replace(archive)
    for old in sorted(KEPT.glob(f"{name}-*.zip"), key=lambda path: path.stat().st_mtime)[:-_MOST_KEPT]:
        old.unlink(missing_ok=True)


def _hash_of_inputs(name: str, *target: str) -> str:
    """Return a hash of a package's inputs: its target, the build itself, our code and the locked requirements."""
    digest = hashlib.sha256(repr((name, *target, sys.version)).encode())
    for path in _inputs(name):
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:32]


def _inputs(name: str) -> Iterator[Path]:
    yield ROOT / PACKAGES[name].lock
    yield ROOT / AUTHORITIES_LOCK
    yield from sorted(Path(__file__).parent.glob("*.py"))
    for source in PACKAGES[name].sources:
        yield from sources(ROOT / source)
