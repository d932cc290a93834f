"""A bucket whose whole past is known, refreshes of it in processes of their own, and the recount to compare with."""

import json
import multiprocessing
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

from pg8000.exceptions import InterfaceError
from pg8000.native import Connection

from functions.common.database import Database
from functions.common.migrations import migrate
from functions.common.settings import load_settings
from functions.refresh.settings import RefreshSettings
from functions.refresh.usecases.events import read_event
from functions.refresh.usecases.refresh import Refresh, RefreshError
from functions.refresh.wiring import make_refresh
from tests.faults.driver import invoke
from tests.support import BUCKET, PREFIX, daily, parquet, read_published, record, recount

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

COUNTRIES = ["Peru", "China"]
NAMES = [f"{letter}.parquet" for letter in "abcd"]
LONGEST_SECONDS = 60
# How the reasons begin for which an object is refused.
_REASONS = ("is empty", "is not readable parquet", "is encrypted parquet", "needed column", "column ", "more than ")
_NOW = datetime(2020, 12, 22, 14, 12, 3, tzinfo=UTC)

Rows = list[dict[str, Any]]

# A child starts in milliseconds: the fork server has imported everything once.
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["tests.faults.driver", "pytest"])


def cases(short: int, full: int) -> range:
    """Return the seeds of an attack: some in the short form, many where FAULTS is `full`."""
    return range(full if os.environ.get("FAULTS") == "full" else short)


class Report(NamedTuple):
    """The outcome of an invocation: the summary that it returned, or the error that it raised; neither when killed."""

    summary: dict[str, Any] | None = None
    error: str = ""
    message: str = ""


class Run:
    """An invocation, or another task, under way in a process of its own."""

    def __init__(self, event: object, environ: Mapping[str, str], task: Callable[..., None] = invoke) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="refresh-")
        self._process = _PROCESSES.Process(target=task, args=(event, environ, self._folder.name))
        self._process.start()

    @property
    def has_ended(self) -> bool:
        """Whether the process has ended."""
        return not self._process.is_alive()

    def kill(self, after_seconds: float = 0) -> None:
        """End the process with SIGKILL, unless it has ended within the time."""
        self._process.join(after_seconds)
        self._process.kill()

    def wait(self) -> Report:
        """Wait for the end, which has to come."""
        self._process.join(LONGEST_SECONDS)
        if self._process.is_alive():
            self._process.kill()
            raise AssertionError(f"no end after {LONGEST_SECONDS} s: {Path(self._folder.name, 'log').read_text()}")
        report = Path(self._folder.name, "report")
        try:
            # The file of one that was killed while it wrote is empty.
            return Report(**json.loads(report.read_text())) if report.exists() and report.stat().st_size else Report()
        finally:
            self._folder.cleanup()


def some_rows(random: Random) -> Rows:
    """Draw a few good records."""
    return [
        record(
            country_code=random.choice(["Peru", "China", "Latvia"]),
            total_orders=random.choice([None, "", f"{random.randrange(50)}.0"]),
            voucher_amount=random.choice([None, 0.0, 2640.0, 3520.0, 4400.0]),
            last_order_ts=f"2020-{random.randint(1, 12):02}-{random.randint(1, 28):02} 00:00:00+00:00",
        )
        for _ in range(random.randint(1, 12))
    ]


