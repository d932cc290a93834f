"""The lookup API beside its peers: `python -m tests.benchmarks.api`.

All three answer the same question on the same PostgreSQL in the same run: the API's own Lambda handler, a plain
Flask + SQLAlchemy endpoint that queries the table as the source system did, and a bare Chalice route that answers a
constant, which is the floor. Ratios are what to trust; the machine's speed is in every figure.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import redirect_stdout
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from chalice.app import Chalice
from flask import Flask, jsonify, request
from sqlalchemy import create_engine, text

from functions.common.database import Database
from functions.common.days import utc_day
from functions.common.migrations import migrate
from functions.common.settings import DatabaseSettings, load_settings
from functions.refresh.counting.usage import Usage
from functions.refresh.ledger.entry import NO_ENTRY
from functions.refresh.ledger.ledger import Ledger
from functions.refresh.publishing.publication import Publications
from functions.refresh.reading.bucket import ObjectVersion
from infra import ROOT
from infra.local.postgres import DatabaseAddress, Postgres, start_postgres
from infra.local.processes import free_port, stop_session, wait_for
from infra.local.roles import READER, create_roles
from infra.sample.sample import make_sample
from tests.families import pin_families
from tests.shipped import COLUMNS, SHIPPED
from tests.support import Context

_ROUNDS, _REQUESTS_A_ROUND, _HTTP_REQUESTS_A_ROUND = 7, 400, 100
_CUSTOMER = {"country_code": "Peru", "segment_name": "frequent_segment", "total_orders": 15}
_EXPECTED = {"voucher_amount": [2640.0]}

_SOURCE_QUERY = text(
    "SELECT voucher_amount FROM voucher_customer.voucher_segments"
    " WHERE country_code = :country_code AND segment_name = :segment_name"
    " AND :number BETWEEN min_range AND max_range ORDER BY count DESC LIMIT 1"
)


class Contender(NamedTuple):
    """An implementation that answers, in process and over HTTP."""

    name: str
    call: Callable[[], Any]
    server: list[str]


def flask_app(url: str) -> Flask:
    """Make the peer: Flask and SQLAlchemy, one query a request from a pool of connections."""
    flask = Flask("peer")
    engine = create_engine(url.partition("?")[0].replace("postgresql://", "postgresql+pg8000://"))

    @flask.post("/voucher_amount")
    def voucher_amount() -> Any:
        customer = request.get_json()
        place = {"country_code": customer["country_code"], "segment_name": customer["segment_name"]}
        with engine.connect() as connection:
            row = connection.execute(_SOURCE_QUERY, {**place, "number": customer["total_orders"]}).one()
        return jsonify({"voucher_amount": [float(row[0])]})

    return flask


def bare_chalice() -> Chalice:
    """Make the floor: Chalice's own cost of a request."""
    floor = Chalice(app_name="floor")
    floor.route("/voucher_amount", methods=["POST"])(lambda: _EXPECTED)
    return floor


def publish_sample(address: DatabaseAddress) -> None:
    """Publish the sample without S3."""
    database = Database(load_settings(DatabaseSettings, {"DATABASE_URL": address.url}), timeout_seconds=60)
    migrate(database)
    usage = Usage(SHIPPED)
    for batch in make_sample().select(COLUMNS).to_batches():
        usage.add(batch, 0)
    now = datetime.now(UTC)
    Ledger(database).write("sample", NO_ENTRY, ObjectVersion("sample", 1), usage, sequencer=None, now=now)
    publications = Publications(database)
    publications.publish(publications.start("manual", utc_day(now), ["Peru"], now), now)
    database.close()


def _lambda_call(app: Chalice) -> Callable[[], Any]:
    event = {
        "resource": "/voucher_amount", "path": "/voucher_amount", "httpMethod": "POST",
        "headers": {"Content-Type": "application/json"}, "multiValueHeaders": {"Content-Type": ["application/json"]},
        "multiValueQueryStringParameters": None, "pathParameters": None, "stageVariables": None,
        "requestContext": {"httpMethod": "POST", "resourcePath": "/voucher_amount", "identity": {}},
        "body": json.dumps(_CUSTOMER), "isBase64Encoded": False,
    }  # fmt: skip
    return lambda: json.loads(app(event, Context())["body"])


