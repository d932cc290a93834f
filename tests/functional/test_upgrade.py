"""A database of release 0.1.0, filled: it is brought up to date, publishes the same table and counts nothing again."""

from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from functions.common.migrations import migrate
from functions.refresh.reading.bucket import ObjectVersion, Part
from functions.refresh.usecases.work_items import PlannedObject, WorkItem
from infra.local.postgres import DatabaseAddress
from tests.functional.conftest import Call, Pipeline
from tests.functional.test_backlog import Backlog
from tests.functional.test_schema import ALL, make_released
from tests.functional.test_verification import differences, verify
from tests.support import BUCKET, PREFIX, daily, record, wait_until_blocked

RELEASED = [name for name in ALL if name < "008"]

# What 0.1.0 writes for an object of two records, one of them without an amount, beside one that is no parquet.
FILLED = """
    INSERT INTO voucher_customer.refreshes (
        trigger, as_of, countries, started_at, published_at, took_ms, objects_counted, objects_skipped, objects_removed,
        objects_failed, objects_bad, objects_left, backlog_bytes, rows_read, rows_counted, rows_rejected,
        rows_published, rows_in_no_segment, outcome, error
    ) VALUES (
        'daily', '2020-12-21', '{Peru}', '2020-12-21 03:00+00', '2020-12-21 03:00:02+00', 2000, 1, 0, 0, 1, 2, 3, 4, 2,
        2, '{}', 4, '{"frequent_segment": 0, "recency_segment": 0}', 'failed', 'vouchers/bad.parquet: is no parquet'
    );
    INSERT INTO voucher_customer.publication (refresh_id) VALUES (1);
    INSERT INTO voucher_customer.customer_segments VALUES
        ('frequent_segment', '0-4', 0, 4), ('recency_segment', '180+', 180, 99999999);
    INSERT INTO voucher_customer.voucher_segments VALUES
        (0, 0, 4, 'frequent_segment', 0, 1, 'Peru', '0-4'),
        (1, 0, 4, 'frequent_segment', 2640, 1, 'Peru', '0-4'),
        (0, 180, 99999999, 'recency_segment', 0, 1, 'Peru', '180+'),
        (1, 180, 99999999, 'recency_segment', 2640, 1, 'Peru', '180+');
    INSERT INTO voucher_customer.winners VALUES ('2020-12-21', 1,
        '[{"country_code": "Peru", "segment_name": "frequent_segment", "segment_type": "0-4",
           "voucher_amount": [0, 2640], "count": 1, "vouchers": 2},
          {"country_code": "Peru", "segment_name": "recency_segment", "segment_type": "180+",
           "voucher_amount": [0, 2640], "count": 1, "vouchers": 2}]',
        '[{"country_code": "Peru", "segment_name": "recency_segment", "segment_type": "180+",
           "before": [], "after": [0, 2640]}]');
    INSERT INTO voucher_customer.usage_totals VALUES
        ('Peru', 'last_order_day', 18267, 0, 1), ('Peru', 'last_order_day', 18267, 2640, 1),
        ('Peru', 'total_orders', 2, 0, 1), ('Peru', 'total_orders', 2, 2640, 1);
    INSERT INTO voucher_customer.ledger (
        key, revision, etag, size, rows_read, rows_counted, usage_country_code, usage_measure, usage_value,
        usage_voucher_amount, usage_count, changed_at, values_filled
    ) VALUES (
        'vouchers/good.parquet', 1, '<good>', <size>, 2, 2, '{Peru,Peru,Peru,Peru}',
        '{last_order_day,last_order_day,total_orders,total_orders}', '{18267,18267,2,2}', '{0,2640,0,2640}',
        '{1,1,1,1}', '2020-12-21 03:00:01+00', '{"total_orders": 0, "voucher_amount": 1}'
    );
    INSERT INTO voucher_customer.ledger (key, revision, error, failed_etag, changed_at)
    VALUES ('vouchers/bad.parquet', 1, 'is no parquet', '<bad>', '2020-12-21 03:00:01+00');
    INSERT INTO voucher_customer.ledger_parts VALUES (
        'vouchers/large.parquet', '<large>', 2, 0, 1, 1, '{}', '{"total_orders": 0, "voucher_amount": 1}',
        '{Peru,Peru}', '{last_order_day,total_orders}', '{18267,2}', '{0,0}', '{1,1}', '2020-12-22 03:00+00'
    );
"""


