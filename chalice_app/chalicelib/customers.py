"""The customer that a lookup asks about, read from a body or a query string."""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from functions.common.days import day_number, parse_day
from functions.common.fields import FieldProblem, FieldsError, read_fields
from functions.common.segments import FREQUENT, MEASURE_OF_FAMILY, RECENCY
from functions.common.settings import NonEmpty

_MAX_BIGINT = 2**63 - 1


class LastOrderDay(int):
    """The day number of a customer's last order, read from `last_order_ts`."""


class Customer(msgspec.Struct, frozen=True):
    """What every lookup names."""

    country_code: NonEmpty
    segment_name: NonEmpty


class FrequentCustomer(Customer, frozen=True):
    """A customer of `frequent_segment`: grouped by orders."""

    total_orders: Annotated[int, msgspec.Meta(ge=0, le=_MAX_BIGINT)]

    @property
    def value(self) -> int:
        """The measure of the family."""
        return self.total_orders


class RecencyCustomer(Customer, frozen=True):
    """A customer of `recency_segment`: grouped by days since the last order."""

    last_order_ts: LastOrderDay

    @property
    def value(self) -> int:
        """The measure of the family."""
        return self.last_order_ts


_MODELS: dict[Any, type[FrequentCustomer] | type[RecencyCustomer]] = {
    FREQUENT: FrequentCustomer,
    RECENCY: RecencyCustomer,
}


def read_customer(values: Mapping[str, Any]) -> FrequentCustomer | RecencyCustomer:
    """Read the customer; only the field that the family needs is required, others are ignored.

    Parameters
    ----------
    values : mapping
        The request's fields.

    Raises
    ------
    FieldsError
        Naming every field that is missing or wrong.
    """
    family = values.get("segment_name")
    if isinstance(family, str) and family in _MODELS:
        return read_fields(_MODELS[family], values, dec_hook=_read_last_order_day)
    wrong = FieldProblem("segment_name", f"must be one of {', '.join(MEASURE_OF_FAMILY)}")
    try:
        read_fields(Customer, {**values, "segment_name": FREQUENT})
    except FieldsError as error:
        raise FieldsError([*error.problems, wrong]) from error
    raise FieldsError([wrong])


def _read_last_order_day(_: type, value: Any) -> LastOrderDay:
    if isinstance(value, str):
        try:
            return LastOrderDay(day_number(parse_day(value)))
        except ValueError:
            pass
    raise ValueError("must be a date or timestamp like 2018-05-03 or 2018-05-03 00:00:00")
