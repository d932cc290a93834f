"""A database that goes away in the midst of a refresh: the next one ends in a recount of the bucket."""

from collections.abc import Callable
from random import Random

import pytest

from tests.faults.conftest import Server
from tests.faults.proxy import How, Proxy
from tests.faults.world import Report, World, cases, some_rows
from tests.support import daily, record

# Every message of a run belongs to one of this many tests, and is interrupted in it; the first tests lie far apart.
_TESTS = 40

# As long as the files of its log, which it makes as long as this at once.
_LONGEST_FILE = 16 * 2**20

# What a run that loses its database may end as.
_CLEAR = {"RefreshError", "DatabaseUnreachableError", "InterfaceError"}


def _prepare_first(world: World, random: Random) -> None:
    """Make a bucket for a run that finds an empty database."""
    world.forget()
    world.put("new.parquet", some_rows(random))


def _prepare_later(world: World, random: Random) -> None:
    """Make a bucket for a run that finds a change of each kind."""
    for name in ("kept", "overwritten", "deleted", "broken"):
        world.put(f"{name}.parquet", some_rows(random))
    world.delete("new.parquet")
    world.refresh()
    world.put("overwritten.parquet", some_rows(random))
    world.put("broken.parquet", random.randbytes(50))
    world.delete("deleted.parquet")
    world.put("new.parquet", some_rows(random))


Prepare = Callable[[World, Random], None]


def _interrupted(world: World, server: Server, at: int, how: How, *, kill: bool) -> tuple[Report, int]:
    """Refresh, interrupted at a message; return its outcome and how many messages it sent."""
    with Proxy(server.address.port, at=at, how=how) as proxy:
        run = world.start(daily(str(world.day)), DATABASE_URL=server.address._replace(port=proxy.port).url)
        if kill:
            proxy.act = run.kill
        report = run.wait()
    world.may_have_looked()
    return report, proxy.messages


@pytest.mark.parametrize("prepare", [_prepare_first, _prepare_later], ids=["first", "later"])
@pytest.mark.parametrize("part", cases(short=1, full=_TESTS))
def test_a_connection_cut_at_any_message_leaves_exact_counts(
    world: World, server: Server, prepare: Prepare, part: int
) -> None:
    """Given a connection that is cut at a message or at its answer, when a refresh follows, then all is exact."""
    _attack_each_message(world, server, prepare, part, kill=False)


@pytest.mark.parametrize("prepare", [_prepare_first, _prepare_later], ids=["first", "later"])
@pytest.mark.parametrize("part", cases(short=1, full=_TESTS // 5))
def test_a_process_killed_at_any_statement_leaves_exact_counts(
    world: World, server: Server, prepare: Prepare, part: int
) -> None:
    """Given a process that ends at a message to the database, when a refresh follows, then all is exact."""
    _attack_each_message(world, server, prepare, part, kill=True)


def _attack_each_message(world: World, server: Server, prepare: Prepare, part: int, *, kill: bool) -> None:
    random = Random(part)
    prepare(world, random)
    _, messages = _interrupted(world, server, 0, "before", kill=False)
    assert messages > 100
    for at in range(part * 17 % _TESTS + 1, messages + 1, _TESTS):
        # A statement is a few messages, so of each some are lost and some go unanswered.
        how: How = random.choice(["before", "after"])
        try:
            prepare(world, random)
            report, _ = _interrupted(world, server, at, how, kill=kill)
            assert kill or report.summary or report.error in _CLEAR, report
            assert not kill or report == Report(), report
            world.check_ledger()
            world.refresh()
            world.check_all_counted()
        except BaseException as error:
            error.add_note(f"interrupted {how} message {at}")
            raise


@pytest.mark.parametrize("how", ["fast", "immediate"])
@pytest.mark.parametrize("seed", cases(short=2, full=20))
def test_a_database_that_restarts_in_mid_run_leaves_exact_counts(
    world: World, server: Server, seed: int, how: str
) -> None:
    """Given a database that restarts at a random message of a run, when a refresh follows, then all is exact."""
    random = Random(seed)
    _prepare_later(world, random)
    with Proxy(server.address.port, at=random.randint(1, 250), how="after") as proxy:
        proxy.act = lambda: server.restart(how)
        run = world.start(daily(str(world.day)), DATABASE_URL=server.address._replace(port=proxy.port).url)
        report = run.wait()
    assert report.summary or report.error in _CLEAR, report
    world.may_have_looked()
    world.reconnect(server.connect())

    world.check_ledger()
    world.refresh()

    world.check_all_counted()


def test_a_read_only_database_fails_the_run_clearly_and_is_recovered_from(world: World, server: Server) -> None:
    """Given a read-only database, when a refresh fails, then it says why, and the next one counts what it missed."""
    _prepare_later(world, Random(0))
    name = server.address.name
    world.sql.run(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    try:
        report = world.start(daily(str(world.day))).wait()
    finally:
        world.sql.run(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    assert (report.error, "read-only transaction" in report.message) == ("StatementError", True)

    world.check_ledger()
    world.refresh()

    world.check_all_counted()


def test_a_database_that_may_not_grow_fails_the_run_clearly_and_is_recovered_from(world: World, server: Server) -> None:
    """Given files that may not grow, as on a full disk, when a refresh fails, the next one counts what it missed."""
    _prepare_later(world, Random(0))
    # The file of the totals is as long as it may be, and what is free in it PostgreSQL does not know.
    world.sql.run("ALTER TABLE voucher_customer.usage_totals SET (autovacuum_enabled = false)")
    world.sql.run(
        "INSERT INTO voucher_customer.usage_totals"
        " SELECT 'x', 'total_orders', number, 0, 1 FROM generate_series(1, 400000) AS number"
    )
    world.sql.run("DELETE FROM voucher_customer.usage_totals WHERE country_code = 'x'")
    world.put("wide.parquet", [record(total_orders=f"{orders}.0") for orders in range(2000)])
    with server.limited(_LONGEST_FILE):
        report = world.start(daily(str(world.day))).wait()
    world.reconnect(server.connect())
    assert (report.error, "could not extend file" in report.message) == ("StatementError", True), report

    world.may_have_looked()
    world.check_ledger()
    world.refresh()

    world.check_all_counted()
