"""The parquet that DATA names: its objects, and the checks that need no stack."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa

from functions.common.dimensions import DimensionError, combine
from functions.refresh.counting.cleaning import ObjectError, clean, dictionary_encode
from functions.refresh.ledger import schema
from functions.refresh.reading.dataset import MAX_KEY_BYTES, is_in_dataset
from functions.refresh.reading.description import check_file
from functions.refresh.reading.parquet_file import Columns, errors_of
from functions.refresh.reading.row_groups import read_groups
from infra import ROOT
from infra.families import shipped_families
from infra.local.processes import LocalError
from infra.local.stack import PREFIX

MAX_COUNTRIES = 50
"""How many countries are published by default, those with the most records."""


def objects_of(data: str) -> dict[str, Path]:
    """Name the objects that DATA stands for: one file, several separated by spaces, or folders with all that they hold.

    Raises
    ------
    LocalError
        When none of them would be counted, a file that is named would not, or one cannot be an object.
    """
    if not data.strip():
        raise LocalError("DATA is missing: name a parquet file, several, or a folder by DATA=path/to/vouchers.parquet")
    try:
        objects = _find_objects(data)
    except (OSError, RuntimeError) as error:  # RuntimeError: the home directory of an unknown user
        raise LocalError(f"DATA: {error}") from error
    for key, path in objects.items():
        _check_can_be_put(key, path)
    if not counted_of(objects):
        raise LocalError(f"DATA: no *.parquet file in {data}")
    return objects


def _find_objects(data: str) -> dict[str, Path]:
    whole = Path(data).expanduser()
    named = [whole] if _exists(whole) else [Path(word).expanduser() for word in data.split()]
    objects: dict[str, Path] = {}
    for number, path in enumerate(named):
        if not _exists(path):
            raise LocalError(f"DATA: there is no {path}")
        files = {path.name: path} if path.is_file() else _files_in(path)
        if path.is_file() and not is_in_dataset(path.name, ""):
            raise LocalError(f"DATA: {path} is not named *.parquet, so it would not be counted")
        # If names repeat, each entry of DATA gets a folder of its own.
        folder = f"{PREFIX}{number}/" if any(PREFIX + name in objects for name in files) else PREFIX
        objects.update({folder + name: file for name, file in files.items()})
    return objects


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # several names are together longer than a path may be
        return False


def _check_can_be_put(key: str, path: Path) -> None:
    try:
        length = len(key.encode())
    except UnicodeEncodeError as error:
        raise LocalError(f"DATA: {str(path)!a}: keys of S3 are UTF-8: rename it") from error
    if length > MAX_KEY_BYTES:
        raise LocalError(f"DATA: {path}: its key would have {length:,} bytes, and S3 takes {MAX_KEY_BYTES:,}")
    if not os.access(path, os.R_OK):
        raise LocalError(f"DATA: {path}: there is no permission to read it")


def _files_in(folder: Path) -> dict[str, Path]:
    return {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}


def counted_of(objects: Iterable[str]) -> list[str]:
    """Return the keys of those objects that are part of the dataset."""
    return [key for key in objects if is_in_dataset(key, PREFIX)]


def check_files(objects: Mapping[str, Path]) -> None:
    """Check that every file of the dataset is parquet with the needed columns, of types that can be read.

    Raises
    ------
    LocalError
        When one is not; the message names each.
    """
    columns = _needed_columns()
    faults = []
    for key in counted_of(objects):
        try:
            with errors_of(key), _opened(objects[key]) as (file, size):
                check_file(file, size, columns)
        except ObjectError as error:
            faults.append(f"{objects[key]}: {error}")
    if faults:
        raise LocalError(f"DATA: {'; '.join(faults)}. make explore DATA=... shows more")


def _needed_columns() -> Columns:
    """Return the needed columns, read from the families' file without a database that loads it."""
    try:
        return combine(shipped_families().values()).columns
    except DimensionError as error:
        raise LocalError(f"{schema.FAMILIES_FILE.relative_to(ROOT)}: {error}") from error


def countries_of(objects: Mapping[str, Path]) -> list[str]:
    """Return the countries that occur in the files of the dataset, those with the most rows first."""
    columns: Columns = {"country_code": "country"}
    rows: Counter[str] = Counter()
    for key in counted_of(objects):
        # Files that cannot be read are left out: the refresh function refuses them and says why.
        with suppress(ObjectError), errors_of(key), _opened(objects[key]) as (file, size):
            description = check_file(file, size, columns)
            for batch in read_groups(file, description, range(description.metadata.num_row_groups)):
                rows.update(_rows_by_country(batch.records.column(0)))
    return [name for name, _ in rows.most_common()]


@contextmanager
def _opened(path: Path) -> Iterator[tuple[IO[bytes], int]]:
    """Open a file for the refresh function's own code."""
    size = path.stat().st_size
    if size == 0:
        raise ObjectError("is empty (0 bytes)")
    with path.open("rb") as file:
        yield file, size


def _rows_by_country(column: pa.Array) -> dict[str, int]:
    distinct = dictionary_encode(column, "country")
    names = clean(distinct.dictionary, "country_code", "country")
    counts = np.bincount(distinct.indices.drop_null().to_numpy(), minlength=len(names))
    return {name: int(count) for name, count in zip(names, counts, strict=True) if isinstance(name, str) and count}
