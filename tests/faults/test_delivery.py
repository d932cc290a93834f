"""Events that come twice, late, in any order or never, to any number of refreshes at once: the table is a recount."""

from datetime import timedelta
from random import Random
from typing import Any

import pytest

from infra.local.processes import wait_for
from tests.faults.conftest import Server
from tests.faults.proxy import Proxy
from tests.faults.world import Report, Run, World, cases, some_rows
from tests.support import PREFIX, created, daily, deleted, is_lock_awaited

_FATES = ["heard", "heard twice", "lost", "late", "after the next daily run"]
_AT_ONCE = 3


class Deliveries:
    """Events on their way to refreshes of a world, which changes meanwhile."""

    def __init__(self, world: World, random: Random) -> None:
        self._world = world
        self._random = random
        self._waiting: list[dict[str, Any]] = []
        self._much_later: list[dict[str, Any]] = []

    def change(self) -> None:
        """Change an object; what becomes of the event is drawn."""
        key, is_there = self._world.change(self._random)
        event = (created if is_there else deleted)(key, day=str(self._world.day))
        fate = self._random.choice(_FATES)
        if fate == "after the next daily run":
            self._much_later.append(event)
        elif fate != "lost":
            self._waiting += [event] * (2 if fate == "heard twice" else 1)
        if fate != "late":
            self._random.shuffle(self._waiting)

    def deliver(self) -> None:
        """Deliver some events, one refresh after the other or several at once, with or without a change meanwhile."""
        count = min(len(self._waiting), self._random.choice([1, 1, _AT_ONCE]))
        events = [self._waiting.pop() for _ in range(count)]
        if count < _AT_ONCE:
            for event in events:
                self._world.refresh(event, [event["detail"]["object"]["key"]])
                self._world.check()
            return
        if self._random.random() < 0.3:
            events.append(daily(str(self._world.day)))
        keys = [event["detail"]["object"]["key"] for event in events if "object" in event["detail"]]
        self._at_once(events, None if len(events) > len(keys) else keys)

    def _at_once(self, events: list[dict[str, Any]], keys: list[str] | None) -> None:
        runs = [self._world.start(event) for event in events]
        changes = self._random.random() < 0.5
        if changes:
            self._world.may_have_looked(keys)
            self.change()
            self._world.may_have_looked()
        for run in runs:
            _check_end(run.wait())
        if not changes:
            self._world.has_looked(keys)
        self._world.check()

    def run_daily(self) -> None:
        """Run daily, on the next day, once or twice at once; then the events that were held back come."""
        self._world.day += timedelta(days=self._random.randint(0, 40))
        runs = [self._world.start(daily(str(self._world.day))) for _ in range(self._random.choice([1, 2]))]
        for run in runs:
            _check_end(run.wait())
        self._world.has_looked()
        self._world.check_all_counted()
        self._waiting += self._much_later
        self._much_later = []


def _check_end(report: Report) -> None:
    assert report.summary or report.error == "RefreshError", report


@pytest.mark.parametrize("seed", cases(short=15, full=1000))
def test_any_history_of_events_ends_in_a_recount(world: World, seed: int) -> None:
    """Given changes whose events come in any way, when refreshes follow them, then none takes a key back."""
    random = Random(seed)
    deliveries = Deliveries(world, random)
    deliveries.change()
    deliveries.run_daily()
    for _ in range(random.randint(3, 8)):
        action = random.choices([deliveries.change, deliveries.deliver, deliveries.run_daily], [6, 3, 1])[0]
        action()
    deliveries.run_daily()
    deliveries.deliver()


@pytest.mark.parametrize("seed", cases(short=3, full=60))
def test_daily_runs_at_once_do_the_work_once(world: World, seed: int) -> None:
    """Given many changes, when daily runs at once find them all, then each entry changes once and the sum is exact."""
    random = Random(seed)
    for number in range(12):
        world.put(f"{number}.parquet", some_rows(random))
    world.refresh()
    for number in range(0, 12, 2):
        world.put(f"{number}.parquet", some_rows(random))
    world.delete("1.parquet")

    runs = [world.start(daily()) for _ in range(_AT_ONCE)]
    summaries = [run.wait().summary for run in runs]

    world.has_looked()
    world.check_all_counted()
    assert all(summaries)
    assert sum(summary["objects_counted"] for summary in summaries if summary) == 6
    assert sum(summary["objects_removed"] for summary in summaries if summary) == 1
    revisions = world.sql.run("SELECT key, revision FROM voucher_customer.ledger")
    changed = {f"{PREFIX}{number}.parquet" for number in (0, 1, 2, 4, 6, 8, 10)}
    assert dict(map(tuple, revisions)) == {
        f"{PREFIX}{number}.parquet": 2 if f"{PREFIX}{number}.parquet" in changed else 1 for number in range(12)
    }


# Every message of a run belongs to one of this many tests, and is held in it; the first tests lie far apart.
_TESTS = 20


@pytest.mark.parametrize("part", cases(short=1, full=_TESTS))
def test_a_refresh_that_is_overtaken_at_any_message_undoes_nothing(world: World, server: Server, part: int) -> None:
    """Given a refresh held at a message, when the object changes or goes back and another follows it, that stays."""
    random = Random(part)
    messages = _overtake(world, server, random, 0)
    assert messages > 60
    for at in range(part * 7 % _TESTS + 1, messages + 1, _TESTS):
        try:
            _overtake(world, server, random, at)
        except BaseException as error:
            error.add_note(f"overtaken at message {at}")
            raise


def _overtake(world: World, server: Server, random: Random, at: int) -> int:
    """Hold a refresh at a message until another is done, or waits for its lock; tell how many messages it sent."""
    before = world.rows("a.parquet")
    key = world.put("a.parquet", some_rows(random))
    others: list[Run] = []

    def overtake() -> None:
        rows = random.choice([some_rows(random), None, before])
        if rows is None:
            world.delete("a.parquet")
        else:
            world.put("a.parquet", rows)
        others.append(world.start((deleted if rows is None else created)(key)))
        wait_for(
            "the other refresh",
            lambda: others[0].has_ended or is_lock_awaited(world.sql) or None,
            seconds=60,
            every=0.01,
        )

    with Proxy(server.address.port, at=at, how="held") as proxy:
        proxy.act = overtake
        run = world.start(created(key), DATABASE_URL=server.address._replace(port=proxy.port).url)
        reports = [run.wait(), *(other.wait() for other in others)]
    assert all(report.summary for report in reports), reports
    world.has_looked()
    world.check()
    return proxy.messages