class World:
    """A bucket, the database that follows it, and which versions of each object the ledger may have counted.

    Attributes
    ----------
    environ : dict of str to str
        What a refresh finds in its environment.
    """

    def __init__(self, s3: "S3Client", sql: Connection, environ: dict[str, str]) -> None:
        self._s3 = s3
        self.sql = sql
        self.environ = environ
        self._database = Database(load_settings(RefreshSettings, environ), timeout_seconds=LONGEST_SECONDS)
        migrate(self._database)
        self._refresh: Refresh | None = None
        self.day = date(2020, 12, 22)
        self._rows_of: dict[tuple[str, str | None], Rows] = {}
        # What each key holds: the ETag of good rows, None where there is no object, absent where it cannot be read.
        self._holds: dict[str, str | None] = {}
        self._bad: set[str] = set()
        self._may_be_counted: dict[str, set[str | None]] = {}

    def forget(self) -> None:
        """Take the database back to where nothing was ever counted."""
        self.sql.run("DROP SCHEMA IF EXISTS voucher_customer CASCADE")
        migrate(self._database)
        self._may_be_counted = {key: {None} for key in self._may_be_counted}

    def put(self, name: str, content: Rows | bytes) -> str:
        """Put rows, or bytes that cannot be read, and return the key."""
        key = PREFIX + name
        body = content if isinstance(content, bytes) else parquet(content)
        etag = self._s3.put_object(Bucket=BUCKET, Key=key, Body=body)["ETag"]
        self._bad.discard(key)
        if isinstance(content, bytes):
            self._bad.add(key)
        else:
            self._holds[key] = etag
            self._rows_of[key, etag] = content
        self._may_be_counted.setdefault(key, {None})
        return key

    def rows(self, name: str) -> Rows | None:
        """Return the rows that an object holds; None when there is no object."""
        return self._rows_of.get((PREFIX + name, self._holds.get(PREFIX + name)))

    def delete(self, name: str) -> str:
        """Delete an object, if it is there, and return the key."""
        key = PREFIX + name
        self._s3.delete_object(Bucket=BUCKET, Key=key)
        self._bad.discard(key)
        self._holds[key] = None
        self._may_be_counted.setdefault(key, {None})
        return key

    def change(self, random: Random) -> tuple[str, bool]:
        """Put, overwrite, break or delete an object; return its key and whether it is there now."""
        name = random.choice(NAMES)
        what = random.random()
        if what < 0.25:
            return self.delete(name), False
        return self.put(name, random.randbytes(50) if what < 0.35 else some_rows(random)), True

    def start(self, event: Mapping[str, Any], **environ: str) -> Run:
        """Start a refresh and come back at once."""
        return Run(event, {**self.environ, **environ})

    def may_have_looked(self, keys: Iterable[str] | None = None) -> None:
        """Note that a refresh, which something happened to, may have counted what is there now."""
        for key in self._may_be_counted if keys is None else keys:
            if key not in self._bad:
                self._may_be_counted[key] = self._may_be_counted[key] | {self._holds[key]}

    def has_looked(self, keys: Iterable[str] | None = None) -> None:
        """Note that an undisturbed refresh has counted what is there now."""
        for key in self._may_be_counted if keys is None else keys:
            if key not in self._bad:
                self._may_be_counted[key] = {self._holds[key]}

    def refresh(self, event: Mapping[str, Any] | None = None, keys: Iterable[str] | None = None) -> None:
        """Refresh undisturbed in this process, by default as the daily run does."""
        if self._refresh is None:
            self._refresh = make_refresh(load_settings(RefreshSettings, self.environ), self._database, lambda: _NOW)
        trigger = read_event(event or daily(str(self.day)), bucket=BUCKET, prefix=PREFIX, now=_NOW)
        # What cannot be read fails the run after everything else is done.
        with suppress(RefreshError):
            self._refresh.run(trigger)
        self.has_looked(keys)

    def close(self) -> None:
        """Let the connections go."""
        self._database.close()
        self.sql.close()

    def reconnect(self, sql: Connection) -> None:
        """Look into the database through another connection, after a restart."""
        with suppress(InterfaceError):  # the server has ended it
            self.sql.close()
        self.sql = sql

    def check_ledger(self) -> Rows:
        """Compare ledger and totals with a recount, object by object, of what may be counted; return its rows."""
        rows: Rows = []
        found = self.sql.run("SELECT key, etag, error FROM voucher_customer.ledger")
        ledger = {key: (etag, error) for key, etag, error in found}
        for key, candidates in self._may_be_counted.items():
            etag, error = ledger.pop(key, (None, None))
            assert etag in candidates, f"{key} is counted as of {etag}, not {candidates}"
            assert error is None or error.startswith(_REASONS), error
            rows += self._rows_of.get((key, etag), [])
        assert ledger == {}
        assert _totals(self.sql) == naive_usage(rows)
        assert _ledger_usage(self.sql) == naive_usage(rows)
        return rows

    def check(self) -> None:
        """Compare the published table too, after a run that came to its end."""
        assert read_published(self.sql) == recount(self.check_ledger(), self.day, COUNTRIES)

    def check_all_counted(self) -> None:
        """Check as `check`, after a run that looked at everything: what is bad, and only that, has an error."""
        self.check()
        errors = self.sql.run("SELECT key FROM voucher_customer.ledger WHERE error IS NOT NULL")
        assert {key for (key,) in errors} == self._bad


def naive_usage(rows: Rows) -> Counter[tuple[str, str, int, int]]:
    """Count rows one by one."""
    usage: Counter[tuple[str, str, int, int]] = Counter()
    for row in rows:
        amount = _known(row["voucher_amount"])
        day = (datetime.fromisoformat(row["last_order_ts"][:10]) - datetime(1970, 1, 1)).days
        usage[row["country_code"], "total_orders", _known(row["total_orders"]), amount] += 1
        usage[row["country_code"], "days_since(last_order_ts)", day, amount] += 1
    return usage


def _known(value: Any) -> int:
    """Return a number, -1 for one that is not there."""
    return -1 if value in (None, "") else int(float(value))


def _totals(sql: Connection) -> Counter[tuple[str, str, int, int]]:
    found = sql.run("SELECT country_code, dimension, value, voucher_amount, count FROM voucher_customer.usage_totals")
    return Counter({tuple(row[:4]): row[4] for row in found})


def _ledger_usage(sql: Connection) -> Counter[tuple[str, str, int, int]]:
    usage: Counter[tuple[str, str, int, int]] = Counter()
    for row in sql.run(
        "SELECT counted.* FROM voucher_customer.ledger, unnest(usage_country_code, usage_dimension, usage_value,"
        " usage_voucher_amount, usage_count) AS counted"
    ):
        usage[tuple(row[:4])] += row[4]
    return usage
