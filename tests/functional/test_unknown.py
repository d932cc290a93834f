"""Unknown amounts and numbers: counted apart from 0, published as 0 unless settings say otherwise."""

from typing import Any

import msgspec
import pyarrow as pa
import pytest

from tests.functional.conftest import Call, Pipeline
from tests.support import created, daily, parquet, record

ROWS = [
    record(total_orders="2", voucher_amount=2640.0),
    record(total_orders="2", voucher_amount=0.0),
    *[record(total_orders="", voucher_amount=None)] * 3,
    record(total_orders=None, voucher_amount=2640.0),
    record(total_orders="0", voucher_amount=4400.0),
]
# Of the segments that hold them: all vouchers, those of an unknown amount, those of an unknown number.
UNKNOWNS = {("frequent_segment", "0-4"): (7, 3, 4), ("recency_segment", "180+"): (7, 3, 0)}


def unknowns(pipeline: Pipeline) -> dict[tuple[str, str], tuple[Any, ...]]:
    rows = pipeline.sql.run(
        "SELECT segment_name, segment_type, vouchers, unknown_amounts, unknown_numbers"
        " FROM voucher_customer.segment_unknowns WHERE country_code = 'Peru'"
    )
    return {(name, label): tuple(counts) for name, label, *counts in rows}


def amounts(pipeline: Pipeline, family: str) -> dict[int, int]:
    return {amount: count for (_, name, *_, amount), count in pipeline.published().items() if name == family}


@pytest.mark.parametrize("orders_as", [pa.string(), pa.int64(), pa.float64()])
def test_unknown_values_are_published_as_0_and_counted_apart(pipeline: Pipeline, orders_as: pa.DataType) -> None:
    table = pa.Table.from_pylist(ROWS)
    orders = [None if row["total_orders"] in ("", None) else float(row["total_orders"]) for row in ROWS]
    column = pa.array([f"{one}" if one is not None else "" for one in orders] if orders_as == pa.string() else orders)
    table = table.set_column(table.column_names.index("total_orders"), "total_orders", column.cast(orders_as))
    pipeline.refresh(created(pipeline.put("v.parquet", table)))
    assert amounts(pipeline, "frequent_segment") == {0: 4, 2640: 2, 4400: 1}
    assert amounts(pipeline, "recency_segment") == {0: 4, 2640: 2, 4400: 1}
    assert unknowns(pipeline) == UNKNOWNS


@pytest.mark.parametrize("setting", ["true", "false"])
def test_the_day_before_1970_is_a_day_and_not_unknown(pipeline: Pipeline, setting: str) -> None:
    pipeline.environ |= {"UNKNOWN_AMOUNT_IS_USED": setting, "UNKNOWN_NUMBER_HAS_SEGMENT": setting}
    rows = [record(last_order_ts=day) for day in ("1969-12-30", "1969-12-31", "1970-01-01")]
    pipeline.refresh(created(pipeline.put("v.parquet", rows)))
    assert amounts(pipeline, "recency_segment") == {2640: 3}
    assert unknowns(pipeline)["recency_segment", "180+"] == (3, 0, 0)


def test_run_and_api_have_the_shares_of_unknown_values(pipeline: Pipeline, call: Call) -> None:
    summary = pipeline.refresh(created(pipeline.put("v.parquet", ROWS)))
    assert msgspec.to_builtins(summary.answer())["unknown"] == {
        "frequent_segment": {"amount_share": 0.4286, "number_share": 0.5714},
        "recency_segment": {"amount_share": 0.4286, "number_share": 0.0},
    }
    customer = {"country_code": "Peru", "explain": True, "total_orders": 2, "last_order_ts": "2018-05-03"}
    explained = call("POST", "/voucher_amount", customer)[1]
    assert explained["frequent_segment"]["unknown"] == {"amount_share": 0.4286, "number_share": 0.5714}
    assert explained["recency_segment"]["unknown"] == {"amount_share": 0.4286, "number_share": 0.0}
    segments = call("GET", "/segments", query={"country_code": "Peru"})[1]["families"]
    assert [segment["unknown"] for segment in segments["frequent_segment"]] == [
        {"amount_share": 0.4286, "number_share": 0.5714}, None, None, None,
    ]  # fmt: skip


