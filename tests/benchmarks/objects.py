"""The objects that are counted: the sample, repeated in another order for every row group."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from infra.sample.sample import make_sample
from tests.shipped import COLUMNS

_LEVELS = {"gzip": 1, "snappy": None, "zstd": 1}


class Layout(NamedTuple):
    """How records lie in a dataset.

    Attributes
    ----------
    rows : int
        Records of all objects together.
    codec : {'gzip', 'snappy', 'zstd'}
        What compresses them.
    objects : int
        Among how many objects they are divided.
    group_rows : int
        Records of a row group at most; by default those of the sample, whose row group is its only one.
    only_needed : bool
        Without the columns that nobody reads.
    """

    rows: int
    codec: str = "gzip"
    objects: int = 1
    group_rows: int = 511_427
    only_needed: bool = False

    @property
    def prefix(self) -> str:
        """Where the keys of the dataset begin."""
        columns = "needed" if self.only_needed else "all"
        return f"{self.codec}-{self.rows}-{self.objects}-{self.group_rows}-{columns}/"


def write_objects(bucket: Path, layout: Layout) -> int:
    """Write a dataset unless it is there, and return its bytes."""
    folder = bucket / layout.prefix
    if not folder.exists():
        unfinished = bucket.with_name("unfinished") / layout.prefix
        unfinished.mkdir(parents=True, exist_ok=True)
        each, rest = divmod(layout.rows, layout.objects)
        groups = _Records(layout.only_needed)
        for number in range(layout.objects):
            rows = each + (number < rest)
            write_parquet(unfinished / f"{number:05}.parquet", groups.take(rows, layout.group_rows), layout.codec)
        bucket.mkdir(exist_ok=True)
        unfinished.rename(folder)
    return sum(path.stat().st_size for path in folder.iterdir())


def write_parquet(path: Path, groups: Iterator[pa.Table], codec: str = "gzip") -> None:
    """Write one object, a row group for each table."""
    first = next(groups)
    options = {"compression": codec, "compression_level": _LEVELS[codec]}
    with pq.ParquetWriter(path, first.schema, **options) as writer:
        writer.write_table(first, row_group_size=first.num_rows)
        for group in groups:
            writer.write_table(group, row_group_size=group.num_rows)


class _Records:
    """The sample's records over and over, in random order."""

    def __init__(self, only_needed: bool) -> None:
        sample = make_sample()
        self._sample = (sample.select(COLUMNS) if only_needed else sample).unify_dictionaries().combine_chunks()
        self._random = np.random.default_rng(20200515)

    def take(self, rows: int, group_rows: int) -> Iterator[pa.Table]:
        """Return so many records, a table for each row group."""
        while rows > 0:
            length = min(rows, group_rows)
            yield self._sample.take(self._random.integers(0, self._sample.num_rows, length))
            rows -= length


def _distinct_moments(rows: int) -> pa.Array:
    moments = pa.array(np.arange(rows) * 1_000_003 + 1_577_836_800_000_000, pa.timestamp("us"))
    return moments.cast(pa.string())


HOSTILE: dict[str, tuple[str, Callable[[int], Any]]] = {
    "own moment of the last order, text": ("last_order_ts", _distinct_moments),
    "own moment of the last order, timestamp": (
        "last_order_ts",
        lambda rows: pa.array(np.arange(rows) * 1_000_003 + 1_577_836_800_000_000, pa.timestamp("us")),
    ),
    "own amount, whole": ("voucher_amount", lambda rows: pa.array(np.arange(rows) * 1.0)),
    "own amount, fractional": ("voucher_amount", lambda rows: pa.array(np.arange(rows) + 0.5)),
    "own amount, fractional text": (
        "voucher_amount",
        lambda rows: pa.array(np.arange(rows) + 0.5).cast(pa.string()),
    ),
    "own orders, whole": ("total_orders", lambda rows: pa.array(np.arange(rows) * 1.0).cast(pa.string())),
}
"""What a column may hold that is no voucher record's: each row a value of its own."""


def write_hostile(bucket: Path, rows: int, case: str) -> str:
    """Write an object in which one column has a value of its own in every row, and return the prefix."""
    prefix = f"hostile-{rows}-{list(HOSTILE).index(case)}/"
    path = bucket / prefix / "0.parquet"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        name, make = HOSTILE[case]
        records = pa.concat_tables(_Records(only_needed=True).take(rows, 511_427))
        records = records.set_column(COLUMNS.index(name), name, make(rows))
        groups = (records.slice(first, 511_427) for first in range(0, rows, 511_427))
        write_parquet(path, groups)
    return prefix
