"""Guarded counting: an overwrite that would wipe counts is refused, and what is lost is reported."""

from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from functions.refresh.usecases.refresh import RefreshError
from tests.functional.conftest import Pipeline
from tests.functional.test_backlog import Backlog
from tests.functional.test_verification import verify
from tests.support import PREFIX, created, daily, deleted, record

GOOD = [record(voucher_amount=2640.0)] * 10
BROKEN = [record(last_order_ts="03/05/2018")] * 10
KEY = f"{PREFIX}a.parquet"


@pytest.fixture(autouse=True)
def guarded(pipeline: Pipeline) -> None:
    """Leave the share as it is deployed; the other tests are about rows."""
    del pipeline.environ["MAX_REJECTED_SHARE"]


def manual(**fields: str) -> dict[str, Any]:
    return {"as_of": "2020-12-22", **fields}


def refuse(pipeline: Pipeline, event: dict[str, Any]) -> str:
    with pytest.raises(RefreshError) as failure:
        pipeline.refresh(event)
    return str(failure.value)


def test_an_overwrite_whose_rows_are_mostly_rejected_is_refused_once_and_the_counts_stay(pipeline: Pipeline) -> None:
    pipeline.refresh(created(pipeline.put("a.parquet", GOOD)))
    published = pipeline.published()
    # When it is overwritten by rows of another form of date
    pipeline.put("a.parquet", [*BROKEN, *GOOD[:2]])
    # Then it is refused with the reason, an example and what to do
    assert refuse(pipeline, created(KEY)) == (
        f"{KEY}: 10 of 12 rows are rejected, which is more than MaxRejectedShare 0.5: last_order_ts_unreadable 10;"
        " in row 0 last_order_ts is '03/05/2018'; its earlier counts, if any, stay. If the object is right,"
        f" count it with make refresh ACCEPT={KEY}"
    )
    assert pipeline.published() == published
    [(error, rows_counted)] = pipeline.sql.run("SELECT error, rows_counted FROM voucher_customer.ledger")
    assert (rows_counted, "03/05/2018" in error) == (10, True)
    # And its rejected rows are written
    assert len(pipeline.s3.list_objects_v2(Bucket="voucher-bucket", Prefix="rejected/")["Contents"]) == 1
    # And the daily run tells it no second time
    summary = pipeline.refresh(daily())
    assert (summary.objects_refused_before, summary.errors, summary.rows_lost) == (1, [], 0)
    # And verification tells it, and repairs nothing
    found = verify(pipeline, fix=True)
    assert [(one.key, one.kind, one.is_repaired) for one in found.differences] == [(KEY, "refused object", False)]
    assert pipeline.published() == published


@pytest.mark.parametrize(
    ("column", "values", "shown"),
    [
        ("last_order_ts", pa.array([2**31 - 1], pa.date32()), "2147483647 as date32[day]"),
        ("last_order_ts", pa.array([2**60], pa.timestamp("us")), f"{2**60} as timestamp[us]"),
        ("last_order_ts", pa.array([2**60], pa.timestamp("us", "Nowhere/Land")), f"{2**60} as timestamp[us, tz=N"),
        ("last_order_ts", pa.nulls(1), "null"),
        ("country_code", pa.array([b"Per\xff"]), r"b'Per\xff'"),
        ("country_code", pa.array([""]), "''"),
        ("total_orders", pa.array([float("inf")]), "inf"),
        ("total_orders", pa.array([Decimal("2.50")]), "2.50"),
        ("voucher_amount", pa.array(["x" * 60]), f"'{'x' * 60}';"),
        ("voucher_amount", pa.array(["x" * 61]), f"'{'x' * 60}'…;"),
    ],
)
def test_the_example_is_shown_whatever_it_is(pipeline: Pipeline, column: str, values: pa.Array, shown: str) -> None:
    table = pa.Table.from_pylist([record()])
    table = table.set_column(table.column_names.index(column), column, values)
    pipeline.put("good.parquet", GOOD)
    pipeline.put("a.parquet", table)
    assert f"; in row 0 {column} is {shown}" in refuse(pipeline, daily())
    assert set(pipeline.published().values()) == {10}


def test_half_of_the_rows_may_be_rejected_and_a_setting_says_how_many(pipeline: Pipeline) -> None:
    pipeline.refresh(created(pipeline.put("a.parquet", [*GOOD, *BROKEN])))
    pipeline.environ["MAX_REJECTED_SHARE"] = "0"
    assert "more than MaxRejectedShare 0: " in refuse(pipeline, created(pipeline.put("b.parquet", [*GOOD, BROKEN[0]])))
    pipeline.environ["MAX_REJECTED_SHARE"] = "1"
    assert pipeline.refresh(created(pipeline.put("c.parquet", BROKEN))).objects_counted == 1


