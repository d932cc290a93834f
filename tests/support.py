"""Helpers of the tests: parquet from a few rows, events, and a recount that shares no code with the project."""

import copy
import io
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any
from urllib.request import Request, urlopen

import boto3
import botocore.session
import pyarrow as pa
import pyarrow.parquet as pq
from moto.server import ThreadedMotoServer
from pg8000.native import Connection

from infra import ROOT as ROOT  # noqa: PLC0414 - the tests have it from here
from infra.local.processes import wait_for

REAL_FILE = ROOT.parent / "shared" / "data" / "vouchers_2018.parquet"
WHY_SKIPPED = f"the real file of 2018 is not part of the project: {REAL_FILE.name} is absent"

# Built packages run on this Python, unless `make test-runtimes` names another.
RUNTIME = os.environ.get("RUNTIME") or f"python{sys.version_info.major}.{sys.version_info.minor}"
ARCHITECTURE = "arm64" if os.uname().machine in ("arm64", "aarch64") else "x86_64"

BUCKET = "voucher-bucket"
PREFIX = "vouchers/"

# The published table of the source system: family, range, then the counts of these amounts.
AMOUNTS_OF_PERU = (0, 2640, 3520, 4400)
PUBLISHED_TABLE_OF_PERU = (
    ("recency_segment", "180+", 180, 99999999, (13950, 49102, 22037, 21458)),
    ("frequent_segment", "0-4", 0, 4, (4543, 16496, 7758, 7402)),
    ("frequent_segment", "5-13", 5, 13, (253, 4112, 1374, 1272)),
    ("frequent_segment", "13-37", 14, 37, (1501, 11813, 4391, 4225)),
    ("frequent_segment", "37+", 38, 99999999, (7653, 16681, 8514, 8559)),
)


@contextmanager
def serving_aws() -> Iterator[str]:
    """Serve moto on 127.0.0.1, for processes that share no memory with the test."""
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    forget_aws(f"http://{host}:{port}")
    server.stop()


def forget_aws(endpoint: str) -> None:
    """Empty what moto serves: it outlives even its server."""
    urlopen(Request(f"{endpoint}/moto-api/reset", method="POST")).close()


@cache
def _session() -> tuple[botocore.session.Session, boto3.Session, Any]:
    """Make the sessions once, with what they have for hooks: a test would spend more time on it than on all else."""
    botocore_session = botocore.session.Session()
    session = boto3.Session(botocore_session=botocore_session)
    return botocore_session, session, copy.copy(session.events)


def setup_session() -> None:
    """Have boto3 begin anew, without the hooks and the credentials of an earlier test."""
    botocore_session, session, no_hooks = _session()
    botocore_session.register_component("event_emitter", copy.copy(no_hooks))
    botocore_session.set_credentials(os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])
    boto3.DEFAULT_SESSION = session


# Names of countries that would do harm to a page that took them for markup.
HOSTILE = [
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<!--<script>",
    "]]>&lt;&amp;",
    "a\u2028b\u2029c",
    "\"'`${alert(1)}",
    "{table}{data}{script}",
    "\u202eurep",
]

_SEGMENTS = (
    ("frequent_segment", "0-4", 0, 4),
    ("frequent_segment", "5-13", 5, 13),
    ("frequent_segment", "13-37", 14, 37),
    ("frequent_segment", "37+", 38, 99999999),
    ("recency_segment", "30-60", 30, 60),
    ("recency_segment", "60-90", 61, 90),
    ("recency_segment", "90-120", 91, 120),
    ("recency_segment", "120-180", 121, 179),
    ("recency_segment", "180+", 180, 99999999),
)

# country_code, segment_name, segment_type, min_range, max_range, voucher_amount -> count
Published = dict[tuple[str, str, str, int, int, int], int]


def published_table_of_peru() -> Published:
    """Return the source system's published table."""
    return {
        ("Peru", family, label, low, high, amount): count
        for family, label, low, high, counts in PUBLISHED_TABLE_OF_PERU
        for amount, count in zip(AMOUNTS_OF_PERU, counts, strict=True)
    }


