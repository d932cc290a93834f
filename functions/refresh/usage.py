"""Usage: how often each voucher amount was used, by country and measure.

A voucher record matters through four values: its country, its amount, its orders and the day of its
last order. Records are cleaned on the distinct values of each column, a few thousand in a batch of
any size, and never row by row.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from functions.common.days import day_number, parse_day

COLUMNS = ["country_code", "last_order_ts", "total_orders", "voucher_amount"]
"""The columns that a voucher record needs, in the order in which a bad one is named."""

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
_MAX_NUMBER = 2**63 - 1
_FIRST_DAY, _LAST_DAY = day_number(date.min), day_number(date.max)
_UNITS_PER_DAY = {"s": 86_400, "ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}
_MAX_COUNTRY_LENGTH = 100
# A few thousand is usual. This bounds memory and the database against a column that holds noise.
_MAX_USAGE_ROWS = 500_000

Integers = npt.NDArray[np.int64]


class ObjectError(Exception):
    """An object cannot be counted as it is; the message says what is wrong with it."""


class Usage:
    """The usage of one object, gathered batch by batch.

    Attributes
    ----------
    rows_read, rows_counted : int
        Rows seen so far, and those of them that were good.
    rows_rejected : collections.Counter
        The others by reason, such as `total_orders_negative`. A row with several faults counts
        under the first, in the order of `COLUMNS`.
    """

    def __init__(self) -> None:
        self.rows_read = 0
        self.rows_counted = 0
        self.rows_rejected: Counter[str] = Counter()
        self._parts: list[pa.Table] = [USAGE_SCHEMA.empty_table()]
        self._unmerged_rows = 0

    @property
    def table(self) -> pa.Table:
        """The counts with the columns of `USAGE_SCHEMA`, a row per country, measure, value and amount.

        Raises
        ------
        ObjectError
            When the distinct values exceed any real voucher use.
        """
        self._merge()
        return self._parts[0]

    def add(self, records: pa.Table) -> None:
        """Count a batch of voucher records.

        Parameters
        ----------
        records : pyarrow.Table
            The columns `COLUMNS`, of any readable type.

        Raises
        ------
        ObjectError
            When a column is of an impossible type, whatever it holds, or when the distinct values exceed any real
            voucher use.
        """
        cleaned = {name: _clean(records.column(name), name) for name in COLUMNS}
        good = self._good_rows(records.num_rows, cleaned.values())
        self.rows_read += records.num_rows
        self.rows_counted += int(np.count_nonzero(good))

        countries = pa.array(cleaned["country_code"].values, pa.string())
        country_codes = cleaned["country_code"].codes[good]
        amounts = cleaned["voucher_amount"].numbers()[good]
        for measure, column in _COLUMN_OF_MEASURE.items():
            rows = pa.table(
                [country_codes, cleaned[column].numbers()[good], amounts], ["country", "value", "voucher_amount"]
            )
            counts = rows.group_by(["country", "value", "voucher_amount"]).aggregate([([], "count_all")])
            part = [
                countries.take(counts["country"].combine_chunks()),
                pa.array([measure] * counts.num_rows, pa.string()),
                *(counts[name] for name in ("value", "voucher_amount", "count_all")),
            ]
            self._parts.append(pa.table(part, schema=USAGE_SCHEMA))
            self._unmerged_rows += counts.num_rows
        if self._unmerged_rows > _MAX_USAGE_ROWS:
            self._merge()

    def _good_rows(self, rows: int, columns: "Iterable[_Cleaned]") -> npt.NDArray[np.bool_]:
        good = np.ones(rows, dtype=bool)
        for column in columns:
            if not any(column.reasons):
                continue
            reasons = np.array(column.reasons, dtype=object)[column.codes]
            bad = good & (reasons != "")
            self.rows_rejected.update(reasons[bad].tolist())
            good &= ~bad
        return good

    def _merge(self) -> None:
        if len(self._parts) == 1:
            return
        merged = pa.concat_tables(self._parts).group_by(_KEYS).aggregate([("count", "sum")])
        self._parts = [merged.rename_columns([*_KEYS, "count"])]
        self._unmerged_rows = 0
        if merged.num_rows > _MAX_USAGE_ROWS:
            raise ObjectError(f"more than {_MAX_USAGE_ROWS:,} distinct values: these are no voucher records")


class _Cleaned(NamedTuple):
    """A column of a batch, cleaned: `values[codes]` are its rows.

    `reasons[codes]` says why a row is rejected, "" if it is not.
    """

    codes: Integers
    values: list[int] | list[str]
    reasons: list[str]

    def numbers(self) -> Integers:
        return np.array(self.values, dtype=np.int64)[self.codes]


class _RejectedError(Exception):
    """A value makes its row useless; the message is the fault."""


def _clean(column: pa.ChunkedArray, name: str) -> _Cleaned:
    raw = column.combine_chunks()
    if pa.types.is_dictionary(raw.type):
        raw = raw.dictionary_decode()
    clean_value = _cleaner(name, raw.type)
    if pa.types.is_temporal(raw.type):
        raw = _day_numbers(raw)
    encoded = raw.dictionary_encode(null_encoding="encode")
    values, reasons = [], []
    for value in _python_values(encoded.dictionary):
        try:
            values.append(clean_value(value))
            reasons.append("")
        except _RejectedError as error:
            values.append("" if name == "country_code" else 0)
            reasons.append(f"{name}_{error}")
    return _Cleaned(encoded.indices.to_numpy().astype(np.int64), values, reasons)


def _python_values(distinct: pa.Array) -> list[Any]:
    try:
        return distinct.to_pylist()  # type: ignore[no-any-return]
    except UnicodeDecodeError:
        # Text that is no UTF-8, which Arrow does not check. What cannot be decoded becomes U+FFFD.
        texts = distinct.cast(pa.large_binary()).to_pylist()
        return [text if text is None else text.decode(errors="replace") for text in texts]


def _cleaner(name: str, kind: pa.DataType) -> Callable[[Any], Any]:
    types = pa.types
    is_text = types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
    is_number = types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)
    if name == "country_code" and (is_text or types.is_null(kind)):
        return _country
    if name == "last_order_ts" and (is_text or types.is_timestamp(kind) or types.is_date(kind) or types.is_null(kind)):
        return _last_order_day
    if name in ("total_orders", "voucher_amount") and (is_text or is_number or types.is_null(kind)):
        return _whole_number
    raise ObjectError(f"column {name} is of type {kind}, from which it cannot be read")


def _day_numbers(moments: pa.Array) -> pa.Array:
    if pa.types.is_date32(moments.type):
        return moments.cast(pa.int32())
    unit = moments.type.unit if pa.types.is_timestamp(moments.type) else "ms"
    # Arrow holds moments in UTC, or without a zone, which is taken as UTC. Its own cast to days
    # rounds towards 1970 and wraps around far from it.
    units = moments.cast(pa.int64())
    days = units.fill_null(0).to_numpy() // _UNITS_PER_DAY[unit]
    return pa.array(days, mask=units.is_null().to_numpy(zero_copy_only=False))


def _country(value: str | None) -> str:
    if value is None or not value.strip():
        raise _RejectedError("blank")
    if len(value) > _MAX_COUNTRY_LENGTH or "\0" in value or "\ufffd" in value:
        raise _RejectedError("unreadable")
    return value


def _last_order_day(value: str | int | None) -> int:
    if isinstance(value, int):
        if not _FIRST_DAY <= value <= _LAST_DAY:
            raise _RejectedError("unreadable")
        return value
    if value is None or not value.strip():
        raise _RejectedError("missing")
    try:
        return day_number(parse_day(value))
    except ValueError as error:
        raise _RejectedError("unreadable") from error


def _whole_number(value: str | int | float | Decimal | None) -> int:
    if value is None or (isinstance(value, str) and not value.strip()):
        return 0
    try:
        number = Decimal(value)
    except InvalidOperation as error:
        raise _RejectedError("unreadable") from error
    if number.is_nan():
        return 0
    if number.is_infinite():
        raise _RejectedError("infinite")
    if number < 0:
        raise _RejectedError("negative")
    # Before int(): "1e999999999" would be a number of a billion digits.
    if number > _MAX_NUMBER:
        raise _RejectedError("unreadable")
    if number != number.to_integral_value():
        raise _RejectedError("fractional")
    return int(number)
