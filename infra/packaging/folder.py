"""A package's folder: the same content makes the same folder, wherever, whenever and by whom it is built."""

import hashlib
import io
import os
import shutil
import zipfile
from pathlib import Path

from infra.packaging.authorities import BUNDLE
from infra.packaging.errors import BuildError

# The second day that a zip archive can date: the first would be the year 1979 west of Greenwich.
_TIME = 315_619_200


def check_replaceable(folder: Path) -> None:
    """Refuse to overwrite anything but an earlier package.

    Raises
    ------
    BuildError
        When the folder holds something else.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / BUNDLE).exists():
        raise BuildError(f"{folder} holds something that is not a package: name a new folder, or an empty one")


def replace(folder: Path, finished: Path) -> None:
    """Move a finished package to where it belongs, in place of an earlier one.

    Files come in the order of their names, because archives are made in the order in which a file system lists
    them, and for many that is the order of creation. Modes and times are fixed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        if old.is_dir():
            shutil.rmtree(old)
        else:
            old.unlink()
    folders = {folder}
    for path in files(finished):
        target = folder / path.relative_to(finished)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.chmod(0o644)
        os.utime(path, (_TIME, _TIME))
        shutil.move(path, target)
        folders |= {parent for parent in target.parents if parent.is_relative_to(folder)}
    for path in folders:
        path.chmod(0o755)
        os.utime(path, (_TIME, _TIME))


def files(folder: Path) -> list[Path]:
    """Return every file of a folder, in the order of their names."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def content_hash(folder: Path) -> str:
    """Return a hash of the names and contents of all files."""
    digest = hashlib.sha256()
    for path in files(folder):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def size(folder: Path) -> int:
    """Return the bytes of all files."""
    return sum(path.stat().st_size for path in files(folder))


def archived(folder: Path, level: int | None = None) -> bytes:
    """Return an archive of all files, whose bytes follow from their names, their contents and the level alone."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in files(folder):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix())
            entry.external_attr = 0o100644 << 16  # a file that its owner may write and everybody read
            archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED, level)
    return buffer.getvalue()
