"""The requests of the API: typed, with every bad field named."""

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, ClassVar, Literal, cast

import msgspec

from functions.common.days import day_number, find_day
from functions.common.families import Family
from functions.common.fields import FieldProblem, FieldsError, read_fields
from functions.common.settings import NonEmpty

_MAX_BIGINT = 2**63 - 1


# In a query string a + is a space, so that a zone such as +05:00 cannot be read unless the + is escaped.
_WHAT_A_DATE_IS = (
    "must be a date or timestamp like 2018-05-03 or 2018-05-03T00:00:00+05:00; in a query string write + as %2B"
)

FLAGS_AS_TEXT = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}


Flag = Literal["explain", "fallback"]
"""A field of a lookup that is true or false."""


class Day(int):
    """The day number of a date that a customer has."""


class CustomerFields(msgspec.Struct, frozen=True):
    """The fields that every lookup needs."""

    country_code: NonEmpty


class Customer(CustomerFields, frozen=True):
    """A customer of a family.

    Attributes
    ----------
    value : int
        The value of the field that the family's dimension needs: the number, or the day number of the date.
    """

    family: ClassVar[Family]
    value: int


def customer_of(family: Family) -> type[Customer]:
    """Return the model of a family's customers, with the field of its dimension; made once, because lookups need it."""
    kind = Annotated[int, msgspec.Meta(ge=0, le=_MAX_BIGINT)] if family.dimension.kind == "number" else Day
    made = msgspec.defstruct(
        "FamilyCustomer", [("value", kind)], bases=(Customer,), namespace={"family": family},
        rename={"value": family.dimension.field}, frozen=True,
    )  # fmt: skip
    return cast(type[Customer], made)


class Country(msgspec.Struct, frozen=True):
    """The request for a country's segments."""

    country_code: NonEmpty


class HistoryOfFamily(Country, frozen=True):
    """The request for the most used amounts of a family by as-of day, `limit` days at most."""

    segment_name: NonEmpty
    limit: Annotated[int, msgspec.Meta(ge=1, le=366)] = 30


class Latest(msgspec.Struct, frozen=True):
    """The request for the latest refreshes."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 20


class Batch(msgspec.Struct, frozen=True):
    """The request for many customers at once."""

    customers: Annotated[list[dict[str, Any]], msgspec.Meta(min_length=1, max_length=1000)]


def read_flag(values: Mapping[str, Any], name: Flag) -> bool:
    """Return whether a request sets a flag; false without the field.

    Raises
    ------
    FieldsError
        When the field is neither true nor false.
    """
    value = values.get(name, False)
    if isinstance(value, str):
        value = FLAGS_AS_TEXT.get(value)
    if not isinstance(value, bool):
        raise FieldsError([FieldProblem(name, "must be true or false")])
    return value


def read_customer(kinds: Mapping[str, type[Customer]], values: Mapping[str, Any], *, today: date) -> Customer:
    """Read a customer; only the field that the family's dimension needs is required, others are ignored.

    Parameters
    ----------
    kinds : mapping of str to type
        The model of the customers of each published family, by the family's name.
    values : mapping
        The request's fields.
    today : date
        The present UTC day, which a customer's date cannot come after.

    Raises
    ------
    FieldsError
        Naming every field that is missing or wrong.
    """

    def read_day(_: type, value: Any) -> Day:
        day = find_day(value) if isinstance(value, str) else None
        if day is None:
            raise ValueError(_WHAT_A_DATE_IS)
        if day > today:
            raise ValueError(f"is in the future: must not come after {today}")
        return Day(day_number(day))

    name = values.get("segment_name")
    kind = kinds.get(name) if isinstance(name, str) else None
    if kind is not None:
        return read_fields(kind, values, dec_hook=read_day)
    what = "is missing" if name is None else "is unknown"
    problems = [FieldProblem("segment_name", f"{what}: must be one of {', '.join(kinds)}")]
    try:
        read_fields(CustomerFields, values)
    except FieldsError as error:
        problems = [*error.problems, *problems]
    raise FieldsError(problems)
