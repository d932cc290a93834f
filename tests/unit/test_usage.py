"""Usage: counts of all batches and parts of an object add up."""

from collections import Counter

import pyarrow as pa

from functions.refresh.cleaning import COLUMNS
from functions.refresh.usage import Usage
from tests.support import record


def test_what_two_parts_have_in_common_is_one_row_of_both() -> None:
    # Given two parts of an object, in which nothing can be missing
    parts = [Usage(), Usage()]
    for usage in parts:
        usage.add(pa.RecordBatch.from_pylist([record(total_orders=7)]))
    # When they are put together
    whole, part = parts
    whole.update(part)
    # Then each count is of both
    rows = [(row["measure"], row["value"], row["voucher_amount"], row["count"]) for row in whole.table.to_pylist()]
    assert sorted(rows) == [("last_order_day", 18267, 2640, 2), ("total_orders", 7, 2640, 2)]


def test_more_combinations_than_fit_into_a_table_are_counted_too() -> None:
    # Given batches of which the first has few combinations, and the others more than two million that could be
    batches = [range(10), range(120_000), range(100, 120_000, 7)]
    due: Counter[tuple[str, int, int]] = Counter()
    usage = Usage()
    for numbers in batches:
        countries = [("Peru", "China")[number % 2] for number in numbers]
        amounts = [number % 30 * 100 for number in numbers]
        due.update(zip(countries, numbers, amounts, strict=True))
        columns = [countries, ["2020-01-06"] * len(numbers), list(numbers), amounts]
        # When they are counted
        usage.add(pa.RecordBatch.from_arrays([pa.array(column) for column in columns], COLUMNS))
    # Then each combination has its count
    rows = [row for row in usage.table.to_pylist() if row["measure"] == "total_orders"]
    assert len(rows) == len(due)
    assert {(row["country_code"], row["value"], row["voucher_amount"]): row["count"] for row in rows} == due


def test_rows_that_are_all_rejected_leave_nothing_to_count() -> None:
    usage = Usage()
    usage.add(pa.RecordBatch.from_pylist([record(total_orders="-1", country_code=None)] * 3))
    assert (usage.rows_read, usage.rows_counted, usage.table.num_rows) == (3, 0, 0)
    assert usage.rows_rejected == {"country_code_blank": 3}
