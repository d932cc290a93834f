"""A verification: everything tampered with is found, object by object, and repaired when asked for."""

import itertools
import json
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast

import pytest

from functions.common.migrations import migrate
from functions.common.settings import load_settings
from functions.refresh import handler
from functions.refresh.settings import RefreshSettings
from functions.refresh.usecases.deadline import Deadline
from functions.refresh.usecases.differences import Verified
from functions.refresh.usecases.events import read_verification
from functions.refresh.wiring import make_verification
from infra.operations import commands
from infra.operations.deployed import Deployed, OperationError
from tests.functional.conftest import ACCESS_DENIED, NOW, Pipeline
from tests.functional.test_bad_objects import fail
from tests.functional.test_deadline import Clock, every_look_takes, when_reading
from tests.functional.test_handler import invoke as invoke  # noqa: PLC0414 - a fixture
from tests.support import BUCKET, PREFIX, ROOT, Context, daily, record, recount

ROWS = {f"{name}.parquet": [record(voucher_amount=amount)] * 2 for name, amount in (("a", 2640), ("b", 3520))}


def verify(pipeline: Pipeline, deadline: Deadline | None = None, **fields: Any) -> Verified:
    request = read_verification({"verify": True, **fields}, prefix=PREFIX, now=NOW)
    assert request
    migrate(pipeline.database)
    verification = make_verification(load_settings(RefreshSettings, pipeline.environ), pipeline.database, lambda: NOW)
    found, _ = verification.run(request, deadline or Deadline())
    return found


def differences(found: Verified) -> list[tuple[str, str, bool]]:
    return [(difference.key, difference.kind, difference.is_repaired) for difference in found.differences]


def wrong(found: Verified) -> tuple[int, int, int]:
    return found.objects_different, found.totals_different, found.rows_different


@pytest.fixture
def counted(pipeline: Pipeline) -> Pipeline:
    """Count and publish two objects, and the trace of a third that is deleted."""
    for name, rows in ROWS.items():
        pipeline.put(name, rows)
    gone = pipeline.put("gone.parquet", [record()])
    pipeline.refresh(daily())
    pipeline.delete(gone)
    pipeline.refresh(daily())
    return pipeline


def check_as_counted(pipeline: Pipeline) -> None:
    found = verify(pipeline)
    assert (wrong(found), found.differences) == ((0, 0, 0), [])
    rows = [row for some in ROWS.values() for row in some]
    assert pipeline.published() == recount(rows, NOW.date(), ["Peru"])


def test_what_is_counted_as_the_bucket_says_has_no_differences(counted: Pipeline) -> None:
    found = verify(counted)
    assert (found.objects, found.objects_verified, found.objects_changed, found.go_on_after) == (2, 2, 0, None)
    assert (wrong(found), found.differences, found.published) == ((0, 0, 0), [], 2)
    # And nothing is written
    assert counted.column("SELECT count(*) FROM voucher_customer.refreshes") == [2]
    assert counted.column("SELECT max(revision) FROM voucher_customer.ledger") == [2]


A, B, GONE = (f"{PREFIX}{name}.parquet" for name in ("a", "b", "gone"))
ENTRY_SET = "UPDATE voucher_customer.ledger SET"
USAGE_OF_ONE = (
    "usage_country_code = '{Peru}', usage_dimension = '{total_orders}', usage_value = '{7}',"
    " usage_voucher_amount = '{0}', usage_count = '{1}'"
)


