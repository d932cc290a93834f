"""The main job, shown on this machine: drop parquet into the bucket, read the published table, ask the API."""

import json
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from datetime import date
from http import HTTPStatus
from pathlib import Path

from pg8000.exceptions import DatabaseError

from functions.refresh.publishing.countries import describe_missing
from functions.refresh.settings import read_names
from infra.local.objects import counted_of, objects_of
from infra.local.processes import LocalError, step, wait_for
from infra.local.results import in_words, most_used, published_table, query, verdict
from infra.local.stack import PREFIX, Stack
from infra.operations.commands import API_PAGE, REPORT, fetch_report
from infra.operations.deployed import OperationError
from infra.sample.sample import write_sample
from infra.words import count_of

_REFRESH_SECONDS = 300
_REPORT_SECONDS = 30
_MAX_SHOWN = 5
_MOST_ROWS = 40

# For the sample: as of today all of its customers are in the last recency segment.
_DAY_OF_ALL_SEGMENTS = date(2020, 6, 15)

_CUSTOMER = {
    "customer_id": 123,
    "country_code": "Peru",
    "last_order_ts": "2018-05-03 00:00:00",
    "first_order_ts": "2017-05-03 00:00:00",
    "total_orders": 15,
    "segment_name": "recency_segment",
}

_COUNTS = """
    SELECT country_code, segment_name, segment_type, voucher_amount, count FROM voucher_customer.voucher_segments
    ORDER BY country_code, segment_name DESC, min_range, voucher_amount
"""

_RECENCY_SEGMENTS = """
    SELECT segment_type, sum(count) FROM voucher_customer.voucher_segments WHERE segment_name = 'recency_segment'
    GROUP BY segment_type, min_range ORDER BY min_range
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


def run_demo(stack: Stack, *, data: str | None, as_of: date | None, full: bool) -> str:
    """Do the main job on a running stack and print the results.

    Parameters
    ----------
    stack : Stack
        The stack.
    data : str or None
        What to put into its bucket; None means the sample.
    as_of : date or None
        The day to publish as of in the end; None means today.
    full : bool
        Whether the whole table is printed, however long it is.

    Returns
    -------
    str
        How many of the records were counted, and why others were not; what is undecided and unknown of them.

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
        _publish_as_of(stack, as_of)
    with step("fetch the report"):
        wait_for("the report of the last refresh", lambda: _has_report(stack), seconds=_REPORT_SECONDS)
    said = _print_published(stack, full=full)
    _ask(stack)
    if data is None and as_of is None:
        _publish_as_of(stack, _DAY_OF_ALL_SEGMENTS)
        print(f"\nAs of {_DAY_OF_ALL_SEGMENTS} (AS_OF=...), when customers were in all five recency segments:\n")
        print(query(stack.database_url, _RECENCY_SEGMENTS))
    print(f"\nThe report, to open in a browser: {REPORT}\nThe page of the API: {API_PAGE}")
    return said


def _publish_as_of(stack: Stack, as_of: date) -> None:
    with step(f"refresh as of {as_of} (make refresh AS_OF={as_of})"):
        stack.deployed.invoke_refresh({"as_of": as_of.isoformat()})


def _print_published(stack: Stack, *, full: bool) -> str:
    """Print the published table, or of a long one the most used amounts only; return the verdict on it."""
    connection = stack.connect()
    try:
        rows = connection.run(_COUNTS)
        missing = describe_missing(connection, read_names(stack.countries))
        said = verdict(connection)
    finally:
        connection.close()
    if full or len(rows) <= _MOST_ROWS:
        print(published_table(stack.database_url))
    else:
        print(most_used(rows))
        print(f"(the most used amounts of a table of {len(rows):,} rows: FULL=1 prints all of them)")
    if missing:
        print(f"\nCOUNTRIES: {missing}")
    return said


def _drop(stack: Stack, objects: Mapping[str, Path]) -> None:
    with step(f"put {count_of(len(objects), 'file')} into the bucket"):
        for key, path in objects.items():
            stack.client("s3").upload_file(str(path), stack.bucket, key)
    keys = counted_of(objects)
    if ignored := sorted(objects.keys() - set(keys)):
        more = " and others" if len(ignored) > _MAX_SHOWN else ""
        print(f"Ignored, because not part of the dataset: {len(ignored)}: {', '.join(ignored[:_MAX_SHOWN])}{more}")
    with step("wait for the event to refresh (S3, EventBridge, Lambda)"):
        wait_for(
            f"refresh of {count_of(len(keys), 'object')} (see {stack.folder}/emulator.log)",
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
    """Fetch the report, and return whether it shows the latest publication already."""
    connection = stack.connect()
    try:
        [[refresh_id]] = connection.run("SELECT refresh_id FROM voucher_customer.publication")
    finally:
        connection.close()
    try:
        return fetch_report(stack.deployed) == refresh_id or None
    except OperationError:
        return None


def _ask(stack: Stack) -> None:
    """Send the source system's request through the emulated API Gateway, for the first published country."""
    customer = {**_CUSTOMER, "country_code": read_names(stack.countries)[0]}
    body = json.dumps(customer)
    print(f"\n$ curl -X GET -H 'Content-type: application/json' -d '{body}' \"$API_URL/voucher_amount\"")
    print(answer := _answer(stack, body))
    if "voucher_amount" not in json.loads(answer):
        print("(the request is that of the sample; your data has no voucher of such a customer)")
    explained = json.loads(_answer(stack, json.dumps({**customer, "explain": True})))
    if "doubt" in explained:
        print(f"\n{in_words(explained)}")


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
        return answer  # the user's data may have no voucher for such a customer
    except OSError as error:
        raise LocalError(f"the API does not answer: {error}; see {stack.folder}/emulator.log") from error
