"""Races: objects that change while they are read, and refreshes that run at the same time."""

import itertools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pyarrow as pa
import pytest

from functions.refresh.counting.usage import Usage
from functions.refresh.ledger import schema
from functions.refresh.ledger.audit import LedgerAudit
from functions.refresh.ledger.entry import NO_ENTRY, LedgerEntry
from functions.refresh.ledger.ledger import Ledger
from functions.refresh.publishing.publication import Publications
from functions.refresh.reading.bucket import ObjectVersion
from functions.refresh.usecases.refresh import RefreshError
from tests.functional.conftest import NOW, Pipeline
from tests.shipped import SHIPPED
from tests.support import PREFIX, created, daily, deleted, record, wait_until_blocked


def test_an_object_overwritten_while_it_is_read_is_read_again(pipeline: Pipeline) -> None:
    key = pipeline.put("a.parquet", [record()])
    overwrites = iter([4400])

    def overwrite_once() -> None:
        for amount in overwrites:
            pipeline.put("a.parquet", [record(voucher_amount=amount)])

    pipeline.before_reading(overwrite_once)
    pipeline.refresh(created(key))
    assert {key[5] for key in pipeline.published()} == {4400}


def test_an_object_deleted_while_it_is_read_counts_nothing(pipeline: Pipeline) -> None:
    key = pipeline.put("a.parquet", [record()])
    pipeline.before_reading(lambda: pipeline.delete(key))
    assert pipeline.refresh(created(key)).objects_skipped == 1
    assert pipeline.published() == {}


@pytest.mark.parametrize("read", [[record(voucher_amount=4400.0)], b"no parquet"], ids=["rows", "unreadable"])
@pytest.mark.parametrize("before", ["absent", "deleted", "counted"])
def test_what_was_read_before_an_object_changed_back_is_not_written(
    pipeline: Pipeline, before: str, read: list[dict[str, Any]] | bytes
) -> None:
    """The run of the latest event finds the ledger right and ends, while another still has what was there meanwhile."""
    key = f"{PREFIX}a.parquet"

    def go_back() -> dict[str, Any]:
        if before == "counted":
            return created(pipeline.put("a.parquet", [record()]))
        pipeline.delete(key)
        return deleted(key)

    # Given an object that is counted, was deleted or never was
    pipeline.make()
    if before == "deleted":
        pipeline.refresh(created(pipeline.put("a.parquet", [record()])))
    if before != "absent":
        pipeline.refresh(go_back())
    published = pipeline.published()
    # When it goes back to that after a run has read another version
    pipeline.put("a.parquet", read)
    pipeline.after_reading(lambda: pipeline.refresh(go_back()))
    pipeline.refresh(created(key))
    # Then nothing of that version is noted
    assert pipeline.published() == published
    assert pipeline.column("SELECT count(*) FROM voucher_customer.ledger WHERE error IS NOT NULL") == [0]


def test_an_object_that_changes_again_and_again_ends_as_a_failure(pipeline: Pipeline) -> None:
    key = pipeline.put("a.parquet", [record()])
    rows = itertools.count(2)
    pipeline.before_reading(lambda: pipeline.put("a.parquet", [record()] * next(rows)))
    with pytest.raises(RefreshError, match="changed 5 times"):
        pipeline.refresh(created(key))


def test_a_slower_refresh_never_undoes_a_faster_one(pipeline: Pipeline) -> None:
    """Of two that looked at an object, the second to write must look again."""
    pipeline.make()
    ledger = Ledger(pipeline.database)
    key = pipeline.put("a.parquet", [record()])
    looked = ledger.entry(key)
    usage = Usage(SHIPPED)
    usage.add(pa.RecordBatch.from_pylist([record()]), 0)
    version = ObjectVersion('"old"', 1)
    pipeline.refresh(created(key))

    assert ledger.write(key, looked, version, usage, sequencer=None, now=NOW) is None
    assert ledger.write(key, looked, None, Usage(), sequencer=None, now=NOW) is None
    assert ledger.write_refusal(key, looked, "too late", sequencer=None, now=NOW) is False

    # Nor when the entry is without a version again: deleted in between, it is still another revision.
    pipeline.delete(key)
    pipeline.refresh(deleted(key))
    assert ledger.write(key, looked, version, usage, sequencer=None, now=NOW) is None
    assert pipeline.column("SELECT count(*) FROM voucher_customer.usage_totals") == [0]


