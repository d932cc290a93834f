"""Lookups while the database is gone, slow, late or restarted: right answers in bounded time, and one connection."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from random import Random
from typing import Any, NamedTuple

import pytest

from infra.local.postgres import DatabaseAddress
from infra.local.processes import wait_for
from infra.local.roles import READER
from tests.faults.conftest import Server
from tests.faults.proxy import Proxy
from tests.faults.world import LONGEST_SECONDS, World, cases
from tests.support import ROOT, Context, record

_THREADS = 50


class Answer(NamedTuple):
    """What the API answered."""

    status: int
    body: Any
    etag: str
    is_stale: bool


Ask = Callable[[], Answer]


@pytest.fixture
def reader(world: World, server: Server) -> DatabaseAddress:
    """Let the API's role, which the migrations made, sign in with a password."""
    world.sql.run(f"ALTER ROLE {READER} PASSWORD 'of the test'")
    return server.address._replace(user=READER, password="of the test")


@pytest.fixture
def proxy(reader: DatabaseAddress, server: Server) -> Iterator[Proxy]:
    """Stand between API and database."""
    with Proxy(server.address.port) as proxy:
        yield proxy


@pytest.fixture
def ask(reader: DatabaseAddress, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ask]:
    """Ask the API, which asks the database at every request, for a customer's amounts."""
    import app as lookup

    monkeypatch.setenv("DATABASE_URL", reader._replace(port=proxy.port).url)
    monkeypatch.setenv("PUBLICATION_CHECK_SECONDS", "0")
    event = json.loads((ROOT / "tests" / "events" / "api_request.json").read_text())

    def send() -> Answer:
        answer = lookup.app(event, Context())
        headers = answer["headers"]
        body = json.loads(answer["body"])
        return Answer(answer["statusCode"], body, headers.get("ETag", ""), "Voucher-Stale" in headers)

    yield send
    lookup.database().close()
    for made_once in (lookup.settings, lookup.database, lookup.published):
        made_once.cache_clear()


class Amounts:
    """Publications, each with another amount, and the answer that belongs to each."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._right: dict[str, dict[str, list[float]]] = {}

    def publish(self) -> None:
        """Publish another amount."""
        amount = 1000.0 + len(self._right)
        self._world.put("a.parquet", [record(voucher_amount=amount)])
        self._world.refresh()
        [[refresh_id, published_at]] = self._world.sql.run(
            "SELECT refresh_id, published_at"
            " FROM voucher_customer.publication JOIN voucher_customer.refreshes USING (refresh_id)"
        )
        self._right[f'"refresh-{refresh_id}-{published_at.timestamp():.6f}"'] = {"voucher_amount": [amount]}

    def check(self, answer: Answer) -> None:
        """Check that an answer is the one of the publication that it names."""
        assert answer.status == 200, answer
        assert answer.body == self._right[answer.etag]

    def check_newest(self, ask: Ask) -> None:
        """Check that the database is asked again, after as long as it was last waited for, for what is newest."""

        def ask_again() -> Answer | None:
            answer = ask()
            return answer if answer.status == 200 and not answer.is_stale else None

        answer = wait_for("the database", ask_again, seconds=LONGEST_SECONDS)
        self.check(answer)
        assert answer.etag == list(self._right)[-1]


def _connections(world: World) -> int:
    [[count]] = world.sql.run("SELECT count(*) FROM pg_stat_activity WHERE usename = 'voucher_reader'")
    return int(count)


@pytest.mark.parametrize("part", cases(short=1, full=10))
def test_threads_get_right_answers_while_the_database_fails_and_returns(
    world: World, server: Server, proxy: Proxy, ask: Ask, part: int
) -> None:
    """Given 50 threads that ask on, when connections are cut, slow and restarted, then no answer is wrong."""
    random = Random(part)
    amounts = Amounts(world)
    amounts.publish()
    amounts.check_newest(ask)
    with ThreadPoolExecutor(_THREADS) as pool:
        for round_ in range(10):
            answers: list[Future[Answer]] = [pool.submit(ask) for _ in range(100)]
            if round_ == 5:
                server.restart(random.choice(["fast", "immediate"]))
                world.reconnect(server.connect())
            proxy.delay_seconds = random.choice([0, 0.01])
            if random.random() < 0.5:
                proxy.cut()
            if random.random() < 0.7:
                amounts.publish()
            for answer in answers:
                amounts.check(answer.result(LONGEST_SECONDS))
    amounts.check_newest(ask)
    assert _connections(world) == 1


def test_a_database_that_does_not_answer_holds_up_one_request_only(world: World, proxy: Proxy, ask: Ask) -> None:
    """Given a database that is silent, when 50 ask, then 49 are answered while it is, and the one when it is cut."""
    amounts = Amounts(world)
    amounts.publish()
    amounts.check_newest(ask)
    proxy.delay_seconds = LONGEST_SECONDS
    with ThreadPoolExecutor(_THREADS) as pool:
        answers = [pool.submit(ask) for _ in range(_THREADS)]
        while len(wait(answers, timeout=0.05).not_done) > 1:
            pass
        [held] = wait(answers, timeout=0).not_done
        # In the full form it connects anew to the same silence, until its bound of five seconds.
        is_silent = len(cases(short=0, full=1)) > 0
        proxy.delay_seconds = LONGEST_SECONDS if is_silent else 0
        proxy.cut()
        for answer in answers:
            amounts.check(answer.result(LONGEST_SECONDS))
        assert held.result().is_stale == is_silent


def test_a_database_that_is_gone_and_returns_late_is_noticed_both_times(
    world: World, server: Server, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given no database, when asked, then memory answers and says so; once it is back, what is new is answered."""
    amounts = Amounts(world)
    amounts.publish()
    amounts.check_newest(ask)
    server.control.control("stop", "-m", "immediate")
    amounts.check(ask())  # by which it is noticed
    with ThreadPoolExecutor(_THREADS) as pool:
        for answer in pool.map(lambda _: ask(), range(200)):
            amounts.check(answer)
            assert answer.is_stale
    server.control.start(server.address.port)
    world.reconnect(server.connect())
    amounts.check_newest(ask)
    amounts.publish()
    amounts.check_newest(ask)


def test_beyond_the_limit_nothing_stale_is_answered(
    world: World, server: Server, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a limit of no time at all, when the database is gone, then the answer is a 503 until it is back."""
    monkeypatch.setenv("PUBLICATION_STALE_SECONDS", "0")
    amounts = Amounts(world)
    amounts.publish()
    amounts.check_newest(ask)
    server.control.control("stop", "-m", "fast")
    with ThreadPoolExecutor(_THREADS) as pool:
        assert {answer.status for answer in pool.map(lambda _: ask(), range(100))} == {503}
    server.control.start(server.address.port)
    world.reconnect(server.connect())
    amounts.check_newest(ask)


def test_many_requests_share_one_connection(world: World, ask: Ask) -> None:
    """Given thousands of requests in 50 threads, when all are answered, then the database sees one connection."""
    amounts = Amounts(world)
    amounts.publish()
    requests = len(cases(short=1_000, full=10_000))
    with ThreadPoolExecutor(_THREADS) as pool:
        for number, answer in enumerate(pool.map(lambda _: ask(), range(requests))):
            amounts.check(answer)
            if number % 500 == 0:
                assert _connections(world) == 1
    assert _connections(world) == 1
