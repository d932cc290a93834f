"""The parquet that DATA names: its objects, and the checks that need no stack."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from functions.common.dimensions import DimensionError, combine
from functions.refresh.counting.cleaning import ObjectError, clean, dictionary_encode
from functions.refresh.reading.dataset import is_in_dataset
from functions.refresh.reading.description import describe
from functions.refresh.reading.parquet_file import Columns, open_parquet
from infra import ROOT
from infra.families import FAMILIES_FILE, shipped_families
from infra.local.processes import LocalError
from infra.local.stack import PREFIX

MAX_COUNTRIES = 50
"""How many countries are published by default, those with the most records."""

_UNREADABLE = (ObjectError, pa.ArrowException, OSError, UnicodeDecodeError)


def objects_of(data: str) -> dict[str, Path]:
    """Name the objects that DATA stands for: one file, several separated by spaces, or folders with all that they hold.

    Raises
    ------
    LocalError
        When none of them would be counted, or a file that is named would not.
    """
    if not data.strip():
        raise LocalError("DATA is missing: name a parquet file, several, or a folder by DATA=path/to/vouchers.parquet")
    whole = Path(data).expanduser()
    named = [whole] if whole.exists() else [Path(word).expanduser() for word in data.split()]
    objects: dict[str, Path] = {}
    for number, path in enumerate(named):
        if not path.exists():
            raise LocalError(f"DATA: there is no {path}")
        files = {path.name: path} if path.is_file() else _files_in(path)
        if path.is_file() and not is_in_dataset(path.name, ""):
            raise LocalError(f"DATA: {path} is not named *.parquet, so it would not be counted")
        # If names repeat, each entry of DATA gets a folder of its own.
        folder = f"{PREFIX}{number}/" if any(PREFIX + name in objects for name in files) else PREFIX
        objects.update({folder + name: file for name, file in files.items()})
    if not counted_of(objects):
        raise LocalError(f"DATA: no *.parquet file in {data}")
    return objects


def _files_in(folder: Path) -> dict[str, Path]:
    return {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}


def counted_of(objects: Iterable[str]) -> list[str]:
    """Return the keys of those objects that are part of the dataset."""
    return [key for key in objects if is_in_dataset(key, PREFIX)]


def check_footers(objects: Mapping[str, Path]) -> None:
    """Check that every file of the dataset is parquet with the needed columns, of types that can be read.

    Raises
    ------
    LocalError
        When one is not; the message names each.
    """
    columns = _needed_columns()
    faults = []
    for key in counted_of(objects):
        size = objects[key].stat().st_size
        try:
            if size == 0:
                raise ObjectError("is empty")
            with objects[key].open("rb") as file:
                describe(file, size, columns).check()
        except _UNREADABLE as error:
            what = "" if isinstance(error, ObjectError) else "is no readable parquet: "
            faults.append(f"{objects[key]}: {what}{error}")
    if faults:
        raise LocalError(f"DATA: {'; '.join(faults)}. make explore DATA=... tells more")


def _needed_columns() -> Columns:
    """Return the needed columns that can be known without a database to load the families' file."""
    try:
        return combine(shipped_families().values()).columns
    except DimensionError as error:
        raise LocalError(f"{FAMILIES_FILE.relative_to(ROOT)}: {error}") from error


def countries_of(objects: Mapping[str, Path]) -> list[str]:
    """Return the countries that occur in the files of the dataset, those with the most rows first."""
    rows: Counter[str] = Counter()
    for key in counted_of(objects):
        try:
            for batch in open_parquet(objects[key]).iter_batches(columns=["country_code"]):
                rows.update(_rows_by_country(batch.column(0)))
        except _UNREADABLE:
            continue  # reading it takes more, as the refresh function does
    return [name for name, _ in rows.most_common()]


def _rows_by_country(column: pa.Array) -> dict[str, int]:
    distinct = dictionary_encode(column, "country")
    names = clean(distinct.dictionary, "country_code", "country")
    counts = np.bincount(distinct.indices.drop_null().to_numpy(), minlength=len(names))
    return {name: int(count) for name, count in zip(names, counts, strict=True) if isinstance(name, str) and count}
