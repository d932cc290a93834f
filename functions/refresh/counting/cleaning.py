"""Cleaning: what the values of the needed columns mean, and which values reject their row.

These are the rules of docs/data-rules.md. They are applied to the distinct values of a column, a few
thousand in a batch of any size, and never row by row.

To reject more values, raise `_RejectedError` in the rule of their column, one of `_RULES`: the message follows the
column's name in the reason. docs/contributing.md has an example.
"""

from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from functions.common.days import day_number, find_day
from functions.common.dimensions import UNKNOWN, ColumnKind
from functions.refresh.counting.text_dates import shorten

DIRECT_CODE_LIMIT = 65_536
"""Numbers below this need no dictionary: as days they reach to 2149."""

DirectCodes = npt.NDArray[np.int32]

_MAX_NUMBER = 2**63 - 1
_FIRST_DAY, _LAST_DAY = day_number(date.min), day_number(date.max)
_UNITS_PER_DAY = {"s": 86_400, "ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}
_MAX_COUNTRY_LENGTH = 100

# More text dates than this are replaced by their days first.
_MANY_MOMENTS = 1_000


class ObjectError(Exception):
    """An object cannot be counted as it is; the message says what is wrong with it."""


class Rejected(NamedTuple):
    """Why a value rejects its row, such as `total_orders_negative`."""

    reason: str


CleanValue = int | str | Rejected
"""What a raw value means: a value, which may be `UNKNOWN`, or a reason to reject its row."""


class _RejectedError(Exception):
    """A value rejects its row; the message is the fault."""


def check_type(name: str, read_as: ColumnKind, kind: pa.DataType) -> None:
    """Check that a column has a type that can be read.

    Raises
    ------
    ObjectError
        When its type cannot be read, whatever values it holds.
    """
    types = pa.types
    kind = kind.value_type if types.is_dictionary(kind) else kind
    if types.is_null(kind):
        return
    is_text = types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
    # Integers of 128 bits look like bytes of a fixed length.
    is_text = is_text or (types.is_fixed_size_binary(kind) and read_as not in ("number", "amount"))
    is_number = types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)
    is_moment = types.is_timestamp(kind) or types.is_date(kind)
    if is_text or (is_number and read_as in ("number", "amount")) or (is_moment and read_as == "date"):
        return
    raise impossible_type(name, read_as, kind)


def impossible_type(name: str, read_as: ColumnKind, kind: object) -> ObjectError:
    """Return the error of a column whose type cannot be read."""
    return ObjectError(f"column {name} is of type {kind}; it can be read from {_READABLE_TYPES[read_as]}")


def try_direct_codes(column: pa.Array) -> DirectCodes | None:
    """Return the values of a column as their own codes, if each is a small whole number.

    Most voucher amounts and days are. Without this each column needs a dictionary, which costs ten times as much.

    Returns
    -------
    numpy.ndarray or None
        Numbers below `DIRECT_CODE_LIMIT`, which itself means null; None if a number is larger, or the column does not
        hold numbers or moments.
    """
    kind, nulls = column.type, column.null_count
    if pa.types.is_temporal(kind):
        numbers = _day_numbers(column).fill_null(DIRECT_CODE_LIMIT).to_numpy()
    elif pa.types.is_floating(kind) or pa.types.is_integer(kind):
        if nulls and kind.bit_width < 32:  # too narrow for `DIRECT_CODE_LIMIT`
            column = column.cast(pa.int32() if pa.types.is_integer(kind) else pa.float32())
        numbers = (column.fill_null(DIRECT_CODE_LIMIT) if nulls else column).to_numpy()
    else:
        return None
    with np.errstate(invalid="ignore"):  # the comparison finds what does not fit
        small: DirectCodes = numbers.astype(np.int32)
    highest = small.max(initial=0)
    if not ((small == numbers).all() and small.min(initial=0) >= 0 and highest <= DIRECT_CODE_LIMIT):
        return None
    # A value that equals the limit looks like a null.
    return None if highest == DIRECT_CODE_LIMIT and np.count_nonzero(small == DIRECT_CODE_LIMIT) != nulls else small


def dictionary_encode(column: pa.Array, read_as: ColumnKind) -> pa.DictionaryArray:
    """Encode a column as a dictionary of its raw values, with moments as their days.

    Raises
    ------
    ObjectError
        When a damaged object uses values that its dictionary does not have; Arrow does not check that.
    """
    if pa.types.is_dictionary(column.type):
        _check_indices(column)
    else:
        column = widen(_day_numbers(column) if pa.types.is_temporal(column.type) else column).dictionary_encode()
    is_day = pa.types.is_integer(column.dictionary.type)
    if read_as == "date" and not is_day and len(column.dictionary) > _MANY_MOMENTS:
        return shorten(column)
    return column