@pytest.mark.parametrize(
    ("tampering", "kind", "key", "totals"),
    [
        (f"{ENTRY_SET} usage_count[1] = 7 WHERE key ~ '/a'", "other counts", A, 1),
        (f"{ENTRY_SET} usage_count[1] = -7 WHERE key ~ '/a'", "other counts", A, 1),
        (f"{ENTRY_SET} size = size + 1 WHERE key ~ '/a'", "other counts", A, 0),
        (f"{ENTRY_SET} rows_read = 1 WHERE key ~ '/a'", "other counts", A, 0),
        (f"{ENTRY_SET} rows_counted = 1 WHERE key ~ '/a'", "other counts", A, 0),
        (f"{ENTRY_SET} rows_rejected = '{{\"country_code_blank\": 1}}' WHERE key ~ '/a'", "other counts", A, 0),
        (f"{ENTRY_SET} etag = 'other' WHERE key ~ '/b'", "other version", B, 0),
        (f"{ENTRY_SET} error = 'denied' WHERE key ~ '/b'", "needless error", B, 0),
        ("DELETE FROM voucher_customer.ledger WHERE key ~ '/a'", "entry missing", A, 2),
        (f"{ENTRY_SET} etag = NULL WHERE key ~ '/a'", "entry missing", A, 0),
        (f"{ENTRY_SET} etag = 'old' WHERE key ~ '/gone'", "no object", GONE, 0),
        (f"{ENTRY_SET} error = 'is empty' WHERE key ~ '/gone'", "no object", GONE, 0),
        (f"{ENTRY_SET} rows_read = 3 WHERE key ~ '/gone'", "other counts", GONE, 0),
        (f"{ENTRY_SET} rows_counted = 3 WHERE key ~ '/gone'", "other counts", GONE, 0),
        (f"{ENTRY_SET} rows_rejected = '{{\"country_code_blank\": 1}}' WHERE key ~ '/gone'", "other counts", GONE, 0),
        (f"{ENTRY_SET} {USAGE_OF_ONE} WHERE key ~ '/gone'", "other counts", GONE, 1),
        (f"{ENTRY_SET} etag = 'old', key = 'vouchers/0' WHERE key ~ '/gone'", "no object", f"{PREFIX}0", 0),
    ],
)
def test_an_entry_that_differs_from_the_bucket_is_reported_and_repaired(
    counted: Pipeline, tampering: str, kind: str, key: str, totals: int
) -> None:
    # Given an entry that somebody changed
    counted.sql.execute_simple(tampering)
    # When it is verified, then it is reported and left as it is
    for _ in range(2):
        found = verify(counted)
        assert differences(found) == [(key, kind, False)]
        assert wrong(found) == (1, totals, 0)
    # When it is repaired, then nothing differs any more
    found = verify(counted, fix=True)
    assert differences(found) == [(key, kind, True)]
    assert (wrong(found), found.objects_repaired) == ((0, 0, 0), 1)
    assert found.published == found.refreshed == 3
    check_as_counted(counted)


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE voucher_customer.usage_totals SET count = count + 1 WHERE voucher_amount = 2640",
        "UPDATE voucher_customer.usage_totals SET count = 0",
        "DELETE FROM voucher_customer.usage_totals WHERE dimension = 'total_orders'",
        "INSERT INTO voucher_customer.usage_totals VALUES ('Peru', 'total_orders', 7, 0, 9)",
    ],
)
@pytest.mark.parametrize("lacks_entry", [False, True])
def test_totals_that_are_not_the_sum_of_the_ledger_are_reported_and_repaired(
    counted: Pipeline, tampering: str, lacks_entry: bool
) -> None:
    counted.sql.run(tampering)
    changed = counted.sql.row_count
    assert verify(counted).totals_different == changed
    if lacks_entry:
        # Taking its counts out would take the totals below nothing.
        counted.delete(A)
    found = verify(counted, fix=True)
    assert (wrong(found), found.totals_repaired) == ((0, 0, 0), changed)
    assert found.published == found.refreshed
    if lacks_entry:
        counted.put("a.parquet", ROWS["a.parquet"])
        assert verify(counted, fix=True).objects_repaired == 1
    check_as_counted(counted)


def test_counts_that_add_up_to_nothing_are_no_totals(counted: Pipeline) -> None:
    # Given an entry that takes out what another one adds, and totals that say so
    counted.sql.run(
        f"{ENTRY_SET} usage_voucher_amount = '{{2640, 2640}}', usage_count = '{{-2, -2}}' WHERE key = :key", key=B
    )
    counted.sql.run("DELETE FROM voucher_customer.usage_totals")
    # When it is verified, then it is the entry that is reported, and the table made before
    assert wrong(verify(counted)) == (1, 0, 6)
    # And repairing that repairs all
    assert wrong(verify(counted, fix=True)) == (0, 0, 0)
    check_as_counted(counted)


@pytest.mark.parametrize(
    ("tampering", "rows"),
    [
        ("UPDATE voucher_customer.voucher_segments SET count = 9 WHERE voucher_amount = 3520", 4),
        ("DELETE FROM voucher_customer.voucher_segments", 4),
        ("UPDATE voucher_customer.voucher_segments SET index = index + 10", 8),
    ],
)
def test_a_published_table_that_differs_from_the_totals_is_reported_and_repaired(
    counted: Pipeline, tampering: str, rows: int
) -> None:
    counted.sql.run(tampering)
    assert wrong(verify(counted)) == (0, 0, rows)
    found = verify(counted, fix=True)
    assert (wrong(found), found.refreshed) == ((0, 0, 0), 3)
    check_as_counted(counted)


def test_the_published_table_is_verified_as_of_its_own_day_and_repaired_so(counted: Pipeline) -> None:
    counted.refresh({"as_of": "2020-02-10"})
    published = counted.published()
    assert verify(counted).rows_different == 0
    counted.sql.run("DELETE FROM voucher_customer.voucher_segments")
    assert verify(counted, fix=True).rows_different == 0
    assert counted.published() == published
    assert [str(day) for day in counted.column("SELECT as_of FROM voucher_customer.refreshes")][-1] == "2020-02-10"


