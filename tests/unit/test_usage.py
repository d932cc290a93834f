"""Usage: counts of all batches and parts of an object add up."""

from collections import Counter
from collections.abc import Sequence

import pyarrow as pa
import pytest

from functions.common.dimensions import UNKNOWN, combine, parse_dimension
from functions.refresh.counting.cleaning import ObjectError
from functions.refresh.counting.encoding import check_size
from functions.refresh.counting.usage import Usage
from tests.shipped import COLUMNS, SHIPPED
from tests.support import record


def test_what_two_parts_have_in_common_is_one_row_of_both() -> None:
    # Given two parts of an object, in which nothing can be missing
    parts = [Usage(SHIPPED), Usage(SHIPPED)]
    for usage in parts:
        usage.add(pa.RecordBatch.from_pylist([record(total_orders=7)]), 0)
    # When they are put together
    whole, part = parts
    whole.update(part)
    # Then each count is of both
    rows = [(row["dimension"], row["value"], row["voucher_amount"], row["count"]) for row in whole.table.to_pylist()]
    assert sorted(rows) == [("days_since(last_order_ts)", 18267, 2640, 2), ("total_orders", 7, 2640, 2)]


def test_each_dimension_has_its_numbers_and_an_unknown_amount_counts_once() -> None:
    # Given dimensions of all three kinds, and records of which one has no amount
    names = ["days_between(last_order_ts, timestamp)", "days_since(last_order_ts)", "total_orders"]
    usage = Usage(combine(map(parse_dimension, names)))
    rows = [
        record(last_order_ts="2020-01-06", timestamp=day, total_orders=orders, voucher_amount=amount)
        for day, orders, amount in (
            ("2020-01-16", 3.0, 2640.0),
            ("2020-01-05", 3.0, None),
            ("2020-01-16", None, 2640.0),
        )
    ]
    # When they are counted
    usage.add(pa.RecordBatch.from_pylist(rows), 0)
    # Then each dimension counts each of them
    found = [(row["dimension"], row["value"], row["voucher_amount"], row["count"]) for row in usage.table.to_pylist()]
    assert Counter(found) == Counter(
        [
            (names[0], 10, 2640, 2), (names[0], -1, UNKNOWN, 1),
            (names[1], 18267, 2640, 2), (names[1], 18267, UNKNOWN, 1),
            (names[2], 3, 2640, 1), (names[2], 3, UNKNOWN, 1), (names[2], UNKNOWN, 2640, 1),
        ]
    )  # fmt: skip
    assert usage.values_defaulted == {"total_orders": 1, "voucher_amount": 1}


def test_more_combinations_than_fit_into_a_table_are_counted_too() -> None:
    # Given batches of which the first has few combinations, and the others more than two million that could be
    batches = [range(10), range(120_000), range(100, 120_000, 7)]
    due: Counter[tuple[str, int, int]] = Counter()
    usage = Usage(SHIPPED)
    for numbers in batches:
        countries = [("Peru", "China")[number % 2] for number in numbers]
        amounts = [number % 30 * 100 for number in numbers]
        due.update(zip(countries, numbers, amounts, strict=True))
        columns = [countries, ["2020-01-06"] * len(numbers), list(numbers), amounts]
        # When they are counted
        usage.add(pa.RecordBatch.from_arrays([pa.array(column) for column in columns], COLUMNS), 0)
    # Then each combination has its count
    rows = [row for row in usage.table.to_pylist() if row["dimension"] == "total_orders"]
    assert len(rows) == len(due)
    assert {(row["country_code"], row["value"], row["voucher_amount"]): row["count"] for row in rows} == due
    # And none of the values is unknown
    assert usage.values_defaulted == {"total_orders": 0, "voucher_amount": 0}


def test_as_many_pairs_of_country_and_amount_as_there_is_room_for_are_counted() -> None:
    # Given a thousand countries and two thousand amounts
    usage = Usage(SHIPPED)
    usage.add(country_and_amount(range(2_000)), 0)
    # Then each pair has its count
    due = [(str(number % 1_000), number) for number in range(2_000)]
    rows = [row for row in usage.table.to_pylist() if row["dimension"] == "total_orders"]
    assert sorted((row["country_code"], row["voucher_amount"]) for row in rows) == sorted(due)
    assert {row["count"] for row in rows} == {1}
    # When there is one more amount, then these are not voucher records
    with pytest.raises(ObjectError, match="more than 2,000,000 pairs of country and amount"):
        usage.add(country_and_amount([2_000]), 0)


def country_and_amount(numbers: Sequence[int]) -> pa.RecordBatch:
    countries = [str(number % 1_000) for number in numbers]
    columns = [countries, ["2020-01-06"] * len(numbers), [1] * len(numbers), list(numbers)]
    return pa.RecordBatch.from_arrays([pa.array(column) for column in columns], COLUMNS)


def test_the_counts_of_an_object_are_bounded() -> None:
    check_size(500_000)
    with pytest.raises(ObjectError, match="more than 500,000 combinations of country, dimension, value and amount"):
        check_size(500_001)


def test_an_unknown_amount_is_counted_apart_from_a_nought_that_was_there() -> None:
    usage = Usage(SHIPPED)
    for amounts in ([None], [0.0, None]):
        usage.add(pa.RecordBatch.from_pylist([record(total_orders=2, voucher_amount=amount) for amount in amounts]), 0)
    assert [(row["dimension"], row["voucher_amount"], row["count"]) for row in usage.table.to_pylist()] == [
        (dimension, amount, count) for dimension in SHIPPED.by_name for amount, count in ((-1, 2), (0, 1))
    ]  # fmt: skip
    assert usage.values_defaulted == {"voucher_amount": 2, "total_orders": 0}


def test_rows_are_rejected_by_the_reason_of_each() -> None:
    usage = Usage(SHIPPED)
    for orders, times in (("-1", 1), ("many", 2), ("1.5", 3)):
        usage.add(pa.RecordBatch.from_pylist([record(total_orders=orders)] * times), 0)
    assert usage.rows_rejected == {
        "total_orders_negative": 1, "total_orders_unreadable": 2, "total_orders_fractional": 3
    }  # fmt: skip


def test_a_missing_moment_rejects_its_row_where_all_else_is_text() -> None:
    usage = Usage(SHIPPED)
    columns = [["Peru"] * 2, pa.array([None, 0], pa.timestamp("us")), ["2"] * 2, ["2640"] * 2]
    usage.add(pa.RecordBatch.from_arrays([pa.array(column) for column in columns], COLUMNS), 0)
    assert (usage.rows_rejected, usage.rows_counted) == ({"last_order_ts_missing": 1}, 1)


def test_rows_that_are_all_rejected_leave_nothing_to_count() -> None:
    usage = Usage(SHIPPED)
    usage.add(pa.RecordBatch.from_pylist([record(total_orders="-1", country_code=None)] * 3), 0)
    assert (usage.rows_read, usage.rows_counted, usage.table.num_rows) == (3, 0, 0)
    assert usage.rows_rejected == {"country_code_blank": 3}
