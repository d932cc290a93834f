"""Rejected rows are written beside the dataset, so that someone can repair them and drop them again."""

import io
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from functions.refresh.counting import rejected
from functions.refresh.counting.rejected import MAX_REJECTED_ROWS
from functions.refresh.usecases import reconcile
from functions.refresh.usecases.refresh import RefreshError
from tests.functional.conftest import FAILURES_OF_S3, Pipeline
from tests.support import BUCKET, PREFIX, created, daily, parquet, record


def written(pipeline: Pipeline) -> dict[str, list[dict[str, Any]]]:
    """Return the rejected rows in the bucket by key."""
    listed = pipeline.s3.list_objects_v2(Bucket=BUCKET, Prefix="rejected/").get("Contents", [])
    return {
        found["Key"]: pq.read_table(
            io.BytesIO(pipeline.s3.get_object(Bucket=BUCKET, Key=found["Key"])["Body"].read())
        ).to_pylist()
        for found in listed
    }


def test_rejected_rows_are_written_as_they_stand_in_the_object(pipeline: Pipeline) -> None:
    # Given an object with good and bad rows
    bad = [record(total_orders="-1"), record(country_code=None, voucher_amount=0.5), record(last_order_ts="never")]
    key = pipeline.put("a b.parquet", [record(), bad[0], record(), *bad[1:]])
    etag = pipeline.s3.head_object(Bucket=BUCKET, Key=key)["ETag"].strip('"')
    # When it is counted
    assert pipeline.refresh(created(key)).rows_counted == 2
    # Then the bad ones lie beside the dataset, each with its number and its first reason
    assert written(pipeline) == {
        f"rejected/{key}.{etag}.parquet": [
            {"row": 1, "reason": "total_orders_negative", **bad[0]},
            {"row": 3, "reason": "country_code_blank", **bad[1]},
            {"row": 4, "reason": "last_order_ts_unreadable", **bad[2]},
        ]
    }
    # And a daily run does not take them for a part of it
    assert pipeline.refresh(daily()).objects_skipped == 1


def test_nothing_is_written_where_nothing_is_rejected(pipeline: Pipeline) -> None:
    pipeline.refresh(created(pipeline.put("a.parquet", [record()])))
    assert written(pipeline) == {}


def test_repaired_rows_are_counted_when_they_are_dropped_again(pipeline: Pipeline) -> None:
    # Given rejected rows
    pipeline.refresh(created(pipeline.put("a.parquet", [record(), record(total_orders="-2")])))
    [[row]] = written(pipeline).values()
    # When the repaired ones are put under the prefix
    repaired = pipeline.put("a-repaired.parquet", [{**row, "total_orders": "2"}])
    pipeline.refresh(created(repaired))
    # Then they are counted beside the good ones
    assert set(pipeline.published().values()) == {2}


def test_rows_keep_their_numbers_when_threads_share_an_object(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given an object of ten row groups, dealt out to three threads
    monkeypatch.setattr(reconcile, "_LARGE_BYTES", 0)
    monkeypatch.setattr(reconcile, "PROCESSORS", 3)
    rows = [record(total_orders=str(-number % 7 - 3)) for number in range(30)]
    # When it is counted
    pipeline.refresh(created(pipeline.put("a.parquet", rows, row_group_size=3)))
    # Then the rejected rows are in the order of the object
    [kept] = written(pipeline).values()
    assert [(row["row"], row["total_orders"]) for row in kept] == [
        (number, row["total_orders"]) for number, row in enumerate(rows) if row["total_orders"].startswith("-")
    ]


def test_no_more_than_the_first_ten_thousand_of_an_object_are_kept(pipeline: Pipeline) -> None:
    table = pa.Table.from_pylist([record(), *[record(voucher_amount=-1.0)] * 7000])
    pipeline.refresh(created(pipeline.put("a.parquet", pa.concat_tables([table] * 2), row_group_size=3000)))
    [kept] = written(pipeline).values()
    assert len(kept) == MAX_REJECTED_ROWS
    assert [row["row"] for row in kept] == [*range(1, 7001), *range(7002, 10_002)]


@pytest.mark.parametrize(("bound", "kept_rows"), [(8000, [0, 1]), (7999, [0])])
def test_texts_that_are_long_in_every_row_do_not_fill_memory(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, bound: int, kept_rows: list[int]
) -> None:
    # Given a bound on texts, and rows that have the same long one, stored once
    monkeypatch.setattr(rejected, "_MAX_TEXT_BYTES", bound)
    rows = [record(country_code="x" * 4000, last_order_ts="", total_orders=None) for _ in range(49)]
    rows.append(record(last_order_ts="", total_orders="1"))
    # When they are rejected
    summary = pipeline.refresh(created(pipeline.put("a.parquet", rows, row_group_size=10)))
    # Then all are counted as that, and as many are written as the bound allows
    assert summary.rows_rejected == {"country_code_unreadable": 49, "last_order_ts_missing": 1}
    [kept] = written(pipeline).values()
    assert [row["row"] for row in kept] == kept_rows


@pytest.mark.parametrize(
    "columns",
    [
        {"country_code": pa.array(["", "Peru"], pa.large_string())},
        {"country_code": pa.array(["", "Peru"], pa.string_view())},
        {"country_code": pa.array(["", "Peru"]).dictionary_encode()},
        {"country_code": pa.array([b"\xff", b"Peru"]).view(pa.string())},
        {"country_code": pa.nulls(2)},
        {"total_orders": pa.array([-1, 1], pa.int64())},
        {"total_orders": pa.array([-1, 1], pa.int64()).dictionary_encode()},
        {"voucher_amount": pa.array([-1, 1], pa.decimal128(9, 2))},
        {"last_order_ts": pa.array([None, datetime(2020, 1, 6, tzinfo=UTC)], pa.timestamp("ns", "UTC"))},
    ],
    ids=lambda columns: "-".join(f"{name}-{column.type}" for name, column in columns.items()),
)
def test_rows_of_every_type_are_written(pipeline: Pipeline, columns: dict[str, Any]) -> None:
    table = pa.Table.from_pylist([record(), record()])
    for name, column in columns.items():
        table = table.set_column(table.schema.get_field_index(name), name, column)
    summary = pipeline.refresh(created(pipeline.put("a.parquet", table)))
    [found] = pipeline.s3.list_objects_v2(Bucket=BUCKET, Prefix="rejected/")["Contents"]
    body = pipeline.s3.get_object(Bucket=BUCKET, Key=found["Key"])["Body"].read()
    assert pq.read_metadata(io.BytesIO(body)).num_rows == sum(summary.rows_rejected.values()) > 0


@pytest.mark.parametrize(("error", "reason"), FAILURES_OF_S3)
def test_rows_that_cannot_be_written_fail_the_run_and_lose_no_count(
    pipeline: Pipeline, error: Exception, reason: str
) -> None:
    # Given a bucket that takes no rejected rows
    body = parquet([record(), record(total_orders="-1")])
    pipeline.s3.put_object(Bucket=BUCKET, Key=f"{PREFIX}a.parquet", Body=body)
    refresh = pipeline.make()

    pipeline.fail("PutObject", error)
    # When the object is counted
    with pytest.raises(RefreshError, match=rf"a\.parquet: is counted, but its rejected rows .*{reason}") as failure:
        pipeline.refresh_with(refresh, daily())
    # Then it is counted and published all the same
    assert failure.value.summary.objects_counted == 1
    assert set(pipeline.published().values()) == {1}
    assert pipeline.column("SELECT error FROM voucher_customer.ledger") == [None]
    assert pipeline.refresh_with(refresh, daily()).objects_skipped == 1
