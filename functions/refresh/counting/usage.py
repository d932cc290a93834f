"""Usage: how often each voucher amount was used, by country and dimension.

A voucher record matters through four values: its country, its amount, its orders and the day of its
last order. Each column's values are numbered, raw and then clean, and what is counted are
combinations of these numbers.
"""

from collections import Counter
from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from functions.refresh.counting.cleaning import COLUMNS
from functions.refresh.counting.encoding import Codes, ColumnEncoder, Counts, PairEncoder, check_size
from functions.refresh.counting.rejected import RejectedRows

USAGE_SCHEMA = pa.schema(
    [
        ("country_code", pa.string()),
        ("dimension", pa.string()),
        ("value", pa.int64()),
        ("voucher_amount", pa.int64()),
        ("count", pa.int64()),
    ]
)

_KEYS = ["country_code", "dimension", "value", "voucher_amount"]
_COLUMN_OF_DIMENSION = {"total_orders": "total_orders", "last_order_day": "last_order_ts"}


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
        self._encoders = {name: ColumnEncoder(name) for name in COLUMNS}
        self._pairs = PairEncoder()
        self._counts = {dimension: Counts() for dimension in _COLUMN_OF_DIMENSION}
        self._others: list[pa.Table] = []
        self._others_defaulted: Counter[str] = Counter()

    @property
    def values_defaulted(self) -> Counter[str]:
        """How many values of the rows counted were not there and count as 0, by column."""
        pairs, orders, counts = self._counts["total_orders"].found()
        _, amounts = self._pairs.decode(pairs)
        filled = Counter(self._others_defaulted)
        for name, codes in (("total_orders", orders), ("voucher_amount", amounts)):
            filled[name] += int(counts[codes == self._encoders[name].defaulted].sum())
        return filled

    @property
    def table(self) -> pa.Table:
        """The counts with the columns of `USAGE_SCHEMA`, a row per country, dimension, value and amount.

        Raises
        ------
        ObjectError
            When the distinct values exceed any real voucher use.
        """
        parts = [*self._others, *(self._table_of(dimension) for dimension in _COLUMN_OF_DIMENSION)]
        table = pa.concat_tables(parts)
        # A default 0 is numbered apart from one that was there.
        is_split = any(encoder.defaulted >= 0 for encoder in self._encoders.values())
        if self._others or is_split:
            table = (
                table.group_by(_KEYS, use_threads=False).aggregate([("count", "sum")]).rename_columns([*_KEYS, "count"])
            )
        check_size(table.num_rows)
        return table

    def update(self, other: "Usage") -> None:
        """Add the usage of another part of the same object.

        Raises
        ------
        ObjectError
            As `table`.
        """
        self.restore(other.table, other.rows_read, other.rows_counted, other.rows_rejected, other.values_defaulted)
        self.rejected.update(other.rejected)

    def restore(
        self,
        table: pa.Table,
        rows_read: int,
        rows_counted: int,
        rows_rejected: Mapping[str, int],
        values_defaulted: Mapping[str, int],
    ) -> None:
        """Add usage as it was counted before, with the columns of `USAGE_SCHEMA`."""
        self.rows_read += rows_read
        self.rows_counted += rows_counted
        self.rows_rejected.update(rows_rejected)
        self._others.append(table)
        self._others_defaulted.update(values_defaulted)

    def add(self, records: pa.RecordBatch, first_row: int) -> None:
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
        codes = {name: self._encoders[name].encode(records.column(name)) for name in COLUMNS}
        if any(self._encoders[name].rejects for name in COLUMNS):
            codes = self._good_rows(codes, records, first_row)
        self.rows_read += records.num_rows
        self.rows_counted += len(codes["country_code"])
        pairs = self._pairs.encode(codes["country_code"], codes["voucher_amount"], self._shape)
        for dimension, column in _COLUMN_OF_DIMENSION.items():
            shape = (len(self._pairs), len(self._encoders[column]))
            self._counts[dimension].add(pairs, codes[column], shape)

    @property
    def _shape(self) -> tuple[int, int]:
        return len(self._encoders["country_code"]), len(self._encoders["voucher_amount"])

    def _good_rows(self, codes: dict[str, Codes], records: pa.RecordBatch, first_row: int) -> dict[str, Codes]:
        """Take out the rows with a rejected value, whose code is negative, and count them by their first reason."""
        signs = np.bitwise_or.reduce(list(codes.values()))
        rest = signs < 0
        columns = [(codes[name], self._encoders[name].reason) for name in COLUMNS]
        self.rejected.add(records, first_row, np.flatnonzero(rest), columns)
        for name, column in codes.items():
            faults, counts = np.unique(column[rest & (column < 0)], return_counts=True)
            for fault, count in zip(faults.tolist(), counts.tolist(), strict=True):
                self.rows_rejected[self._encoders[name].reason(fault)] += count
            rest &= column >= 0
        good = signs >= 0
        return {name: column[good] for name, column in codes.items()}

    def _table_of(self, dimension: str) -> pa.Table:
        pairs, values, counts = self._counts[dimension].found()
        countries, amounts = self._pairs.decode(pairs)
        columns = [
            self._encoders["country_code"].take(countries, pa.string()),
            pa.array([dimension] * len(counts), pa.string()),
            self._encoders[_COLUMN_OF_DIMENSION[dimension]].take(values, pa.int64()),
            self._encoders["voucher_amount"].take(amounts, pa.int64()),
            pa.array(counts, pa.int64()),
        ]
        return pa.table(columns, schema=USAGE_SCHEMA)
