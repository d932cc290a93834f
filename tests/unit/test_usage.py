"""Usage: counts of an object's parts add up."""

import pyarrow as pa

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