@pytest.fixture
def released(pipeline: Pipeline) -> Pipeline:
    """Leave bucket and database as release 0.1.0 does."""
    make_released(pipeline.sql, RELEASED)
    rows = [record(), record(voucher_amount=None)]
    pipeline.put("good.parquet", rows)
    pipeline.put("bad.parquet", b"no parquet")
    held = {name: pipeline.s3.head_object(Bucket=BUCKET, Key=f"{PREFIX}{name}.parquet") for name in ("good", "bad")}
    filled = FILLED.replace("<size>", str(held["good"]["ContentLength"]))
    for name, found in held.items():
        filled = filled.replace(f"<{name}>", found["ETag"])
    pipeline.sql.execute_simple(filled)
    return pipeline


def test_a_database_of_the_release_before_publishes_the_same_table(released: Pipeline, call: Call) -> None:
    table = released.published()
    summary = released.refresh(daily())
    # What it counted, in which unknown amounts are no others than 0, is counted again once.
    assert (summary.objects_counted, summary.objects_skipped, summary.objects_refused_before) == (1, 0, 1)
    assert (released.published(), summary.rankings_changed, summary.report_error) == (table, [], "")
    found = verify(released)
    assert (found.totals_different, found.rows_different) == (0, 0)
    assert differences(found) == [(f"{PREFIX}bad.parquet", "refused object", False)]
    _, answer, _ = call("GET", "/refreshes")
    assert [(run["objects_failed"], run["objects_bad"], run["objects_left"]) for run in answer["refreshes"]] == [
        (0, 1, 0), (1, 2, 3),
    ]  # fmt: skip
    assert call("GET", "/health")[0] == 200


def test_a_part_that_the_release_before_counted_is_counted_again(released: Pipeline) -> None:
    key = released.put("large.parquet", [record(voucher_amount=None), record()], row_group_size=1)
    held = released.s3.head_object(Bucket=BUCKET, Key=key)
    released.sql.run("UPDATE voucher_customer.ledger_parts SET etag = :etag", etag=held["ETag"])
    planned = PlannedObject(key, ObjectVersion(held["ETag"], held["ContentLength"]), 0)
    backlog = Backlog(released)
    assert backlog.count(msgspec.to_builtins(WorkItem((planned,), Part(1, 2)))).objects_deferred == 1
    summary = backlog.count(msgspec.to_builtins(WorkItem((planned,), Part(0, 2))))
    assert (summary.objects_counted, summary.rows_counted, summary.errors) == (1, 2, [])
    assert released.column(
        "SELECT values_defaulted FROM voucher_customer.ledger WHERE key = 'vouchers/large.parquet'"
    ) == [{"total_orders": 0, "voucher_amount": 1}]
    found = verify(released)
    bad = (f"{PREFIX}bad.parquet", "refused object", False)
    good = (f"{PREFIX}good.parquet", "dimension missing", False)  # which is counted again by the next run
    assert (differences(found), found.totals_different) == ([bad, good], 0)


def test_a_migration_and_a_refresh_of_the_release_before_do_not_wait_for_each_other(
    released: Pipeline, postgres: DatabaseAddress
) -> None:
    # Given a refresh of the release before, which holds the first of its two locks
    older = postgres.connect()
    older.run("BEGIN")
    older.run("LOCK TABLE voucher_customer.turns IN EXCLUSIVE MODE")
    with ThreadPoolExecutor(1) as worker:
        migrating = worker.submit(migrate, released.database)
        wait_until_blocked(migrating, released.sql)
        # When it takes the second, then the migration still waits, and comes after it
        older.run("SELECT pg_advisory_xact_lock(:lock)", lock=7_305_820_331)
        older.run("COMMIT")
        assert migrating.result().applied[0] == "008_words.sql"
    older.close()
