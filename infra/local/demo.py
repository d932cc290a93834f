"""The main job, shown on this machine: drop parquet into the bucket, read the published table, ask the API."""

import json
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from datetime import date
from http import HTTPStatus
from pathlib import Path
from typing import Any

from pg8000.exceptions import DatabaseError

from functions.refresh.publishing.countries import tell_missing
from functions.refresh.reading.dataset import is_in_dataset
from functions.refresh.settings import read_names
from infra.local.postgres import PSQL
from infra.local.processes import LocalError, step, wait_for
from infra.local.stack import PREFIX, Stack
from infra.operations.commands import REPORT, fetch_report
from infra.operations.deployed import OperationError
from infra.sample.sample import write_sample

_REFRESH_SECONDS = 300
_REPORT_SECONDS = 30
_MAX_SHOWN = 5

_CUSTOMER = {
    "customer_id": 123,
    "country_code": "Peru",
    "last_order_ts": "2018-05-03 00:00:00",
    "first_order_ts": "2017-05-03 00:00:00",
    "total_orders": 15,
    "segment_name": "recency_segment",
}

_PUBLISHED_TABLE = """
    SELECT * FROM voucher_customer.voucher_segments ORDER BY country_code, segment_name DESC, index
"""

_WHERE_IT_STANDS = """
    SELECT count(*) FILTER (WHERE etag IS NOT NULL),
           EXISTS (SELECT FROM voucher_customer.publication)
               AND NOT EXISTS (SELECT FROM voucher_customer.refreshes WHERE outcome = 'running'),
           coalesce(
               string_agg(key || ': ' || error, '; '),
               (SELECT string_agg(error, '; ') FROM voucher_customer.refreshes WHERE outcome = 'failed')
           )
    FROM voucher_customer.ledger
"""


def objects_of(data: str) -> dict[str, Path]:
    """Name the objects that DATA stands for: one file, several separated by spaces, or folders with all that they hold.

    Raises
    ------
    LocalError
        When none of them would be counted, or a file that is named would not.
    """
    whole = Path(data).expanduser()
    named = [whole] if whole.exists() else [Path(word).expanduser() for word in data.split()]
    objects: dict[str, Path] = {}
    for number, path in enumerate(named):
        if not path.exists():
            raise LocalError(f"DATA: there is no {path}")
        files = {path.name: path} if path.is_file() else _files_in(path)
        if path.is_file() and not is_in_dataset(path.name, ""):
            raise LocalError(f"DATA: {path} is not named *.parquet, so it would not be counted")
        # Where names repeat, each of DATA has a folder of its own.
        folder = f"{PREFIX}{number}/" if any(PREFIX + name in objects for name in files) else PREFIX
        objects.update({folder + name: file for name, file in files.items()})
    if not counted_of(objects):
        raise LocalError(f"DATA: no *.parquet file in {data}")
    return objects


def _files_in(folder: Path) -> dict[str, Path]:
    return {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}


def counted_of(objects: Iterable[str]) -> list[str]:
    """Return the keys of those objects that are part of the dataset."""
    return [key for key in objects if is_in_dataset(key, PREFIX)]


def run_demo(stack: Stack, *, data: str | None, as_of: date | None) -> None:
    """Do the main job on a running stack and print what came of it.

    Raises
    ------
    LocalError, OperationError
        When a step fails.
    """
    if data is None:
        with tempfile.TemporaryDirectory() as folder:
            sample = Path(folder, "vouchers.parquet")
            with step("make the sample: 511,427 voucher records"):
                write_sample(sample)
            _drop(stack, {PREFIX + sample.name: sample})
    else:
        _drop(stack, objects_of(data))
    if as_of is not None:
        with step(f"refresh as of {as_of} (lambda invoke)"):
            stack.deployed.invoke_refresh({"as_of": as_of.isoformat()})
    with step("fetch the report"):
        wait_for("the report of the last refresh", lambda: _has_report(stack), seconds=_REPORT_SECONDS)
    print(published_table(stack.database_url))
    _print_missing(stack)
    _ask(stack)
    print(f"\nThe report, to open in a browser: {REPORT}")


