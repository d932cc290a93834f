"""The requests of the API: typed, with every bad field named."""

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any

import msgspec

from functions.common.days import day_number, parse_day
from functions.common.families import DIMENSION_OF_FAMILY, FREQUENT, RECENCY
from functions.common.fields import FieldProblem, FieldsError, read_fields
from functions.common.settings import NonEmpty

_MAX_BIGINT = 2**63 - 1


# In a query string a + is a space, so a zone such as +05:00 arrives as what is no zone.
_WHAT_A_DATE_IS = (
    "must be a date or timestamp like 2018-05-03 or 2018-05-03T00:00:00+05:00, of which a query string writes + as %2B"
)


class LastOrderDay(int):
    """The day number of a customer's last order, read from `last_order_ts`."""


class Customer(msgspec.Struct, frozen=True):
    """What every lookup names."""

    country_code: NonEmpty


class FrequentCustomer(Customer, frozen=True):
    """A customer of `frequent_segment`: grouped by orders."""

    total_orders: Annotated[int, msgspec.Meta(ge=0, le=_MAX_BIGINT)]

    @property
    def segment_name(self) -> str:
        """The family."""
        return FREQUENT

    @property
    def value(self) -> int:
        """The dimension of the family."""
        return self.total_orders


class RecencyCustomer(Customer, frozen=True):
    """A customer of `recency_segment`: grouped by days since the last order."""

    last_order_ts: LastOrderDay

    @property
    def segment_name(self) -> str:
        """The family."""
        return RECENCY

    @property
    def value(self) -> int:
        """The dimension of the family."""
        return self.last_order_ts


_FLAGS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}

AnyCustomer = FrequentCustomer | RecencyCustomer

_MODELS: dict[str, type[AnyCustomer]] = {FREQUENT: FrequentCustomer, RECENCY: RecencyCustomer}


class Country(msgspec.Struct, frozen=True):
    """The request for a country's segments."""

    country_code: NonEmpty


class Latest(msgspec.Struct, frozen=True):
    """The request for the latest refreshes."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 20


class Batch(msgspec.Struct, frozen=True):
    """The request for many customers at once."""

    customers: Annotated[list[dict[str, Any]], msgspec.Meta(min_length=1, max_length=1000)]


def wants_explanation(values: Mapping[str, Any]) -> bool:
    """Tell whether `explain` asks for all that led to an answer.

    Raises
    ------
    FieldsError
        When it is something else.
    """
    value = values.get("explain", False)
    if isinstance(value, str):
        value = _FLAGS.get(value)
    if not isinstance(value, bool):
        raise FieldsError([FieldProblem("explain", "must be true or false")])
    return value


def read_customer(values: Mapping[str, Any], *, today: date) -> AnyCustomer:
    """Read a customer; only the field that the family needs is required, others are ignored.

    Parameters
    ----------
    values : mapping
        The request's fields.
    today : date
        The present UTC day, which the last order cannot come after.

    Raises
    ------
    FieldsError
        Naming every field that is missing or wrong.
    """

    def read_last_order_day(_: type, value: Any) -> LastOrderDay:
        try:
            day = parse_day(value)
        except (AttributeError, ValueError):
            raise ValueError(_WHAT_A_DATE_IS) from None
        if day > today:
            raise ValueError(f"is in the future: must not come after {today}")
        return LastOrderDay(day_number(day))

    family = values.get("segment_name")
    if isinstance(family, str) and family in _MODELS:
        return read_fields(_MODELS[family], values, dec_hook=read_last_order_day)
    what = "is missing" if family is None else "is unknown"
    problems = [FieldProblem("segment_name", f"{what}: must be one of {', '.join(DIMENSION_OF_FAMILY)}")]
    try:
        read_fields(Customer, values)
    except FieldsError as error:
        problems = [*error.problems, *problems]
    raise FieldsError(problems)