def test_a_missing_publication_is_reported_and_made_as_of_today(pipeline: Pipeline) -> None:
    for name, rows in ROWS.items():
        pipeline.put(name, rows)
    found = verify(pipeline)
    assert (found.published, differences(found)) == (None, [(A, "entry missing", False), (B, "entry missing", False)])
    assert verify(pipeline, fix=True).published == 1
    check_as_counted(pipeline)


def test_a_table_that_another_run_is_about_to_publish_is_reported_as_such(counted: Pipeline) -> None:
    run = "UPDATE voucher_customer.refreshes SET outcome = 'running', started_at = :at WHERE refresh_id = 1"
    for at, is_followed in ((NOW - timedelta(minutes=15), False), (NOW - timedelta(minutes=14, seconds=59), True)):
        counted.sql.run(run, at=at)
        assert verify(counted).is_followed is is_followed


def test_a_bad_object_is_reported_and_stays(counted: Pipeline) -> None:
    # Given a counted object overwritten with a bad one, and a new bad one
    counted.put("a.parquet", b"garbage")
    fail(counted, daily())
    counted.put("c.parquet", b"")
    for fix in (False, True):
        found = verify(counted, fix=fix)
        assert [(difference.kind, difference.detail) for difference in found.differences] == [
            ("refused object", found.differences[0].detail),
            ("refused object", "is empty (0 bytes); nothing of it is counted"),
        ]
        assert "is not readable parquet" in found.differences[0].detail
        assert found.differences[0].detail.endswith(" is counted")
        assert wrong(found) == (2, 0, 0)
    # When it is put right, then nothing is left
    for name, rows in ROWS.items():
        counted.put(name, rows)
    counted.delete(PREFIX + "c.parquet")
    counted.refresh(daily())
    check_as_counted(counted)


def test_an_object_that_changes_while_it_is_verified_is_no_difference(counted: Pipeline) -> None:
    changes: list[Callable[[], object]] = [
        lambda: counted.put("a.parquet", [record()]),  # before its rows are read
        lambda: counted.sql.run(f"{ENTRY_SET} revision = revision + 1 WHERE key ~ '/b'"),
    ]

    guard = threading.Lock()

    def change() -> None:
        with guard:  # who reads the other object waits until all is changed
            while changes:
                changes.pop()()

    counted.before_reading(change)
    found = verify(counted, fix=True)
    assert (found.objects_changed, found.differences, found.objects_verified) == (2, [], 2)


def test_other_counts_are_reported_in_figures(counted: Pipeline) -> None:
    counted.sql.run(f"{ENTRY_SET} rows_counted = 1, usage_count[1] = 7 WHERE key ~ '/a'")
    [difference] = verify(counted).differences
    assert difference.detail == "the ledger counts 1 rows, the recount 2, and 1 counts of its usage differ"


def test_a_prefix_bounds_what_is_looked_at(counted: Pipeline) -> None:
    counted.sql.run(f"{ENTRY_SET} rows_read = 9")
    found = verify(counted, prefix=A)
    assert (differences(found), found.objects, found.objects_changed) == ([(A, "other counts", False)], 1, 0)
    assert [key for key, *_ in differences(verify(counted, prefix=A, fix=True))] == [A]
    assert [key for key, *_ in differences(verify(counted))] == [B, GONE]


def test_a_verification_that_has_no_time_goes_on_where_it_stopped(pipeline: Pipeline) -> None:
    # Given more objects than there is time for, all of which differ
    names = [f"{number:02}.parquet" for number in range(20)]
    for name in names:
        pipeline.put(name, [record()])
    clock = Clock()
    deadline = Deadline(clock.seconds_left)
    when_reading("09.parquet", clock.run_out)
    # When the time is over, then it says where to go on, and publishes what is repaired
    first = verify(pipeline, deadline, fix=True)
    assert 0 < first.objects_repaired == first.objects_verified < first.objects == 20
    assert first.go_on_after == PREFIX + names[first.objects_verified - 1]
    assert set(pipeline.published().values()) == {first.objects_repaired}
    # And the next one does the rest
    second = verify(pipeline, fix=True, after=first.go_on_after)
    assert (second.objects_verified, second.go_on_after) == (20, None)
    assert [key for found in (first, second) for key, *_ in differences(found)] == [PREFIX + name for name in names]
    assert set(pipeline.published().values()) == {20}
    assert wrong(verify(pipeline)) == (0, 0, 0)


