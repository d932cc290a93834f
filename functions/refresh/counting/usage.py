"""Usage: how often each voucher amount was used, by country and dimension.

A voucher record matters only through its country, its amount and the values of the dimensions. Each column's clean
values are numbered, and combinations of these numbers are counted.
"""

from collections import Counter
from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from functions.common.dimensions import NO_DIMENSIONS, Dimension, Dimensions
from functions.refresh.counting.encoding import Codes, ColumnEncoder, Counts, Numbers, PairEncoder, check_size
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


class Usage:
    """The usage of one object by some dimensions, gathered batch by batch.

    Attributes
    ----------
    rows_read, rows_counted : int
        Rows seen so far, and those that were counted.
    rows_rejected : collections.Counter
        The other rows by reason, such as `total_orders_negative`. A row with several faults has one reason,
        that of the first needed column.
    rejected : RejectedRows
        The first rejected rows themselves.
    """

    def __init__(self, dimensions: Dimensions = NO_DIMENSIONS) -> None:
        self.dimensions = dimensions
        self.rows_read = 0
        self.rows_counted = 0
        self.rows_rejected: Counter[str] = Counter()
        self.rejected = RejectedRows()
        self._encoders = {name: ColumnEncoder(name, read_as) for name, read_as in dimensions.columns.items()}
        self._days = {name: Numbers() for name, of in dimensions.by_name.items() if of.kind == "days_between"}
        self._pairs = PairEncoder()
        self._counts = {name: Counts() for name in dimensions.by_name}
        self._others: list[pa.Table] = []
        self._others_defaulted: Counter[str] = Counter()

    @property
    def values_defaulted(self) -> Counter[str]:
        """How many values of the counted rows were null or blank, by column."""
        filled = Counter(self._others_defaulted)
        for number, (name, dimension) in enumerate(self.dimensions.by_name.items()):
            pairs, values, counts = self._counts[name].found()
            if dimension.kind == "number":
                filled[name] += int(counts[values == self._encoders[name].unknown].sum())
            if number == 0:
                _, amounts = self._pairs.decode(pairs)
                filled["voucher_amount"] += int(counts[amounts == self._encoders["voucher_amount"].unknown].sum())
        return filled

    @property
    def table(self) -> pa.Table:
        """The counts with the columns of `USAGE_SCHEMA`, a row per country, dimension, value and amount.

        A null or blank number or amount is `UNKNOWN`.

        Raises
        ------
        ObjectError
            When there are more counts than `check_size` allows.
        """
        parts = [*self._others, *(self._table_of(name) for name in self.dimensions.by_name)]
        table = pa.concat_tables([USAGE_SCHEMA.empty_table(), *parts])
        if self._others:
            table = (
                table.group_by(_KEYS, use_threads=False).aggregate([("count", "sum")]).rename_columns([*_KEYS, "count"])
            )
        check_size(table.num_rows)
        return table

    def update(self, other: "Usage") -> None:
        """Add the usage of another part of the same object."""
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
        """Add usage that was counted before, with the columns of `USAGE_SCHEMA`."""
        self.rows_read += rows_read
        self.rows_counted += rows_counted
        self.rows_rejected.update(rows_rejected)
        self._others.append(table)
        self._others_defaulted.update(values_defaulted)

    def add(self, records: pa.RecordBatch, first_row: int) -> None:
        """Count a batch of voucher records, whose types `check_type` has to accept.

        Raises
        ------
        ObjectError
            When there are more counts than `check_size` allows.
        """
        codes = {name: encoder.encode(records.column(name)) for name, encoder in self._encoders.items()}
        if any(encoder.rejects for encoder in self._encoders.values()):
            codes = self._good_rows(codes, records, first_row)
        self.rows_read += records.num_rows
        self.rows_counted += len(codes["country_code"])
        pairs = self._pairs.encode(codes["country_code"], codes["voucher_amount"], self._shape)
        for name, dimension in self.dimensions.by_name.items():
            values = self._encode(name, dimension, codes)
            self._counts[name].add(pairs, values, (len(self._pairs), len(self._encoder_of(name, dimension))))

    def _encode(self, name: str, dimension: Dimension, codes: Mapping[str, Codes]) -> Codes:
        """Return the code of each row's value of a dimension."""
        if dimension.kind != "days_between":
            return codes[dimension.field]
        first, second = (
            self._encoders[column].take(codes[column], pa.int64()).to_numpy() for column in dimension.columns
        )
        return self._days[name].encode(second - first)

    def _encoder_of(self, name: str, dimension: Dimension) -> ColumnEncoder | Numbers:
        return self._days[name] if dimension.kind == "days_between" else self._encoders[dimension.field]

    @property
    def _shape(self) -> tuple[int, int]:
        return len(self._encoders["country_code"]), len(self._encoders["voucher_amount"])

    def _good_rows(self, codes: dict[str, Codes], records: pa.RecordBatch, first_row: int) -> dict[str, Codes]:
        """Take out the rows with a rejected value, whose code is negative, and count them by their first reason."""
        signs = np.bitwise_or.reduce(list(codes.values()))
        rest = signs < 0
        columns = {name: (codes[name], encoder.reason) for name, encoder in self._encoders.items()}
        self.rejected.add(records, first_row, np.flatnonzero(rest), columns)
        for name, column in codes.items():
            faults, counts = np.unique(column[rest & (column < 0)], return_counts=True)
            for fault, count in zip(faults.tolist(), counts.tolist(), strict=True):
                self.rows_rejected[self._encoders[name].reason(fault)] += count
            rest &= column >= 0
        good = signs >= 0
        return {name: column[good] for name, column in codes.items()}

    def _table_of(self, name: str) -> pa.Table:
        pairs, values, counts = self._counts[name].found()
        countries, amounts = self._pairs.decode(pairs)
        columns = [
            self._encoders["country_code"].take(countries, pa.string()),
            pa.array([name] * len(counts), pa.string()),
            self._encoder_of(name, self.dimensions.by_name[name]).take(values, pa.int64()),
            self._encoders["voucher_amount"].take(amounts, pa.int64()),
            pa.array(counts, pa.int64()),
        ]
        return pa.table(columns, schema=USAGE_SCHEMA)
