"""Dimensions: segment families are ranges of them, and usage is counted by them."""

import re
from collections.abc import Iterable
from datetime import date
from typing import Literal, NamedTuple

from functions.common.days import days_since

ColumnKind = Literal["country", "number", "date", "amount"]
"""How the values of a column are read."""

RESERVED_COLUMNS = frozenset(
    {"country_code", "voucher_amount", "segment_name", "explain", "segment", "count", "share", "runner_up"}
    | {"as_of", "refresh_id", "doubt", "unknown", "fallback", "level"}
)
"""Columns that cannot be a dimension: each voucher record needs the first two, the API uses the other names."""

UNKNOWN = -1
"""The value in usage of a number or amount that is null, NaN or blank; known ones are never below 0."""

UNKNOWN_APART = "unknown apart"
"""A name among an entry's dimensions: unknown values are counted apart. Entries without it counted them as 0."""

_NAME = r"([^\W\d]\w*)"
_DIMENSION = re.compile(rf"\s*(?:{_NAME}|days_since\(\s*{_NAME}\s*\)|days_between\(\s*{_NAME}\s*,\s*{_NAME}\s*\))\s*")


class DimensionError(ValueError):
    """A dimension cannot be used; the message names it and says what can."""


class Dimension(NamedTuple):
    """The number that a family divides into ranges.

    Attributes
    ----------
    kind : {'number', 'days_since', 'days_between'}
        A whole number of the record; days since a date of the record; days from one date to another.
    columns : tuple of str
        The columns of the data that it is computed from.
    """

    kind: Literal["number", "days_since", "days_between"]
    columns: tuple[str, ...]

    def __str__(self) -> str:
        """Return the name by which usage is counted."""
        return self.columns[0] if self.kind == "number" else f"{self.kind}({', '.join(self.columns)})"

    @property
    def field(self) -> str:
        """The field that a lookup needs: the number's column, or the first date's."""
        return self.columns[0]

    @property
    def column_kind(self) -> ColumnKind:
        """How its columns are read."""
        return "number" if self.kind == "number" else "date"

    @property
    def number_name(self) -> str:
        """The name of the customer's number in an explanation, such as `days_since_last_order`."""
        return self.field if self.kind == "number" else f"days_since_{self.field.removesuffix('_ts')}"

    @property
    def labels(self) -> list[str]:
        """Its columns in words for people, such as "orders" for `total_orders` and "last order" for `last_order_ts`."""
        return [name.removeprefix("total_").removesuffix("_ts").replace("_", " ") for name in self.columns]

    def number(self, value: int, as_of: date) -> int:
        """Return the number to look up in the ranges, from the number, day number or days that usage is counted by.

        An `UNKNOWN` number is 0.
        """
        if self.kind == "days_since":
            return days_since(value, as_of)
        return 0 if self.is_unknown(value) else value

    def is_unknown(self, value: int) -> bool:
        """Return whether a value of usage stands for an unknown number."""
        return self.kind == "number" and value == UNKNOWN

    def number_of_customer(self, value: int, as_of: date) -> int:
        """Return the number to look up in the ranges, from the number or day number in a lookup's field.

        For days between two dates a customer has only the first date so far: the as-of day stands in for the second.
        """
        return value if self.kind == "number" else days_since(value, as_of)


def parse_dimension(text: str) -> Dimension:
    """Read a dimension as it is written in `segment_families`.

    Raises
    ------
    DimensionError
        When the text is none of the three kinds, or names a column that cannot be a dimension.

    Examples
    --------
    >>> parse_dimension("days_between(last_order_ts, timestamp)").field
    'last_order_ts'
    """
    match = _DIMENSION.fullmatch(text)
    if match is None:
        raise DimensionError(
            f"dimension {text!r} cannot be read: write a column, days_since(column) or days_between(column, column)"
        )
    number, since, first, second = match.groups()
    if number:
        dimension = Dimension("number", (number,))
    elif since:
        dimension = Dimension("days_since", (since,))
    else:
        dimension = Dimension("days_between", (first, second))
    if reserved := [name for name in dimension.columns if name in RESERVED_COLUMNS]:
        raise DimensionError(f"dimension {text!r} cannot be used: the name {reserved[0]} is reserved")
    if first and first == second:
        raise DimensionError(f"dimension {text!r} cannot be used: its two dates are the same column")
    return dimension


class Dimensions(NamedTuple):
    """The dimensions of all families.

    Attributes
    ----------
    by_name : dict of str to Dimension
        Each dimension once, sorted by the name by which usage is counted.
    columns : dict of str to str
        The columns that voucher records need and how each is read. A row with several faults is rejected for the first.
    """

    by_name: dict[str, Dimension]
    columns: dict[str, ColumnKind]

    @property
    def names(self) -> list[str]:
        """The dimensions that a complete ledger entry has: the names by which usage is counted, and `UNKNOWN_APART`."""
        return [*self.by_name, UNKNOWN_APART]


def combine(dimensions: Iterable[Dimension]) -> Dimensions:
    """Combine the dimensions of families; several families may have the same one.

    Raises
    ------
    DimensionError
        When a column is needed as a number and as a date.
    """
    by_name = dict(sorted((str(dimension), dimension) for dimension in dimensions))
    kinds: dict[str, ColumnKind] = {}
    for dimension in by_name.values():
        for name in dimension.columns:
            if kinds.setdefault(name, dimension.column_kind) != dimension.column_kind:
                raise DimensionError(f"column {name} cannot be read as a number and as a date at once")
    return Dimensions(by_name, {"country_code": "country", **dict(sorted(kinds.items())), "voucher_amount": "amount"})


NO_DIMENSIONS = combine([])
