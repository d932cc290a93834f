"""Usage: how often each voucher amount was used, by country and measure.

A voucher record matters through four values: its country, its amount, its orders and the day of its
last order. Each column's values are numbered, raw and then clean, and what is counted are
combinations of these numbers.
"""

from collections import Counter
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from functions.refresh.cleaning import (
    COLUMNS,
    NOTHING,
    SMALL,
    Filled,
    Meaning,
    ObjectError,
    Rejected,
    as_distinct,
    as_small_numbers,
    clean,
)
from functions.refresh.rejected import Codes, RejectedRows

USAGE_SCHEMA = pa.schema(
    [
        ("country_code", pa.string()),
        ("measure", pa.string()),
        ("value", pa.int64()),
        ("voucher_amount", pa.int64()),
        ("count", pa.int64()),
    ]
)

_KEYS = ["country_code", "measure", "value", "voucher_amount"]
_COLUMN_OF_MEASURE = {"total_orders": "total_orders", "last_order_day": "last_order_ts"}
# A few thousand is usual. This bounds memory and the database against a column that holds noise.
_MAX_USAGE_ROWS = 500_000
# 16 MB of counts: fifty countries with twenty amounts each have room. Beyond, combinations are sorted instead.
_MAX_CELLS = 2_000_000
_UNMET = -1

Integers = npt.NDArray[np.int64]


class Usage:
    """The usage of one object, gathered batch by batch.

    Attributes
    ----------
    rows_read, rows_counted : int
        Rows seen so far, and those of them that were good.
    rows_rejected : collections.Counter
        The others by reason, such as `total_orders_negative`. A row with several faults counts
        under the first, in the order of `COLUMNS`.
    rejected : RejectedRows
        The first of them.
    """

    def __init__(self) -> None:
        self.rows_read = 0
        self.rows_counted = 0
        self.rows_rejected: Counter[str] = Counter()
        self.rejected = RejectedRows()
        self._vocabularies = {name: _Vocabulary(name) for name in COLUMNS}
        self._pairs = _Pairs()
        self._counts = {measure: _Counts() for measure in _COLUMN_OF_MEASURE}
        self._others: list[pa.Table] = []
        self._others_filled: Counter[str] = Counter()

    @property
    def values_filled(self) -> Counter[str]:
        """How many values of the rows counted were not there and count as 0, by column."""
        pairs, orders, counts = self._counts["total_orders"].found()
        _, amounts = self._pairs.decode(pairs)
        filled = Counter(self._others_filled)
        for name, codes in (("total_orders", orders), ("voucher_amount", amounts)):
            filled[name] += int(counts[codes == self._vocabularies[name].filled].sum())
        return filled

    @property
    def table(self) -> pa.Table:
        """The counts with the columns of `USAGE_SCHEMA`, a row per country, measure, value and amount.

        Raises
        ------
        ObjectError
            When the distinct values exceed any real voucher use.
        """
        parts = [*self._others, *(self._table_of(measure) for measure in _COLUMN_OF_MEASURE)]
        table = pa.concat_tables(parts)
        # A 0 that was filled in is numbered apart from one that was there.
        is_split = any(vocabulary.filled != _UNMET for vocabulary in self._vocabularies.values())
        if self._others or is_split:
            table = (
                table.group_by(_KEYS, use_threads=False).aggregate([("count", "sum")]).rename_columns([*_KEYS, "count"])
            )
        _check_size(table.num_rows)
        return table

    def update(self, other: "Usage") -> None:
        """Add the usage of another part of the same object.

        Raises
        ------
        ObjectError
            As `table`.
        """
        self.restore(other.table, other.rows_read, other.rows_counted, other.rows_rejected, other.values_filled)
        self.rejected.update(other.rejected)

    def restore(
        self,
        table: pa.Table,
        rows_read: int,
        rows_counted: int,
        rows_rejected: Mapping[str, int],
        values_filled: Mapping[str, int],
    ) -> None:
        """Add usage as it was counted before, with the columns of `USAGE_SCHEMA`."""
        self.rows_read += rows_read
        self.rows_counted += rows_counted
        self.rows_rejected.update(rows_rejected)
        self._others.append(table)
        self._others_filled.update(values_filled)

    def add(self, records: pa.RecordBatch, first_row: int = 0) -> None:
        """Count a batch of voucher records.

        Parameters
        ----------
        records : pyarrow.RecordBatch
            The columns `COLUMNS`, of types that `check_type` lets pass.
        first_row : int
            The number of its first row in the object.

        Raises
        ------
        ObjectError
            When the distinct values exceed any real voucher use.
        """
        codes = {name: self._vocabularies[name].encode(records.column(name)) for name in COLUMNS}
        if any(self._vocabularies[name].rejects for name in COLUMNS):
            codes = self._good_rows(codes, records, first_row)
        self.rows_read += records.num_rows
        self.rows_counted += len(codes["country_code"])
        pairs = self._pairs.encode(codes["country_code"], codes["voucher_amount"], self._shape)
        for measure, column in _COLUMN_OF_MEASURE.items():
            shape = (len(self._pairs), len(self._vocabularies[column]))
            self._counts[measure].add(pairs, codes[column], shape)

    @property
    def _shape(self) -> tuple[int, int]:
        return len(self._vocabularies["country_code"]), len(self._vocabularies["voucher_amount"])

    def _good_rows(self, codes: dict[str, Codes], records: pa.RecordBatch, first_row: int) -> dict[str, Codes]:
        """Take out the rows with a rejected value, whose code is negative, and count them by their first reason."""
        signs = np.bitwise_or.reduce(list(codes.values()))
        rest = signs < 0
        columns = [(codes[name], self._vocabularies[name].reason) for name in COLUMNS]
        self.rejected.add(records, first_row, np.flatnonzero(rest), columns)
        for name, column in codes.items():
            faults, counts = np.unique(column[rest & (column < 0)], return_counts=True)
            for fault, count in zip(faults.tolist(), counts.tolist(), strict=True):
                self.rows_rejected[self._vocabularies[name].reason(fault)] += count
            rest &= column >= 0
        good = signs >= 0
        return {name: column[good] for name, column in codes.items()}

    def _table_of(self, measure: str) -> pa.Table:
        pairs, values, counts = self._counts[measure].found()
        countries, amounts = self._pairs.decode(pairs)
        columns = [
            self._vocabularies["country_code"].take(countries, pa.string()),
            pa.array([measure] * len(counts), pa.string()),
            self._vocabularies[_COLUMN_OF_MEASURE[measure]].take(values, pa.int64()),
            self._vocabularies["voucher_amount"].take(amounts, pa.int64()),
            pa.array(counts, pa.int64()),
        ]
        return pa.table(columns, schema=USAGE_SCHEMA)


