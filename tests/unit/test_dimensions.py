"""Dimensions: read from their text, and the numbers that are looked up in ranges."""

from datetime import date

import pytest

from functions.common.dimensions import Dimension, DimensionError, combine, parse_dimension

AS_OF = date(2020, 12, 22)
DAY = (date(2020, 12, 1) - date(1970, 1, 1)).days

ORDERS = Dimension("number", ("total_orders",))
SINCE = Dimension("days_since", ("last_order_ts",))
BETWEEN = Dimension("days_between", ("last_order_ts", "timestamp"))


@pytest.mark.parametrize(
    ("text", "dimension", "name"),
    [
        ("total_orders", ORDERS, "total_orders"),
        (" total_orders ", ORDERS, "total_orders"),
        ("days_since(last_order_ts)", SINCE, "days_since(last_order_ts)"),
        ("days_since( last_order_ts )", SINCE, "days_since(last_order_ts)"),
        ("days_between(last_order_ts,timestamp)", BETWEEN, "days_between(last_order_ts, timestamp)"),
        ("days_between(last_order_ts,  timestamp)", BETWEEN, "days_between(last_order_ts, timestamp)"),
        ("days_since", Dimension("number", ("days_since",)), "days_since"),
        ("número_2", Dimension("number", ("número_2",)), "número_2"),
    ],
)
def test_a_dimension_is_one_of_three_kinds_and_has_one_name(text: str, dimension: Dimension, name: str) -> None:
    assert parse_dimension(text) == dimension
    assert str(parse_dimension(text)) == name
    assert parse_dimension(name) == dimension


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "total orders",
        "total-orders",
        "2nd_order",
        "days_since()",
        "days_since(a, b)",
        "days_since(a",
        "days_sinse(a)",
        "days_between(a)",
        "days_between(a, b, c)",
        "days_between(a, days_since(b))",
        "a; DROP TABLE ledger",
        "days_since(a) days_since(b)",
    ],
)
def test_any_other_text_is_refused_by_name(text: str) -> None:
    with pytest.raises(DimensionError) as error:
        parse_dimension(text)
    assert repr(text) in str(error.value)


@pytest.mark.parametrize("text", ["country_code", "days_since(as_of)", "days_between(last_order_ts, voucher_amount)"])
def test_a_reserved_name_is_refused(text: str) -> None:
    with pytest.raises(DimensionError, match="is reserved"):
        parse_dimension(text)


def test_days_between_a_date_and_itself_are_refused() -> None:
    with pytest.raises(DimensionError, match="the same column"):
        parse_dimension("days_between(last_order_ts, last_order_ts)")


def test_the_number_of_the_record_or_days_are_looked_up_in_ranges() -> None:
    assert ORDERS.number(15, AS_OF) == 15
    assert SINCE.number(DAY, AS_OF) == 21
    assert SINCE.number(DAY + 22, AS_OF) == -1
    assert BETWEEN.number(-3, AS_OF) == -3


def test_a_lookup_counts_dates_to_the_as_of_day() -> None:
    assert [dimension.field for dimension in (ORDERS, SINCE, BETWEEN)] == [
        "total_orders", "last_order_ts", "last_order_ts",
    ]  # fmt: skip
    assert ORDERS.number_of_customer(15, AS_OF) == 15
    assert SINCE.number_of_customer(DAY, AS_OF) == BETWEEN.number_of_customer(DAY, AS_OF) == 21
    assert [dimension.number_name for dimension in (ORDERS, SINCE, BETWEEN)] == [
        "total_orders", "days_since_last_order", "days_since_last_order",
    ]  # fmt: skip


def test_what_families_name_is_needed_and_nothing_else() -> None:
    assert list(combine([BETWEEN, ORDERS, SINCE]).columns.items()) == [
        ("country_code", "country"),
        ("last_order_ts", "date"),
        ("timestamp", "date"),
        ("total_orders", "number"),
        ("voucher_amount", "amount"),
    ]
    assert list(combine([]).columns) == ["country_code", "voucher_amount"]


def test_families_with_the_same_dimension_share_it() -> None:
    assert combine([SINCE, ORDERS, parse_dimension("days_since( last_order_ts )")]).by_name == {
        "days_since(last_order_ts)": SINCE,
        "total_orders": ORDERS,
    }


def test_a_column_is_not_needed_as_a_number_and_as_a_date() -> None:
    with pytest.raises(DimensionError, match="total_orders cannot be read as a number and as a date"):
        combine([ORDERS, Dimension("days_since", ("total_orders",))])
