"""A backlog: planned, counted item by item in any order, published once; the table is a recount of the bucket."""

import itertools
import json
import random
import threading
from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from functions.common.database import Database
from functions.common.settings import DatabaseSettings, load_settings
from functions.refresh.ledger import ledger
from functions.refresh.ledger.ledger import Ledger
from functions.refresh.results import ItemSummary, Plan, Summary
from functions.refresh.settings import RefreshSettings
from functions.refresh.usecases.backlog import read_step
from functions.refresh.usecases.deadline import PUBLISHING_SECONDS, Deadline
from functions.refresh.usecases.events import EventError, read_event
from functions.refresh.usecases.refresh import RefreshError
from functions.refresh.wiring import make_backlog
from tests.functional.conftest import NOW, Pipeline
from tests.functional.test_handler import invoke as invoke  # noqa: PLC0414 - a fixture
from tests.functional.test_handler import metric_lines
from tests.support import BUCKET, PREFIX, created, daily, parquet, record, recount

AS_OF = date(2020, 12, 22)
BACKLOG = {"detail-type": "Refresh Backlog", "id": "7bf73129", "time": "2020-12-22T00:29:07Z"}
MIB = 2**20

Rows = list[dict[str, Any]]
WorkItem = dict[str, Any]


def some_rows(seed: int, count: int) -> Rows:
    dice = random.Random(seed)
    return [
        record(
            voucher_amount=dice.choice([0.0, 2640.0, 3520.0, 4400.0, None]),
            total_orders=dice.choice(["", "1.0", "7.0", "20.0", "50.0"]),
            last_order_ts=str(date(2020, 1, 1) + timedelta(days=dice.randrange(340))),
        )
        for _ in range(count)
    ]


class Backlog:
    """Takes the steps as the state machine does, what goes in and comes out being JSON."""

    def __init__(self, pipeline: Pipeline, **settings: int) -> None:
        pipeline.environ.update({"INLINE_BYTES": "0", **{name: str(value) for name, value in settings.items()}})
        self.pipeline = pipeline
        self.backlog = pipeline.make_backlog()

    def take(self, step: str, event: dict[str, Any], deadline: Deadline | None = None, **rest: Any) -> Any:
        asked = json.loads(json.dumps({"step": step, "event": event, **rest}))
        trigger = read_event(asked["event"], bucket=BUCKET, prefix=PREFIX, now=NOW)
        return self.backlog.take(read_step(asked), trigger, deadline or Deadline())

    def plan(self, event: dict[str, Any] = BACKLOG, deadline: Deadline | None = None) -> tuple[Plan, list[WorkItem]]:
        plan: Plan = self.take("plan", event, deadline)
        items = json.loads(self.pipeline.s3.get_object(Bucket=BUCKET, Key=plan.manifest)["Body"].read())
        assert plan.items == len(items)
        return plan, items

    def count(self, item: WorkItem, deadline: Deadline | None = None) -> ItemSummary:
        summary: ItemSummary = self.take("count", BACKLOG, deadline, item=item)
        return summary

    def count_all(self, items: Iterable[WorkItem]) -> None:
        for item in items:
            assert self.count(item).errors == []

    def publish(self, event: dict[str, Any] = BACKLOG) -> Summary:
        summary: Summary = self.take("publish", event, since=NOW.isoformat())
        return summary