def widen(column: pa.Array) -> pa.Array:
    """Return a column whose type Arrow cannot encode as a dictionary in a wider type."""
    kind = column.type
    if pa.types.is_float16(kind):
        return column.cast(pa.float32())
    if pa.types.is_decimal32(kind) or pa.types.is_decimal64(kind):
        return column.cast(pa.decimal128(kind.precision, kind.scale))
    return column.cast(pa.large_string()) if pa.types.is_string_view(kind) else column


def _check_indices(column: pa.DictionaryArray) -> None:
    bounds = pc.min_max(column.indices)
    first, last = bounds["min"].as_py(), bounds["max"].as_py()
    if first is not None and not 0 <= first <= last < len(column.dictionary):
        raise ObjectError("is not readable parquet: a value is not in its dictionary")


def clean(distinct: pa.Array, name: str, read_as: ColumnKind) -> list[CleanValue]:
    """Apply the rules of a column to distinct raw values; the column's name begins each reason to reject.

    Returns
    -------
    list
        What each value means: a country, a day number, a whole number or `UNKNOWN`; or why its row is rejected. One
        more entry at the end says what a null means.
    """
    rule = _RULES[read_as]
    return [_apply(rule, value, name) for value in [*_python_values(distinct), None]]


def clean_numbers(numbers: Sequence[int | None], name: str, read_as: ColumnKind) -> list[CleanValue]:
    """Clean numbers of `try_direct_codes`, or None for a null, as `clean` does; a process cleans each number once."""
    rule = _RULES[read_as]
    return [_apply_once(rule, number, name) for number in numbers]


def _apply(rule: "_Rule", value: Any, name: str) -> CleanValue:
    try:
        return rule(value)
    except _RejectedError as error:
        return Rejected(f"{name}_{error}")


# The same small numbers occur in every object. The limit suffices for a few columns, and bounds what hostile ones cost.
_apply_once = lru_cache(maxsize=10_000)(_apply)


def _day_numbers(moments: pa.Array) -> pa.Array:
    if pa.types.is_date32(moments.type):
        return moments.cast(pa.int32())
    unit = moments.type.unit if pa.types.is_timestamp(moments.type) else "ms"
    # Arrow holds moments in UTC, or without a zone, which is taken as UTC. Its own cast to days
    # rounds towards 1970, and wraps around for days far from 1970.
    units = moments.cast(pa.int64())
    days = units.fill_null(0).to_numpy() // _UNITS_PER_DAY[unit]
    return pa.array(days, mask=units.is_null().to_numpy(zero_copy_only=False))


def _python_values(distinct: pa.Array) -> list[Any]:
    try:
        return distinct.to_pylist()  # type: ignore[no-any-return]
    except UnicodeDecodeError:
        # Arrow does not check that text is UTF-8. Bytes that cannot be decoded become U+FFFD.
        texts = distinct.cast(pa.large_binary()).to_pylist()
        return [text if text is None else text.decode(errors="replace") for text in texts]


def _country(value: str | None) -> str:
    if value is None or not value.strip():
        raise _RejectedError("blank")
    if len(value) > _MAX_COUNTRY_LENGTH or "\0" in value or "\ufffd" in value:
        raise _RejectedError("unreadable")
    return value


def _day(value: str | int | None) -> int:
    if isinstance(value, int):
        if not _FIRST_DAY <= value <= _LAST_DAY:
            raise _RejectedError("unreadable")
        return value
    if value is None or not value.strip():
        raise _RejectedError("missing")
    day = find_day(value)
    if day is None:
        raise _RejectedError("unreadable")
    return day_number(day)


def _whole_number(value: str | int | float | Decimal | None) -> int:
    if value is None or (isinstance(value, str) and not value.strip()):
        return UNKNOWN
    try:
        number = value if isinstance(value, int) else Decimal(value)  # slow, and a whole number does not need it
    except InvalidOperation as error:
        raise _RejectedError("unreadable") from error
    if isinstance(number, Decimal) and not number.is_finite():
        if number.is_nan():
            return UNKNOWN
        raise _RejectedError("infinite")
    if number < 0:
        raise _RejectedError("negative")
    # Before int(): "1e999999999" would be a number of a billion digits.
    if number > _MAX_NUMBER:
        raise _RejectedError("unreadable")
    if number != int(number):
        raise _RejectedError("fractional")
    return int(number)


_READABLE_TYPES: dict[ColumnKind, str] = {
    "country": "text",
    "date": "text, timestamp and date",
    "number": "text, integer, float and decimal",
    "amount": "text, integer, float and decimal",
}

_Rule = Callable[[Any], int | str]

_RULES: dict[ColumnKind, _Rule] = {
    "country": _country,
    "number": _whole_number,
    "date": _day,
    "amount": _whole_number,
}