def _check_size(distinct: int) -> None:
    if distinct > _MAX_USAGE_ROWS:
        raise ObjectError(f"more than {_MAX_USAGE_ROWS:,} distinct values: these are no voucher records")


def _take(codes: Codes, places: Codes | pa.Array) -> Codes:
    """Return the codes at places, of which all have to be there: nothing checks it, which takes a third of the time."""
    taken: Codes = pc.take(pa.array(codes), pa.array(places), boundscheck=False).to_numpy()
    return taken


class _Vocabulary:
    """The clean values of a column, numbered from 0 as they are met, and the reasons to reject, from -1 down."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._codes: dict[Meaning, int] = {}
        self._values: list[int | str] = []
        self._reasons: list[str] = []
        self.rejects = False
        self._raw: pa.Array = pa.array([])
        self._code_of_raw: Codes = np.array([], np.int32)
        self._code_of_small: Codes = np.full(SMALL + 1, _UNMET, np.int32)

    def __len__(self) -> int:
        return len(self._values)

    @property
    def filled(self) -> int:
        """The code of what is filled in, `_UNMET` when nothing was."""
        return self._codes.get(NOTHING, _UNMET)

    def encode(self, column: pa.Array) -> Codes:
        """Return the code of each row."""
        small = as_small_numbers(column)
        if small is not None:
            self.rejects = False
            return self._encode_small(small)
        distinct = as_distinct(column, self._name)
        # Parquet has one dictionary for a whole row group, so most batches bring the one that came before.
        if not distinct.dictionary.equals(self._raw):
            cleaned = clean(distinct.dictionary, self._name)
            self._code_of_raw = np.array([self._code(value) for value in cleaned], np.int32)
            self._raw = distinct.dictionary
            _check_size(len(self._values))
        indices, met = distinct.indices, self._code_of_raw[:-1]
        if indices.null_count:
            indices, met = indices.fill_null(len(self._raw)), self._code_of_raw
        self.rejects = bool(met.min(initial=0) < 0)
        return _take(self._code_of_raw, indices)

    def _encode_small(self, numbers: Codes) -> Codes:
        codes = _take(self._code_of_small, numbers)
        if codes.min(initial=0) == _UNMET:
            for number in np.flatnonzero(np.bincount(numbers[codes == _UNMET])).tolist():
                self._code_of_small[number] = self._code(NOTHING if number == SMALL else number)
            codes = _take(self._code_of_small, numbers)
        return codes

    def _code(self, value: Meaning) -> int:
        code = self._codes.get(value)
        if code is None:
            if isinstance(value, Rejected):
                self._reasons.append(value.reason)
                code = -len(self._reasons)
            else:
                self._values.append(value.value if isinstance(value, Filled) else value)
                code = len(self._values) - 1
            self._codes[value] = code
        return code

    def reason(self, code: int) -> str:
        """Return the reason of a negative code."""
        return self._reasons[-code - 1]

    def take(self, codes: Integers, kind: pa.DataType) -> pa.Array:
        """Return the values of codes."""
        return pa.array(self._values, kind).take(pa.array(codes))


class _Pairs:
    """The pairs of country and amount that occur, numbered as they are met: few of all that could be."""

    def __init__(self) -> None:
        self._countries: list[int] = []
        self._amounts: list[int] = []
        self._codes: dict[tuple[int, int], int] = {}

    def __len__(self) -> int:
        return len(self._countries)

    def encode(self, countries: Codes, amounts: Codes, shape: tuple[int, int]) -> Codes:
        """Return the code of each row's pair."""
        width = max(shape[1], 1)
        if shape[0] * width > _MAX_CELLS:
            raise ObjectError(f"more than {_MAX_CELLS:,} pairs of country and amount: these are no voucher records")
        both = countries * np.int32(width) + amounts
        code_of_pair = np.zeros(shape[0] * width, np.int32)
        met = np.flatnonzero(np.bincount(both, minlength=len(code_of_pair)))
        code_of_pair[met] = [self._code(*divmod(pair, width)) for pair in met.tolist()]
        return _take(code_of_pair, both)

    def _code(self, country: int, amount: int) -> int:
        code = self._codes.setdefault((country, amount), len(self._codes))
        if code == len(self._countries):
            self._countries.append(country)
            self._amounts.append(amount)
        return code

    def decode(self, codes: Integers) -> tuple[Integers, Integers]:
        """Return the countries and the amounts of codes."""
        return np.array(self._countries, np.int64)[codes], np.array(self._amounts, np.int64)[codes]