def test_more_than_one_run_counts_is_deferred_and_the_rest_is_published(pipeline: Pipeline) -> None:
    # Given a counted object, a deleted one, and more than one run takes upon itself
    pipeline.put("old.parquet", [record()] * 3)
    gone = pipeline.put("gone.parquet", [record()])
    pipeline.refresh(daily())
    pipeline.delete(gone)
    bodies = [pipeline.put(f"{number}.parquet", [record()]) for number in range(4)]
    pipeline.environ["INLINE_BYTES"] = str(3 * MIB)
    # When the day's run comes
    summary = pipeline.refresh(daily("2020-12-23"))
    # Then it counts nothing, takes out what is gone, publishes, and says how much there is
    assert (summary.objects_counted, summary.objects_skipped, summary.objects_removed) == (0, 1, 1)
    assert summary.objects_deferred == len(bodies)
    assert 4 * MIB < summary.backlog_bytes < 5 * MIB
    assert set(pipeline.published().values()) == {3}
    assert pipeline.column("SELECT backlog_bytes FROM voucher_customer.refreshes ORDER BY refresh_id DESC LIMIT 1") == [
        summary.backlog_bytes
    ]
    # And a run whose limit is just that counts all of it
    for limit, counted in ((summary.backlog_bytes - 1, 0), (summary.backlog_bytes, 4)):
        pipeline.environ["INLINE_BYTES"] = str(limit)
        assert pipeline.refresh(daily("2020-12-23")).objects_counted == counted


def test_an_object_that_is_too_large_for_one_run_is_deferred_by_its_own_event(pipeline: Pipeline) -> None:
    pipeline.environ["INLINE_BYTES"] = str(MIB)
    summary = pipeline.refresh(created(pipeline.put("large.parquet", [record()])))
    assert (summary.objects_deferred, summary.objects_counted) == (1, 0)
    assert summary.backlog_bytes > MIB
    # And counted by it where the limit is just that
    pipeline.environ["INLINE_BYTES"] = str(summary.backlog_bytes)
    assert pipeline.refresh(created(PREFIX + "large.parquet")).objects_counted == 1