def _wsgi_call(flask: Flask) -> Callable[[], Any]:
    from io import BytesIO

    from werkzeug.test import create_environ

    body = json.dumps(_CUSTOMER).encode()
    environ = create_environ("/voucher_amount", method="POST", content_type="application/json")

    def call() -> Any:
        once = {**environ, "wsgi.input": BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        return json.loads(b"".join(flask.wsgi_app(once, lambda *_: lambda _: None)))

    return call


def _http_call(port: int) -> Callable[[], Any]:
    body = json.dumps(_CUSTOMER).encode()

    def call() -> Any:
        url = f"http://127.0.0.1:{port}/voucher_amount"
        asked = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return json.load(answer)

    return call


def dimension(calls: dict[str, Callable[[], Any]], requests: int) -> dict[str, list[float]]:
    """Time each call in turn, round by round, so that a change of the machine's speed affects all of them."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        for _ in range(20):
            assert call() == _EXPECTED
    for _ in range(_ROUNDS):
        for name, call in calls.items():
            for _ in range(requests):
                started = time.perf_counter()
                call()
                seconds[name].append(time.perf_counter() - started)
    return seconds


def table(title: str, seconds: dict[str, list[float]]) -> list[str]:
    """Return the figures as lines of a table; ratios compare medians with the first row's."""
    lines = [f"{title:<28}{'requests/s':>12}{'p50 ms':>10}{'p99 ms':>10}{'p50 ratio':>11}"]
    ours = statistics.median(next(iter(seconds.values())))
    for name, times in seconds.items():
        p50, p99 = statistics.median(times), statistics.quantiles(times, n=100)[98]
        lines.append(
            f"{name:<28}{1 / statistics.mean(times):>12,.0f}{p50 * 1e3:>10.3f}{p99 * 1e3:>10.3f}{p50 / ours:>11.1f}"
        )
    return lines


def main() -> None:
    """Run everything and print it."""
    pin_families()
    folder, address = start_postgres()
    try:
        [reader] = create_roles(address, READER)
        publish_sample(address)
        os.environ["DATABASE_URL"] = reader.url
        sys.path.insert(0, str(ROOT / "chalice_app"))
        import app as lookup

        serve = [sys.executable, "-m", "tests.benchmarks.serve"]
        contenders = [
            Contender("lookup API", _lambda_call(lookup.app), [*serve, "lookup"]),
            Contender("Flask + SQLAlchemy", _wsgi_call(flask_app(reader.url)), [*serve, "flask"]),
            Contender("bare Chalice (floor)", _lambda_call(bare_chalice()), [*serve, "floor"]),
        ]
        packages = ", ".join(f"{name} {version(name)}" for name in ("chalice", "flask", "sqlalchemy", "pg8000"))
        print(f"Python {platform.python_version()}, {packages}, {os.cpu_count()} cores, sample of 511,427 records\n")
        # The API writes a line of log for each request, in one system call as on Lambda.
        with Path(os.devnull).open("w", buffering=1) as log, redirect_stdout(log):
            in_process = dimension({one.name: one.call for one in contenders}, _REQUESTS_A_ROUND)
        print("\n".join(table("in process", in_process)), "\n")
        print("\n".join(table("over HTTP", _measure_http(contenders))))
    finally:
        Postgres(folder).stop()


def _measure_http(contenders: list[Contender]) -> dict[str, list[float]]:
    servers = []
    try:
        calls = {}
        for one in contenders:
            port = free_port()
            process = subprocess.Popen(
                [*one.server, str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
            )
            servers.append(process)
            calls[one.name] = call = _http_call(port)

            def answers(call: Callable[[], Any] = call) -> bool | None:
                try:
                    return bool(call())
                except OSError:
                    return None

            wait_for(f"{one.name} serves", answers, seconds=30)
        return dimension(calls, _HTTP_REQUESTS_A_ROUND)
    finally:
        for process in servers:
            stop_session(process.pid, name="tests.benchmarks.serve")


if __name__ == "__main__":
    main()