def test_a_counted_object_that_a_stricter_rule_refuses_is_noted_on_request_and_keeps_its_counts(
    pipeline: Pipeline,
) -> None:
    # Given an object that was counted when more of its rows might be rejected
    pipeline.environ["MAX_REJECTED_SHARE"] = "0.9"
    pipeline.put("a.parquet", [*BROKEN, *GOOD[:2]])
    pipeline.refresh(daily())
    published = pipeline.published()
    pipeline.environ["MAX_REJECTED_SHARE"] = "0.5"
    # Then a verification tells it, and changes nothing
    noted = "SELECT key, split_part(error, ':', 1) FROM voucher_customer.ledger WHERE error IS NOT NULL"
    assert [(one.kind, one.is_repaired) for one in verify(pipeline).differences] == [("refused object", False)]
    assert pipeline.sql.run(noted) == []
    # When it may repair, then it notes the refusal as a refresh would
    found = verify(pipeline, fix=True)
    assert [(one.kind, one.is_repaired) for one in found.differences] == [("refused object", False)]
    assert (found.objects_different, found.objects_repaired, found.refreshed, found.errors) == (1, 0, 2, [])
    assert pipeline.sql.run(noted) == [
        [KEY, "10 of 12 rows are rejected, which is more than MaxRejectedShare 0.5"],
    ]
    # And its counts stay, its rejected rows lie there, and every later run tells it
    assert pipeline.published() == published
    assert len(pipeline.s3.list_objects_v2(Bucket="voucher-bucket", Prefix="rejected/")["Contents"]) == 1
    assert pipeline.refresh(daily()).objects_refused_before == 1
    # And a second verification has nothing to note
    assert verify(pipeline, fix=True).refreshed is None
    # And who accepts it is asked no more
    assert pipeline.refresh(manual(accept=KEY)).accepted == [KEY]
    assert verify(pipeline).differences == []


@pytest.mark.parametrize("accept", [KEY, PREFIX])
def test_what_a_person_accepts_is_counted_and_stays_so(pipeline: Pipeline, accept: str) -> None:
    pipeline.refresh(created(pipeline.put("a.parquet", GOOD)))
    refuse(pipeline, created(pipeline.put("a.parquet", [*BROKEN, GOOD[0]])))
    # When a person accepts another one, then this one stays refused
    refuse(pipeline, manual(accept=f"{PREFIX}b"))
    # When a person accepts it, then it is counted, and the log of runs says so
    summary = pipeline.refresh(manual(accept=accept))
    assert (summary.objects_counted, summary.rows_counted, summary.rows_lost) == (1, 1, 9)
    assert summary.accepted == [KEY]
    assert pipeline.column("SELECT accepted FROM voucher_customer.refreshes ORDER BY refresh_id DESC LIMIT 1") == [
        [KEY]
    ]
    # And it stays so: for verification, and where it is counted again
    assert verify(pipeline).differences == []
    pipeline.sql.run("UPDATE voucher_customer.ledger SET dimensions = '{}'")
    assert (pipeline.refresh(daily()).accepted, verify(pipeline).differences) == ([KEY], [])
    # And the next version is guarded again
    assert "rows are rejected" in refuse(pipeline, created(pipeline.put("a.parquet", BROKEN)))


def test_a_key_that_a_shell_would_take_apart_is_quoted_in_the_command(pipeline: Pipeline) -> None:
    assert refuse(pipeline, created(pipeline.put("a $b.parquet", BROKEN))).endswith(f"ACCEPT='{PREFIX}a $b.parquet'")


def test_an_object_that_is_counted_in_parts_is_guarded_as_a_whole(pipeline: Pipeline) -> None:
    key = pipeline.put("a.parquet", [*GOOD, *BROKEN, *BROKEN], row_group_size=10)
    backlog = Backlog(pipeline, ITEM_BYTES=1000)
    summaries = [backlog.count(item) for item in backlog.plan()[1]]
    assert [error for summary in summaries for error in summary.errors] == [
        f"{key}: 20 of 30 rows are rejected, which is more than MaxRejectedShare 0.5: last_order_ts_unreadable 20;"
        f" its earlier counts, if any, stay. If the object is right, count it with make refresh ACCEPT={key}"
    ]


def test_rows_lost_by_overwrites_and_deletes_are_reported(pipeline: Pipeline) -> None:
    chile = [record(country_code="Chile")] * 4
    pipeline.refresh(created(pipeline.put("a.parquet", [*GOOD, *chile])))
    pipeline.put("b.parquet", GOOD[:2])
    assert pipeline.refresh(daily()).rows_lost == 0
    # When an object has fewer rows than before, and another as many of another country
    summary = pipeline.refresh(created(pipeline.put("a.parquet", [*GOOD[:3], *chile])))
    # Then the run tells how many are gone, and of which country more than half
    assert (summary.rows_lost, summary.countries_shrunk) == (7, {"Peru": 0.5833})
    assert summary.losses == {KEY: 7}
    # When an object is deleted
    pipeline.delete(KEY)
    summary = pipeline.refresh(deleted(KEY))
    assert (summary.rows_lost, summary.countries_shrunk) == (7, {"Chile": 1.0, "Peru": 0.6})
    # When nothing changed since, then it is not reported a second time
    assert (summary := pipeline.refresh(daily())).countries_shrunk == {}
    assert (summary.rows_lost, summary.losses) == (0, {})


def test_records_that_move_to_another_object_are_no_loss_of_their_country(pipeline: Pipeline) -> None:
    pipeline.refresh(created(pipeline.put("a.parquet", GOOD)))
    pipeline.put("b.parquet", GOOD)
    pipeline.delete(KEY)
    summary = pipeline.refresh(daily())
    assert (summary.rows_lost, summary.losses, summary.countries_shrunk) == (10, {KEY: 10}, {})
    # And the log of runs names the object
    assert pipeline.column("SELECT losses FROM voucher_customer.refreshes ORDER BY refresh_id") == [{}, {KEY: 10}]


def test_a_setting_says_which_loss_is_reported(pipeline: Pipeline) -> None:
    pipeline.environ["MAX_LOST_SHARE"] = "0.05"
    pipeline.refresh(created(pipeline.put("a.parquet", GOOD)))
    assert pipeline.refresh(created(pipeline.put("a.parquet", GOOD[:9]))).countries_shrunk == {"Peru": 0.1}