def test_a_plan_puts_small_objects_together_and_splits_large_ones(pipeline: Pipeline) -> None:
    # Given small objects, one that is counted, and one of many row groups
    pipeline.refresh(created(pipeline.put("counted.parquet", [record()])))
    for number in range(5):
        pipeline.put(f"small/{number}.parquet", [record()])
    large = pipeline.put("large.parquet", some_rows(1, 3000), row_group_size=100)
    size = pipeline.s3.head_object(Bucket=BUCKET, Key=large)["ContentLength"]
    # When items are made of less than that
    plan, items = Backlog(pipeline, ITEM_BYTES=size // 4).plan()
    # Then its parts are items, and each small object is one, because an object is worth a MB
    assert [item["part"] for item in items if "part" in item] == [[number, 4] for number in range(4)]
    assert (plan.items, plan.objects) == (9, 6)
    assert plan.backlog_bytes > 6 * MIB
    # When items are larger, then there are fewer
    _, items = Backlog(pipeline, ITEM_BYTES=size + 4 * MIB + MIB // 2).plan()
    assert [len(item["objects"]) for item in items] == [4, 2]
    # And a prefix bounds the plan
    assert Backlog(pipeline, ITEM_BYTES=8 * MIB).plan({"prefix": PREFIX + "small/"})[0].objects == 5


def test_an_item_is_never_more_than_a_step_may_be_handed(pipeline: Pipeline) -> None:
    for number in range(300):
        pipeline.put(f"{number:03}{'ü' * 400}.parquet", b"")
    _, items = Backlog(pipeline, ITEM_BYTES=1000 * MIB).plan()
    assert len(items) == 2
    assert all(len(json.dumps(item, ensure_ascii=False).encode()) < 220_000 for item in items)


@pytest.mark.parametrize("seed", range(4))
def test_items_in_any_order_and_more_than_once_make_the_same_table(pipeline: Pipeline, seed: int) -> None:
    # Given objects of which some are split, more often than they have row groups too
    rows = [some_rows(number, 50 * number) for number in range(8)]
    for number, of_object in enumerate(rows):
        pipeline.put(f"{number}.parquet", parquet(of_object or [record()], row_group_size=90))
    rows[0] = [record()]
    backlog = Backlog(pipeline, ITEM_BYTES=2000)
    _, items = backlog.plan()
    assert any("part" in item for item in items)
    # When they come in any order, some twice, some as another plan has them
    dice = random.Random(seed)
    _, again = Backlog(pipeline, ITEM_BYTES=3500).plan()
    items += dice.sample(items, len(items) // 2) + dice.sample(again, len(again) // 2)
    dice.shuffle(items)
    backlog.count_all(items)
    # Then the table is a recount, each object was written once, and nothing is left over
    summary = backlog.publish()
    assert pipeline.published() == recount([row for of_object in rows for row in of_object], AS_OF, ["Peru"])
    assert set(pipeline.column("SELECT revision FROM voucher_customer.ledger")) == {1}
    assert (summary.objects_counted, summary.objects_skipped, summary.objects_deferred) == (8, 0, 0)
    assert summary.rows_read == sum(map(len, rows))
    assert (summary.trigger, summary.errors) == ("backlog", [])
    assert backlog.plan()[0].items == 0


def large_object(pipeline: Pipeline, rows: Rows, name: str = "large.parquet") -> str:
    return pipeline.put(name, rows, row_group_size=len(rows) // 6)


def split(pipeline: Pipeline, parts: int) -> Backlog:
    """Return a backlog that splits the only object into so many parts."""
    [found] = pipeline.s3.list_objects_v2(Bucket=BUCKET, Prefix=PREFIX)["Contents"]
    return Backlog(pipeline, ITEM_BYTES=found["Size"] // parts)


def test_an_object_is_in_the_ledger_only_when_all_its_parts_are_counted(pipeline: Pipeline) -> None:
    rows = some_rows(1, 600)
    key = large_object(pipeline, [*rows, *[record(total_orders="-1")] * 6])
    backlog = split(pipeline, 3)
    _, items = backlog.plan()
    # When one part is missing, then none of the object is published
    backlog.count_all(items[1:])
    assert backlog.publish().objects_deferred == 1
    assert pipeline.published() == {}
    # When it comes, then all of it is, and the parts are gone
    last = backlog.count(items[0])
    assert (last.objects_counted, last.rows_read, last.rows_counted) == (1, 606, 600)
    assert last.rows_rejected == {"total_orders_negative": 6}
    assert backlog.publish().objects_deferred == 0
    assert pipeline.published() == recount(rows, AS_OF, ["Peru"])
    assert pipeline.column("SELECT count(*) FROM voucher_customer.partial_counts") == [0]
    filled = {
        name: sum(not row[name] and row[name] != 0 for row in rows) for name in ("total_orders", "voucher_amount")
    }
    assert pipeline.column("SELECT values_defaulted FROM voucher_customer.ledger") == [filled]
    # And its rejected rows lie beside the dataset, with their numbers in the object
    [rejected] = pipeline.s3.list_objects_v2(Bucket=BUCKET, Prefix="rejected/")["Contents"]
    assert rejected["Key"].startswith(f"rejected/{key}.")
    assert rejected["Key"].endswith(".3-of-3.parquet")


def test_parts_of_an_overwritten_or_deleted_version_are_not_used(pipeline: Pipeline) -> None:
    # Given an object of which one part is counted when it is overwritten
    key = large_object(pipeline, some_rows(1, 600))
    backlog = split(pipeline, 3)
    _, items = backlog.plan()
    backlog.count_all(items[:1])
    rows = some_rows(2, 600)
    large_object(pipeline, rows)
    # When the others are tried, then they are left, and the next plan is of the new version
    assert [backlog.count(item).objects_deferred for item in items[1:]] == [1, 1]
    assert backlog.publish().objects_deferred == 1
    backlog.count_all(backlog.plan()[1])
    assert backlog.publish().objects_deferred == 0
    assert pipeline.published() == recount(rows, AS_OF, ["Peru"])
    # When another one is deleted before its last part, then nothing of it stays but what is cleared away later
    pipeline.delete(key)
    large_object(pipeline, rows, "other.parquet")
    _, items = split(pipeline, 3).plan()
    backlog.count_all(items[:2])
    pipeline.delete(PREFIX + "other.parquet")
    assert backlog.count(items[2]).objects_deferred == 1
    summary = backlog.publish()
    assert (summary.objects_removed, summary.objects_deferred) == (1, 0)
    assert pipeline.published() == {}
    assert pipeline.column("SELECT count(*) FROM voucher_customer.partial_counts") == [2]
    in_a_week = pipeline.make_backlog(lambda: NOW + timedelta(days=7))
    later_still = pipeline.make_backlog(lambda: NOW + timedelta(days=7, seconds=1))
    for later, kept in ((in_a_week, 2), (later_still, 0)):
        later.take(read_step({"step": "publish", "event": BACKLOG, "since": NOW.isoformat()}), trigger(), Deadline())
        assert pipeline.column("SELECT count(*) FROM voucher_customer.partial_counts") == [kept]


def trigger() -> Any:
    return read_event(BACKLOG, bucket=BUCKET, prefix=PREFIX, now=NOW)


def test_small_objects_that_change_after_the_plan_are_counted_as_they_are(pipeline: Pipeline) -> None:
    # Given a plan
    keys = [pipeline.put(f"{number}.parquet", [record()]) for number in range(5)]
    pipeline.environ["ITEM_BYTES"] = str(100 * MIB)
    backlog = Backlog(pipeline)
    _, [item] = backlog.plan()
    # When objects are overwritten, deleted, counted by their events, or emptied after it
    pipeline.environ["INLINE_BYTES"] = str(100 * MIB)
    pipeline.refresh(created(pipeline.put("0.parquet", [record()] * 10)))
    pipeline.put("1.parquet", [record()] * 20)
    pipeline.delete(keys[2])
    pipeline.refresh(created(keys[3]))
    # Then those that nobody counted are counted, as they are now
    backlog = Backlog(pipeline, INLINE_BYTES=100 * MIB)
    summary = backlog.count(item)
    assert (summary.objects_counted, summary.objects_skipped) == (2, 3)
    backlog.publish()
    assert set(pipeline.published().values()) == {10 + 20 + 1 + 1}


def test_a_bad_object_is_reported_once_and_tried_again_only_by_hand(pipeline: Pipeline) -> None:
    # Given a backlog with a bad object, whole, and one that is damaged in a part
    pipeline.put("bad.parquet", b"no parquet")
    pipeline.put("good.parquet", [record()])
    backlog = Backlog(pipeline)
    _, items = backlog.plan()
    # When it is counted twice
    reported = [error for item in items * 2 for error in backlog.count(item).errors]
    # Then it failed once, the summary has its error, and the other one is published
    assert [error.split(":")[0] for error in reported] == [PREFIX + "bad.parquet"]
    summary = backlog.publish()
    assert (
        summary.objects_refused,
        summary.objects_counted,
        summary.objects_refused_before,
        summary.objects_deferred,
    ) == (1, 1, 0, 0)
    assert summary.errors == reported
    assert set(pipeline.published().values()) == {1}
    # And the next plan does without it, unless a person asks
    assert backlog.plan()[0].objects == 0
    assert backlog.plan({})[0].objects == 1


def test_changes_since_a_moment_are_summed_for_the_keys_under_a_prefix(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given an object that was counted before, one that went, two that are counted since, and two that are bad
    for name in ("old", "a", "b"):
        pipeline.put(f"{name}.parquet", [record()])
    gone = pipeline.put("gone.parquet", [record()])
    pipeline.refresh(daily())
    pipeline.delete(gone)
    pipeline.put("a.parquet", [record(), record(country_code="")])
    pipeline.put("z/a.parquet", [record(), *[record(country_code="")] * 2])
    bad = [pipeline.put(f"{name}.parquet", b"") for name in "cb"]
    since = NOW + timedelta(hours=1)
    with pytest.raises(RefreshError):
        pipeline.refresh_with(pipeline.make(lambda: since), daily())
    # And for one of them it is not the object's fault
    pipeline.sql.run("UPDATE voucher_customer.ledger SET refused_etag = NULL WHERE key = :key", key=bad[1])
    # And two of those that are counted had more rows
    pipeline.sql.run("UPDATE voucher_customer.ledger SET rows_lost = 2 WHERE key ~ '/a.parquet'")
    # When it is asked what changed, then what was counted or removed before is not in the answer
    changes = Ledger(pipeline.database).changes
    errors = [f"{key}: is empty (0 bytes)" for key in sorted(bad)]
    assert changes(since, PREFIX) == ItemSummary(
        objects_counted=2, objects_refused=2, objects_refused_before=1, rows_read=5, rows_counted=2,
        rows_rejected={"country_code_blank": 3}, errors=errors, rows_lost=4,
        losses={f"{PREFIX}a.parquet": 2, f"{PREFIX}z/a.parquet": 2},
    )  # fmt: skip
    assert changes(since, f"{PREFIX}z/") == ItemSummary(
        objects_counted=1,
        rows_read=3,
        rows_counted=1,
        rows_rejected={"country_code_blank": 2},
        rows_lost=2,
        losses={f"{PREFIX}z/a.parquet": 2},
    )
    assert changes(since, f"{PREFIX}none/") == ItemSummary()
    # And of many errors the first ones are listed, even if the database finds the last ones first
    pipeline.sql.run("CREATE INDEX backwards ON voucher_customer.ledger (key DESC)")
    pipeline.sql.run("CLUSTER voucher_customer.ledger USING backwards")
    with pipeline.database.transaction() as connection:
        connection.run("SET enable_indexscan = off")
    monkeypatch.setattr(ledger, "_MAX_ERRORS", 1)
    assert changes(since, PREFIX).errors == errors[:1]


def test_of_many_accepted_objects_a_backlog_names_the_first(pipeline: Pipeline) -> None:
    # Given more objects that a person accepted than an answer has room for
    keys = [pipeline.put(f"{number:02}.parquet", [record()]) for number in range(51)]
    pipeline.refresh(daily())
    pipeline.sql.run("UPDATE voucher_customer.ledger SET accepted_etag = etag")
    # When a backlog that counted them is published
    summary = Backlog(pipeline).publish()
    # Then they are all counted, and fifty named
    assert (summary.objects_counted, summary.answer().accepted) == (51, keys[:50])


def test_a_backlog_names_the_objects_that_lost_rows_whoever_saw_it(pipeline: Pipeline) -> None:
    # Given three counted objects
    keys = [pipeline.put(f"{name}.parquet", [record()] * 9) for name in "abc"]
    pipeline.refresh(daily())
    # When work items count one that has fewer rows now, and the publication finds that another is gone
    pipeline.put("a.parquet", [record()] * 4)
    pipeline.delete(keys[1])
    backlog = Backlog(pipeline)
    backlog.count_all(backlog.plan()[1])
    summary = backlog.publish()
    # Then both are named, the larger loss first
    assert (summary.rows_lost, list(summary.losses.items())) == (14, [(keys[1], 9), (keys[0], 5)])


def test_an_object_that_is_damaged_in_one_part_fails_as_a_whole(pipeline: Pipeline) -> None:
    body = bytearray(parquet(some_rows(1, 3000), row_group_size=500, compression="NONE", use_dictionary=False))
    body[len(body) // 2 : len(body) // 2 + 20_000] = b"\xff" * 20_000
    pipeline.put("large.parquet", bytes(body))
    backlog = split(pipeline, 3)
    _, items = backlog.plan()
    errors = [error for item in items * 2 for error in backlog.count(item).errors]
    summary = backlog.publish()
    assert errors
    assert (summary.objects_refused, summary.objects_deferred, summary.objects_counted) == (1, 0, 0)
    assert pipeline.published() == {}


def test_an_error_of_s3_fails_the_item_and_is_not_noted_of_the_object(pipeline: Pipeline) -> None:
    # Given a part that S3 does not give
    is_slow = True

    def refuse() -> None:
        if is_slow:
            raise ClientError({"Error": {"Code": "SlowDown", "Message": "later"}}, "GetObject")

    pipeline.before_reading(refuse)
    rows = some_rows(1, 600)
    large_object(pipeline, rows)
    backlog = split(pipeline, 2)
    is_slow = False
    _, items = backlog.plan()
    # When it is counted, then the item fails and the ledger hears nothing of it
    is_slow = True
    with pytest.raises(ClientError, match="SlowDown"):
        backlog.count(items[0])
    assert pipeline.column("SELECT count(*) FROM voucher_customer.ledger") == [0]
    # And when it is tried again, all is well
    is_slow = False
    backlog.count_all(items)
    backlog.publish()
    assert pipeline.published() == recount(rows, AS_OF, ["Peru"])


def test_two_last_parts_at_once_write_the_object_once(pipeline: Pipeline) -> None:
    # Given two functions with connections of their own, one part each
    rows = some_rows(1, 600)
    large_object(pipeline, rows)
    _, items = split(pipeline, 2).plan()
    settings = load_settings(RefreshSettings, pipeline.environ)
    databases = [Database(load_settings(DatabaseSettings, pipeline.environ), timeout_seconds=10) for _ in items]
    start = threading.Barrier(len(items))

    def count(item: WorkItem, database: Database) -> None:
        step = read_step({"step": "count", "event": BACKLOG, "item": item})
        backlog = make_backlog(settings, database, lambda: NOW)
        start.wait()
        backlog.take(step, trigger(), Deadline())

    # When both count at the same time
    threads = [threading.Thread(target=count, args=pair) for pair in zip(items, databases, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for database in databases:
        database.close()
    # Then the object is in the ledger, once
    assert pipeline.sql.run("SELECT revision, rows_read FROM voucher_customer.ledger") == [[1, 600]]
    assert Backlog(pipeline).publish().objects_deferred == 0
    assert pipeline.published() == recount(rows, AS_OF, ["Peru"])


def over() -> Deadline:
    """Return a deadline that passes as soon as it is made."""
    left = itertools.chain([PUBLISHING_SECONDS * 9.0], itertools.repeat(0.0))
    return Deadline(lambda: next(left))


def test_a_step_whose_time_is_over_leaves_the_rest_to_the_next_plan(pipeline: Pipeline) -> None:
    pipeline.put("a.parquet", [record()])
    backlog = Backlog(pipeline)
    _, [item] = backlog.plan()
    assert backlog.count(item, over()).objects_deferred == 1
    assert backlog.plan(deadline=over())[0].items == 0
    assert backlog.publish().objects_deferred == 1


def test_the_steps_go_through_the_handler(
    invoke: Any, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("INLINE_BYTES", "0")
    pipeline.put("a.parquet", [record(), record(total_orders="-1")])
    left = invoke(daily())
    assert left["backlog_bytes"] > 0
    assert left["next_step"] == "backlog"
    plan = invoke({"step": "plan", "event": BACKLOG})
    [item] = json.loads(pipeline.s3.get_object(Bucket=BUCKET, Key=plan["manifest"])["Body"].read())
    capsys.readouterr()
    counted = invoke({"step": "count", "event": BACKLOG, "item": item})
    assert (counted["objects_counted"], counted["rows_counted"]) == (1, 1)
    published = invoke({"step": "publish", "event": BACKLOG, "since": left["started_at"]})
    assert (published["objects_counted"], published["objects_deferred"], published["rows_published"]) == (1, 0, 2)
    # What the items measured is not measured again
    lines = metric_lines(capsys)
    assert [line["RowsCounted"] for line in lines if "RowsCounted" in line] == [[1.0]]
    assert [line["RefreshesSucceeded"] for line in lines if "RefreshesSucceeded" in line] == [[1.0]]


@pytest.mark.parametrize("event", [
    {"step": "dance", "event": {}},
    {"step": "plan"},
    {"step": "count", "event": {}, "item": {"objects": [["vouchers/a.parquet"]]}},
    {"step": "publish", "event": {}, "since": "yesterday"},
    {"step": "plan", "event": {}, "prefix": "vouchers/"},
])  # fmt: skip
def test_an_unknown_step_is_refused(event: dict[str, Any]) -> None:
    with pytest.raises(EventError, match="only the state machine sends steps"):
        read_step(event)