def read_published(connection: Connection) -> Published:
    """Read the published table."""
    rows = connection.run(
        "SELECT country_code, segment_name, segment_type, min_range, max_range, voucher_amount, count"
        " FROM voucher_customer.voucher_segments"
    )
    return {tuple(row[:-1]): row[-1] for row in rows}


class Context:
    """The little of Lambda's context that a function reads."""

    function_name = "lookup"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:lookup"
    aws_request_id = "52fdfc07-2182-154f-163f-5f0f9a621d72"

    def get_remaining_time_in_millis(self) -> int:
        return 900_000


def has_ended(pid: int) -> bool | None:
    """Return True if a process has ended or is a zombie; None while it runs."""
    shown = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], check=False, capture_output=True, text=True)
    return shown.stdout.strip()[:1] in ("", "Z") or None


def recount(rows: Iterable[Mapping[str, Any]], as_of: date, countries: Iterable[str]) -> Published:
    """Count good rows one by one, in plain Python, the way one would by hand."""
    countries = set(countries)
    table: Counter[tuple[str, str, str, int, int, int]] = Counter()
    for row in rows:
        if row["country_code"] not in countries:
            continue
        amount = int(row["voucher_amount"] or 0)
        orders = int(float(row["total_orders"] or 0))
        days = (as_of - datetime.strptime(row["last_order_ts"][:10], "%Y-%m-%d").date()) // timedelta(days=1)
        for name, label, low, high in _SEGMENTS:
            if low <= (days if name == "recency_segment" else orders) <= high:
                table[(row["country_code"], name, label, low, high, amount)] += 1
    return dict(table)


def record(**values: Any) -> dict[str, Any]:
    """Return a good voucher record with some values replaced."""
    return {
        "country_code": "Peru",
        "last_order_ts": "2020-01-06 00:00:00+00:00",
        "total_orders": "2.0",
        "voucher_amount": 2640.0,
        **values,
    }


def parquet(rows: list[dict[str, Any]] | pa.Table, **options: Any) -> bytes:
    """Write rows as parquet."""
    table = rows if isinstance(rows, pa.Table) else pa.Table.from_pylist(rows)
    buffer = io.BytesIO()
    pq.write_table(table, buffer, **options)
    return buffer.getvalue()


def created(key: str, day: str = "2020-12-22", bucket: str = BUCKET) -> dict[str, Any]:
    """Return EventBridge's event of an object that was put."""
    return _s3_event("object_created", key, day, bucket)


def deleted(key: str, day: str = "2020-12-22") -> dict[str, Any]:
    """Return EventBridge's event of an object that was deleted."""
    return _s3_event("object_deleted", key, day, BUCKET)


def _s3_event(name: str, key: str, day: str, bucket: str) -> dict[str, Any]:
    event = _event(name, day)
    event["detail"]["bucket"]["name"] = bucket
    event["detail"]["object"]["key"] = key
    return event


def daily(day: str = "2020-12-22") -> dict[str, Any]:
    """Return EventBridge's event of the daily rule."""
    return _event("daily", day)


def unfinished(day: str = "2020-12-22") -> dict[str, Any]:
    """Return what the rule makes of the result of a run that left objects."""
    return _event("unfinished", day)


def _event(name: str, day: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((ROOT / "tests" / "events" / f"{name}.json").read_text())
    return {**event, "time": f"{day}T14:12:03Z"}


def is_lock_awaited(sql: Connection) -> bool:
    """Return whether a session of the database waits for a lock."""
    return bool(sql.run("SELECT FROM pg_locks WHERE NOT granted"))


def wait_until_blocked(task: "Future[Any]", sql: Connection) -> None:
    """Wait until a task waits for a lock of the database, which it has to."""

    def is_blocked() -> bool | None:
        assert not task.done()
        return is_lock_awaited(sql) or None

    wait_for("the wait for a lock", is_blocked, seconds=30, every=0.01)