class _Counts:
    """How often each combination of a pair and a value occurs.

    A table of all combinations as long as it is small. Where a column holds noise, only those that occur.
    """

    def __init__(self) -> None:
        self._table: Integers = np.zeros((0, 0), np.int64)
        self._sparse: list[tuple[Integers, Integers]] = []
        self._unmerged = 0

    def add(self, pairs: Codes, values: Codes, shape: tuple[int, int]) -> None:
        """Count a batch whose codes lie within a shape, which only grows."""
        cells = shape[0] * shape[1]
        if cells <= _MAX_CELLS:
            if shape != self._table.shape:
                smaller = self._table
                self._table = np.zeros(shape, np.int64)
                self._table[: smaller.shape[0], : smaller.shape[1]] = smaller
            self._table += np.bincount(pairs * np.int32(shape[1]) + values, minlength=cells).reshape(shape)
            return
        self._sparse.append(np.unique(pairs.astype(np.int64) << 32 | values, return_counts=True))
        self._unmerged += len(self._sparse[-1][0])
        if self._unmerged > _MAX_USAGE_ROWS:
            self._merge()

    def _merge(self) -> None:
        codes, places = np.unique(np.concatenate([codes for codes, _ in self._sparse]), return_inverse=True)
        weights = np.concatenate([counts for _, counts in self._sparse])
        self._sparse = [(codes, np.bincount(places, weights).astype(np.int64))]
        self._unmerged = 0
        _check_size(len(codes))

    def found(self) -> tuple[Integers, Integers, Integers]:
        """Return the pairs and values that occur, and how often."""
        pairs, values = np.nonzero(self._table)
        counts = self._table[pairs, values]
        if self._sparse:
            self._sparse.append((pairs << 32 | values, counts))
            self._table = np.zeros((0, 0), np.int64)
            self._merge()
            [(codes, counts)] = self._sparse
            pairs, values = codes >> 32, codes & 0xFFFF_FFFF
        return pairs, values, counts