def test_after_a_change_of_any_kind_an_earlier_look_writes_nothing(pipeline: Pipeline) -> None:
    pipeline.make()
    ledger = Ledger(pipeline.database)
    version = ObjectVersion("new", 1)
    writes: list[Callable[[LedgerEntry], int | None]] = [
        lambda entry: ledger.write("a", entry, version, Usage(SHIPPED), sequencer=None, now=NOW),
        lambda entry: ledger.write_refusal("a", entry, "denied", sequencer=None, now=NOW),
        lambda entry: ledger.write("a", entry, None, Usage(), sequencer=None, now=NOW),
        lambda entry: ledger.confirm("a", entry, now=NOW),
    ]
    for write in writes:
        # Given an entry, and one that is there already
        for _ in range(2):
            looked = ledger.entry("a")
            # When it is written, then whoever looked before does not write
            for _ in range(2):
                write(looked)
                assert ledger.entry("a").revision == looked.revision + 1


@pytest.mark.parametrize("what", ["counted", "removed", "failure", "confirmed"])
def test_a_write_waits_for_another_and_looks_at_the_entry_then(pipeline: Pipeline, what: str) -> None:
    # Given a refresh on another connection, which is about to write an entry
    pipeline.make()
    key = f"{PREFIX}a.parquet"
    pipeline.sql.run("BEGIN")
    schema.lock(pipeline.sql)
    insert = "INSERT INTO voucher_customer.ledger (key, revision, changed_at) VALUES (:key, 1, :now)"
    pipeline.sql.run(insert, key=key, now=NOW)
    # When one that has seen no entry writes it too
    ledger = Ledger(pipeline.database)
    writes: dict[str, Callable[..., object]] = {
        "counted": partial(ledger.write, key, NO_ENTRY, ObjectVersion("new", 1), Usage(SHIPPED), sequencer=None),
        "removed": partial(ledger.write, key, NO_ENTRY, None, Usage(), sequencer=None),
        "failure": partial(ledger.write_refusal, key, NO_ENTRY, "denied", sequencer=None),
        "confirmed": partial(ledger.confirm, key, NO_ENTRY),
    }
    # Then it waits for the first, and writes nothing
    assert run_after(pipeline, partial(writes[what], now=NOW)) in (False, None)
    assert pipeline.column("SELECT revision FROM voucher_customer.ledger") == [1]


@pytest.mark.parametrize("what", ["publication", "comparison", "totals"])
def test_readers_of_the_totals_wait_for_writers(pipeline: Pipeline, what: str) -> None:
    # Given a refresh on another connection, which is about to write
    refresh = pipeline.make()
    pipeline.sql.run("BEGIN")
    schema.lock(pipeline.sql)
    # When the totals are published, compared with what is published, or repaired, then it is after that
    acts: dict[str, Callable[[], object]] = {
        "publication": partial(pipeline.refresh_with, refresh, daily()),
        "comparison": partial(Publications(pipeline.database).compare, NOW),
        "totals": LedgerAudit(pipeline.database).repair_totals,
    }
    run_after(pipeline, acts[what])


def run_after(pipeline: Pipeline, act: Callable[[], object]) -> object:
    """Run what waits for a lock, commit the transaction that holds it, and return what comes of it."""
    with ThreadPoolExecutor(1) as pool:
        acting = pool.submit(act)
        wait_until_blocked(acting, pipeline.sql)
        pipeline.sql.run("COMMIT")
        return acting.result()


def test_refreshes_at_once_count_every_object_once(pipeline: Pipeline) -> None:
    for number in range(8):
        pipeline.put(f"{number}.parquet", [record()])
    pipeline.make()
    failures: list[BaseException] = []

    def run() -> None:
        try:
            pipeline.refresh(daily())
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert set(pipeline.published().values()) == {8}
    assert sum(pipeline.column("SELECT objects_counted FROM voucher_customer.refreshes")) == 8