def test_an_object_too_large_for_any_verification_is_reported_and_blocks_no_other(pipeline: Pipeline) -> None:
    for name in ("a", "b"):
        pipeline.put(f"{name}.parquet", [record()] * 10, row_group_size=1)
    pipeline.refresh(daily())
    after, kinds = "", []
    for _ in range(2):
        found = verify(pipeline, Deadline(every_look_takes(100)), after=after)
        kinds += differences(found)
        after = found.go_on_after or ""
    assert kinds == [(A, "not verified", False), (B, "not verified", False)]
    assert pipeline.column("SELECT count(*) FROM voucher_customer.ledger WHERE error IS NOT NULL") == [0]


def test_what_s3_refuses_is_reported_as_not_verified(counted: Pipeline) -> None:
    counted.sql.run(f"{ENTRY_SET} size = 5 WHERE key ~ '/a'")

    def refuse() -> None:
        raise ACCESS_DENIED

    when_reading("a.parquet", refuse)
    found = verify(counted, fix=True)
    assert (differences(found), found.objects_repaired) == ([(A, "not verified", False)], 0)
    assert "AccessDenied" in found.differences[0].detail


def test_rejected_rows_of_repaired_objects_are_written(counted: Pipeline) -> None:
    counted.put("c.parquet", [record(total_orders="-1")])
    assert verify(counted, fix=True).errors == []
    [found] = counted.s3.list_objects_v2(Bucket=BUCKET, Prefix="rejected/")["Contents"]
    assert found["Key"].startswith(f"rejected/{PREFIX}c.parquet.")


def test_rejected_rows_that_cannot_be_written_are_reported(counted: Pipeline) -> None:
    counted.put("c.parquet", [record(total_orders="-1")])
    counted.fail("PutObject")
    found = verify(counted, fix=True)
    assert (found.objects_repaired, found.refreshed) == (1, 3)
    assert "c.parquet: is counted, but its rejected rows cannot be written" in found.errors[0]


def test_the_function_answers_what_it_found(invoke: Any, counted: Pipeline) -> None:
    event = json.loads((ROOT / "tests" / "events" / "verify.json").read_text())
    counted.sql.run(f"{ENTRY_SET} usage_count[1] = 7 WHERE key ~ '/a'")
    answer = invoke(event)
    json.dumps(answer)
    assert answer["differences"] == [
        {
            "key": A, "kind": "other counts", "is_repaired": False,
            "detail": "the ledger counts 2 rows, the recount 2, and 1 counts of its usage differ",
        }
    ]  # fmt: skip
    assert invoke({**event, "fix": True})["objects_repaired"] == 1
    assert invoke(event)["differences"] == []


class ShortOfTime(Deployed):
    """A stack whose function has time for some objects only."""

    def __init__(self) -> None:
        super().__init__("stack", endpoint="http://here")
        self.events: list[dict[str, Any]] = []

    def invoke_refresh(self, event: dict[str, Any]) -> dict[str, Any]:
        looks = itertools.count()

        class EndingContext(Context):
            def get_remaining_time_in_millis(self) -> int:
                return 900_000 if next(looks) < 20 else 1_000

        self.events.append(dict(event))
        answer: dict[str, Any] = handler.handler(event, cast(Any, EndingContext()))
        return answer


def test_the_command_goes_on_until_the_end(invoke: Any, pipeline: Pipeline, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(25):
        pipeline.put(f"{number:02}.parquet", [record()])
    stack = ShortOfTime()
    says = r"^25 objects not confirmed by a recount; nothing is published\. FIX=1"
    with pytest.raises(OperationError, match=says):
        commands.verify(stack, PREFIX, fix=False)
    assert len(stack.events) >= 2
    said = capsys.readouterr().out
    assert f"of 25 objects, go on after {stack.events[1]['after']}\n" in said
    assert "verified 25 of 25 objects: 25 different, 0 repaired, 0 changed meanwhile" in said
    commands.verify(stack, None, fix=True)
    said = capsys.readouterr().out
    assert f"{PREFIX}00.parquet: entry missing (repaired): nothing of it is counted, the recount has 1 rows" in said
    assert "verified 25 of 25 objects: 0 different, 25 repaired" in said
    assert set(pipeline.published().values()) == {25}


def test_the_command_ends_when_an_invocation_makes_no_progress(invoke: Any, pipeline: Pipeline) -> None:
    class WithoutTime(ShortOfTime):
        def invoke_refresh(self, event: dict[str, Any]) -> dict[str, Any]:
            return {**super().invoke_refresh(event), "go_on_after": event.get("after", "")}

    with pytest.raises(OperationError, match="had no time for one more: give the function more memory"):
        commands.verify(WithoutTime(), None, fix=False)