def test_unknown_counts_are_exact_under_overwrites_and_deletes(pipeline: Pipeline) -> None:
    first, second = pipeline.put("a.parquet", ROWS), pipeline.put("b.parquet", ROWS)
    pipeline.refresh(daily())
    assert unknowns(pipeline)["frequent_segment", "0-4"] == (14, 6, 8)
    pipeline.put("a.parquet", ROWS[:2])
    pipeline.refresh(created(first))
    assert unknowns(pipeline)["frequent_segment", "0-4"] == (9, 3, 4)
    pipeline.s3.delete_object(Bucket="voucher-bucket", Key=second)
    pipeline.refresh(daily())
    assert unknowns(pipeline) == {("frequent_segment", "0-4"): (2, 0, 0), ("recency_segment", "180+"): (2, 0, 0)}


@pytest.mark.parametrize(
    ("settings", "orders", "recency", "nowhere"),
    [
        ({"UNKNOWN_AMOUNT_IS_USED": "false"}, {0: 1, 2640: 2, 4400: 1}, {0: 1, 2640: 2, 4400: 1}, 0),
        ({"UNKNOWN_NUMBER_HAS_SEGMENT": "false"}, {0: 1, 2640: 1, 4400: 1}, {0: 4, 2640: 2, 4400: 1}, 4),
    ],
)
def test_settings_decide_what_unknown_values_count_as(
    pipeline: Pipeline, settings: dict[str, str], orders: dict[int, int], recency: dict[int, int], nowhere: int
) -> None:
    pipeline.environ.update(settings)
    summary = pipeline.refresh(created(pipeline.put("v.parquet", ROWS)))
    assert amounts(pipeline, "frequent_segment") == orders
    assert amounts(pipeline, "recency_segment") == recency
    assert summary.rows_in_no_segment["frequent_segment"] == nowhere
    assert unknowns(pipeline)["recency_segment", "180+"] == UNKNOWNS["recency_segment", "180+"]
    assert summary.report_error == ""


def test_what_was_counted_before_is_counted_again_and_published_meanwhile(pipeline: Pipeline, call: Call) -> None:
    # Given an object that an earlier release counted, with 0 for what is unknown
    pipeline.put("a.parquet", ROWS)
    pipeline.refresh(daily())
    pipeline.sql.run(
        "UPDATE voucher_customer.ledger SET dimensions = array_remove(dimensions, 'unknown apart'),"
        " usage_voucher_amount = ARRAY(SELECT greatest(one, 0) FROM unnest(usage_voucher_amount)"
        " WITH ORDINALITY AS of (one, place) ORDER BY place)"
    )
    pipeline.sql.run("DELETE FROM voucher_customer.usage_totals")
    pipeline.sql.run(
        "INSERT INTO voucher_customer.usage_totals"
        " SELECT of.country, of.dimension, of.value, of.amount, sum(of.count) FROM voucher_customer.ledger, unnest("
        " usage_country_code, usage_dimension, usage_value, usage_voucher_amount, usage_count"
        ") AS of (country, dimension, value, amount, count) GROUP BY 1, 2, 3, 4"
    )
    # When another object comes, then all is published as before, and the number of unknown ones is null
    published = amounts(pipeline, "frequent_segment")
    assert pipeline.refresh(created(pipeline.put("b.parquet", ROWS[:1]))).unknown == {}
    assert amounts(pipeline, "frequent_segment") == {**published, 2640: published[2640] + 1}
    assert unknowns(pipeline)["frequent_segment", "0-4"] == (8, None, None)
    segments = call("GET", "/segments", query={"country_code": "Peru"})[1]["families"]
    assert segments["frequent_segment"][0]["unknown"] is None
    # When the daily run comes, then it counts the first again
    summary = pipeline.refresh(daily())
    assert (summary.objects_counted, summary.objects_skipped) == (1, 1)
    assert amounts(pipeline, "frequent_segment") == {**published, 2640: published[2640] + 1}
    assert unknowns(pipeline)["frequent_segment", "0-4"] == (8, 3, 4)
    assert pipeline.refresh(daily()).objects_skipped == 2


def test_the_published_table_of_the_source_is_the_same(pipeline: Pipeline) -> None:
    with_null = [record(voucher_amount=None, total_orders="")] * 2
    with_nought = [record(voucher_amount=0.0, total_orders="0")] * 2
    pipeline.refresh(created(pipeline.put("a.parquet", parquet(with_null))))
    of_nulls = pipeline.published()
    pipeline.refresh(created(pipeline.put("a.parquet", parquet(with_nought))))
    assert pipeline.published() == of_nulls