def _print_missing(stack: Stack) -> None:
    connection = stack.connect()
    try:
        missing = tell_missing(connection, read_names(stack.countries))
    finally:
        connection.close()
    if missing:
        print(f"\nCOUNTRIES: {missing}")


def _drop(stack: Stack, objects: Mapping[str, Path]) -> None:
    with step(f"put {len(objects)} file{'s' * (len(objects) > 1)} into the bucket"):
        for key, path in objects.items():
            stack.client("s3").upload_file(str(path), stack.bucket, key)
    keys = counted_of(objects)
    if ignored := sorted(objects.keys() - set(keys)):
        more = " and others" if len(ignored) > _MAX_SHOWN else ""
        print(f"Ignored, because not part of the dataset: {len(ignored)}: {', '.join(ignored[:_MAX_SHOWN])}{more}")
    with step("wait for the event to refresh (S3, EventBridge, Lambda)"):
        wait_for(
            f"refresh of {len(keys)} objects (see {stack.folder}/emulator.log)",
            lambda: _is_refreshed(stack, len(keys)),
            seconds=_REFRESH_SECONDS,
        )


def _is_refreshed(stack: Stack, objects: int) -> bool | None:
    connection = stack.connect()
    try:
        [[counted, is_published, errors]] = connection.run(_WHERE_IT_STANDS)
    except DatabaseError:
        return None  # the first refresh makes the tables
    finally:
        connection.close()
    if errors:
        raise LocalError(errors)
    return True if counted == objects and is_published else None


def _has_report(stack: Stack) -> bool | None:
    """Fetch the page, and tell whether it shows what is published: it follows the publication."""
    connection = stack.connect()
    try:
        [[refresh_id]] = connection.run("SELECT refresh_id FROM voucher_customer.publication")
    finally:
        connection.close()
    try:
        return fetch_report(stack.deployed) == refresh_id or None
    except OperationError:
        return None


def published_table(database_url: str) -> str:
    """Return the published table as psql prints it.

    Raises
    ------
    LocalError
        When psql fails.
    """
    command = [str(PSQL), database_url, "--no-psqlrc", "--pset=pager=off", "--command", _PUBLISHED_TABLE]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise LocalError(f"psql: {done.stderr.strip()}")
    return done.stdout.rstrip("\n")


def _ask(stack: Stack) -> None:
    """Send the source system's request through the emulated API Gateway, for the first country that is published."""
    customer = {**_CUSTOMER, "country_code": read_names(stack.countries)[0]}
    body = json.dumps(customer)
    print(f"\n$ curl -X GET -H 'Content-type: application/json' -d '{body}' \"$API_URL/voucher_amount\"")
    print(_answer(stack, body))
    explained = json.loads(_answer(stack, json.dumps({**customer, "explain": True})))
    if "doubt" in explained:
        print(f"\n{in_words(explained)}")


def in_words(explained: dict[str, Any]) -> str:
    """Say in one line how sure an explained answer is."""
    amounts = ", ".join(f"{amount:.0f}" for amount in explained["voucher_amount"])
    each = " each" if len(explained["voucher_amount"]) > 1 else ""
    doubt = explained["doubt"]
    if doubt["decided"]:
        verdict = f"Decided: z is {doubt['z']}, at least 1.96."
    elif doubt["z"] < 1.96:
        verdict = f"Undecided: z is {doubt['z']}, below 1.96."
    else:
        verdict = "Undecided: the two leading amounts have fewer than 30 vouchers."
    return (
        f"Most used: {amounts}, by {explained['count']:,} vouchers{each} ({explained['share']:.1%}),"
        f" {doubt['lead']:,} more than the next amount ({doubt['lead_share']:.1%}). {verdict}"
    )


def _answer(stack: Stack, body: str) -> str:
    request = urllib.request.Request(
        f"{stack.api_url}/voucher_amount",
        data=body.encode(),
        method="GET",
        headers={"Content-type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return str(response.read().decode())
    except urllib.error.HTTPError as error:
        answer = error.read().decode()
        if error.code != HTTPStatus.NOT_FOUND:
            raise LocalError(f"the API answered {error.code}: {answer}") from error
        return answer  # with one's own data there may be no voucher for such a customer
    except OSError as error:
        raise LocalError(f"the API does not answer: {error}; see {stack.folder}/emulator.log") from error
