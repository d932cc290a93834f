"""The publication in memory: read once, asked for now and then, good for a while without a database."""

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta

import pytest

from chalicelib.published import NothingPublishedError, PublicationCache
from functions.common.database import Database, DatabaseUnreachableError
from functions.common.migrations import migrate
from functions.common.settings import DatabaseSettings, load_settings
from functions.refresh.settings import RefreshSettings
from functions.refresh.wiring import make_refresh
from infra.local.postgres import Postgres, start_postgres
from infra.local.roles import READER, create_roles
from tests.functional.conftest import NOW, Pipeline
from tests.support import created, daily, record, wait_until_blocked


class Clock:
    """A clock that is turned by hand."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def known(pipeline: Pipeline, reader_database: Database, clock: Clock) -> PublicationCache:
    pipeline.refresh(created(pipeline.put("v.parquet", [record()])))
    return PublicationCache(reader_database, check_seconds=5, stale_seconds=60, monotonic=clock)


def test_a_new_publication_is_seen_after_the_check_and_not_before(
    known: PublicationCache, pipeline: Pipeline, clock: Clock
) -> None:
    first = known.get()
    pipeline.refresh(daily())
    assert known.get() is first
    clock.seconds += 5
    assert known.get().refresh_id == first.refresh_id + 1


def test_an_unchanged_publication_is_not_read_again(known: PublicationCache, clock: Clock) -> None:
    first = known.get()
    clock.seconds += 5
    assert known.get() is first


def test_the_first_publication_of_a_new_database_is_another(
    known: PublicationCache, pipeline: Pipeline, clock: Clock
) -> None:
    # Given the first publication of a database, which is then lost
    first = known.get()
    pipeline.sql.run("DROP SCHEMA voucher_customer CASCADE")
    migrate(pipeline.database)
    pipeline.put("v.parquet", [record(voucher_amount=4400.0)])
    # When another publishes for the first time, a moment later
    pipeline.refresh_with(pipeline.make(lambda: NOW + timedelta(milliseconds=1)), daily())
    clock.seconds += 5
    # Then neither the memory nor a caller's takes one for the other
    other = known.get()
    assert (other.refresh_id, other.etag != first.etag) == (first.refresh_id, True)
    assert other.uses_of_countries["Peru"].ranked.most_used.voucher_amount == [4400.0]


def test_before_the_first_publication_there_is_nothing(
    pipeline: Pipeline, reader_database: Database, clock: Clock
) -> None:
    published = PublicationCache(reader_database, check_seconds=5, stale_seconds=60, monotonic=clock)
    for _ in range(2):
        with pytest.raises(NothingPublishedError):
            published.get()
        pipeline.make()
    pipeline.refresh(created(pipeline.put("v.parquet", [record()])))
    assert published.get().refresh_id == 1


@pytest.fixture
def mortal(pipeline: Pipeline, clock: Clock) -> Iterator[tuple[PublicationCache, Postgres, int]]:
    """Publish on a server of the test's own, which it may stop."""
    folder, address = start_postgres()
    server = Postgres(folder)
    [reader] = create_roles(address, READER)
    settings = load_settings(RefreshSettings, {**pipeline.environ, "DATABASE_URL": address.url})
    with closing(Database(settings, timeout_seconds=2)) as database:
        migrate(database)
        refresh = make_refresh(settings, database, lambda: NOW)
        pipeline.refresh_with(refresh, created(pipeline.put("v.parquet", [record()])))
    database = Database(load_settings(DatabaseSettings, {"DATABASE_URL": reader.url}), timeout_seconds=2)
    yield PublicationCache(database, check_seconds=5, stale_seconds=60, monotonic=clock), server, address.port
    database.close()
    server.stop()


def test_without_a_database_answers_go_on_from_memory_until_the_limit(
    mortal: tuple[PublicationCache, Postgres, int], clock: Clock
) -> None:
    published, server, port = mortal
    first = published.get()
    assert not published.is_stale
    server.control("stop", "-m", "immediate")

    clock.seconds += 5
    assert published.get() is first
    assert published.is_stale
    clock.seconds += 50
    assert published.get() is first
    clock.seconds += 4  # it was asked in time, and is not asked again
    assert published.get() is first
    clock.seconds += 1
    with pytest.raises(DatabaseUnreachableError):
        published.get()

    server.start(port)
    clock.seconds += 5
    assert published.get() == first
    assert not published.is_stale


def test_a_database_that_lets_wait_is_asked_again_after_as_long_as_it_was_waited_for(
    mortal: tuple[PublicationCache, Postgres, int], clock: Clock
) -> None:
    published, server, port = mortal
    first = published.get()
    server.control("stop", "-m", "immediate")
    # When something that lets wait for 14 seconds, and then hangs up, is in its place
    with socket.create_server(("127.0.0.1", port)) as silent, ThreadPoolExecutor(1) as pool:

        def let_wait() -> None:
            connection, _ = silent.accept()
            clock.seconds += 14
            connection.close()

        pool.submit(let_wait)
        clock.seconds += 5
        assert published.get() is first
    # Then memory answers for the next 14, and not only until the next check
    server.start(port)
    clock.seconds += 13
    assert published.get() is first
    assert published.is_stale
    clock.seconds += 1
    assert published.get() == first
    assert not published.is_stale


def test_threads_share_one_reading(known: PublicationCache) -> None:
    gate = threading.Barrier(16)

    def ask(_: int) -> int:
        gate.wait()
        return id(known.get())

    with ThreadPoolExecutor(16) as pool:
        assert len(set(pool.map(ask, range(16)))) == 1


def test_a_thread_that_asks_while_another_asks_the_database_is_answered_at_once(
    known: PublicationCache, pipeline: Pipeline, clock: Clock
) -> None:
    # Given a thread that asks whether there is another publication, and a database that does not answer
    first = known.get()
    clock.seconds += 5
    pipeline.sql.run("BEGIN")
    pipeline.sql.run("LOCK TABLE voucher_customer.publication")
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(known.get)
        wait_until_blocked(asking, pipeline.sql)
        # When another one asks, then it has what is in memory, and does not wait for the first
        assert known.get() is first
        assert not asking.done()
        pipeline.sql.run("COMMIT")
        assert asking.result() is first


def test_amounts_are_in_their_order_however_the_table_keeps_them(
    pipeline: Pipeline, reader_database: Database, clock: Clock
) -> None:
    # Given a table whose lowest amounts come last
    rows = [record(voucher_amount=amount) for amount in (2640, 3520, 4400)]
    pipeline.refresh(created(pipeline.put("v.parquet", rows)))
    for amount in (3520, 2640):
        pipeline.sql.run(
            "UPDATE voucher_customer.voucher_segments SET count = count WHERE voucher_amount = :amount", amount=amount
        )
    # When it is read, then the lowest come first
    published = PublicationCache(reader_database, check_seconds=5, stale_seconds=60, monotonic=clock).get()
    for use in published.uses.values():
        assert (
            [amount.voucher_amount for amount in use.amounts]
            == use.ranked.most_used.voucher_amount
            == [2640, 3520, 4400]
        )
    assert len(published.uses) == 2
