"""Commands on a deployed stack. Each prints what it did."""

import json
import shutil
import time
import webbrowser
from datetime import UTC, date, datetime
from operator import itemgetter
from pathlib import Path
from typing import Any

import msgspec
from botocore.exceptions import ClientError

from functions.common.migrations import Migrations
from functions.refresh.results import Answer
from functions.refresh.settings import REPORTS_PREFIX
from functions.refresh.usecases.differences import Verified
from infra.operations.backlog import count_backlog
from infra.operations.deployed import Deployed, OperationError
from infra.operations.logs import in_one_line
from infra.words import count_of, losses_in_words

_CHECKOUT = Path(__file__).parents[2]
REPORT = _CHECKOUT / ".local" / "report.html"
API_PAGE = _CHECKOUT / ".local" / "api.html"
"""The local copies of the report and, beside it, of the API's page."""


def migrate(stack: Deployed) -> None:
    """Bring the database's schema up to date."""
    result = msgspec.convert(stack.migrate(), Migrations)
    applied = ", ".join(result.applied) or "nothing, it was up to date"
    print(f"schema migrated: {applied}")


def refresh(stack: Deployed, as_of: date | None, prefix: str | None, accept: str | None = None) -> None:
    """Refresh, as of a day if one is named, and only the keys under a prefix if one is named.

    The state machine counts what is too much for one run.
    """
    event = _event(as_of, prefix) | ({"accept": accept} if accept else {})
    answer = stack.invoke_refresh(event)
    print(_in_words(answer), flush=True)
    if answer["backlog_bytes"]:
        answer = count_backlog(stack, event)
        print(_in_words(answer), flush=True)
    if accept and not answer["accepted"]:
        print(f"nothing was accepted: no refused object has a key that begins with {accept}", flush=True)
    _check(answer)


def backlog(stack: Deployed, as_of: date | None, prefix: str | None) -> None:
    """Let the state machine count what is not counted yet, however little it is."""
    answer = count_backlog(stack, _event(as_of, prefix))
    print(_in_words(answer), flush=True)
    _check(answer)


def _check(answer: dict[str, Any]) -> None:
    """Raise the errors of a run that published."""
    if not answer["errors"]:
        return
    refused = answer["objects_refused"]
    what = f"{count_of(refused, 'object')} refused: " if refused else ""
    raise OperationError(f"{what}{'; '.join(answer['errors'])}")


def _event(as_of: date | None, prefix: str | None) -> dict[str, str]:
    event = {"as_of": as_of.isoformat()} if as_of else {}
    return event if prefix is None else {**event, "prefix": prefix}


def _in_words(answer: dict[str, Any]) -> str:
    """Say in one line what a refresh did."""
    summary = msgspec.convert(answer, Answer)
    rejected = sum(summary.rows_rejected.values())
    waits_for = "the state machine, too much for one run" if summary.backlog_bytes else "the next run"
    left = f", {summary.objects_deferred} left for {waits_for}" if summary.objects_deferred else ""
    ignored = f", {summary.objects_ignored} ignored ({', '.join(summary.ignored)})" if summary.ignored else ""
    missing = f"; {summary.countries_missing}" if summary.countries_missing else ""
    lost = f", {summary.rows_lost:,} not counted any more{losses_in_words(summary.losses)}" if summary.rows_lost else ""
    accepted = f"; accepted: {', '.join(summary.accepted)}" if summary.accepted else ""
    shrunk = "".join(f"; {name} lost {share:.1%} of its records" for name, share in summary.countries_shrunk.items())
    unknown = "".join(
        f"; unknown in {name}: {one.amount_share:.1%} of amounts, {one.number_share:.1%} of numbers"
        for name, one in summary.unknown.items()
        if one.amount_share or one.number_share
    )
    empty = "" if summary.rows_published else "; the published table is empty"
    report = f"; no report: {summary.report_error}" if summary.report_error else ""
    because = ", ".join(f"{cause} {segments}" for cause, segments in summary.causes.items())
    causes = f" (by cause: {because})" if because else ""
    families = "".join(
        [
            *(f"; {name} waits for {count_of(n, 'object')}" for name, n in summary.families_waiting.items()),
            *(f"; {name} lacks {count_of(n, 'refused object')}" for name, n in summary.families_partial.items()),
        ]
    )
    return (
        f"refresh {summary.refresh_id} published {summary.rows_published} rows as of {summary.as_of} "
        f"for {', '.join(summary.countries)} in {(summary.took_ms or 0) / 1000:.1f} s; "
        f"objects: {summary.objects_counted} counted, {summary.objects_skipped} unchanged, "
        f"{summary.objects_removed} removed{left}{ignored}; "
        f"rows: {summary.rows_read:,} read, {summary.rows_counted:,} counted, {rejected:,} rejected{lost}; "
        f"most used amounts changed in {count_of(summary.segments_changed, 'segment')}{causes}, "
        f"undecided in {summary.segments_undecided} of {summary.segments_published}"
        f"{unknown}{families}{accepted}{shrunk}{missing}{empty}{report}{_day_in_words(summary)}"
    )


def _day_in_words(summary: Answer) -> str:
    """Warn about an as-of day that may be a mistake: in the future, or before the last one."""
    if summary.as_of > datetime.now(UTC).date():
        return f"; {summary.as_of} is in the future: days since the last order are counted to that day"
    if summary.as_of_before and summary.as_of < summary.as_of_before:
        return f"; the day goes back from {summary.as_of_before}, until the next automatic run"
    return ""


def verify(stack: Deployed, prefix: str | None, *, fix: bool) -> None:
    """Recount the bucket, or the keys under a prefix, and compare, in as many invocations as it takes.

    Raises
    ------
    OperationError
        When differences are left.
    """
    event: dict[str, Any] = {"verify": True, "fix": fix}
    if prefix is not None:
        event["prefix"] = prefix
    left = repaired = changed = 0
    while True:
        found = msgspec.convert(stack.invoke_refresh(event), Verified)
        left += found.objects_different
        repaired += found.objects_repaired
        changed += found.objects_changed
        _print_differences(found)
        verified, after = f"verified {found.objects_verified} of {found.objects} objects", found.go_on_after
        if after is None:
            break
        if after == event.get("after", ""):
            raise OperationError(f"{verified}, and had no time for one more: give the function more memory")
        print(f"{verified}, go on after {after}")
        event["after"] = after
    print(f"{verified}: {left} different, {repaired} repaired, {changed} changed meanwhile")
    if wrong := _wrong_in_words(left, found):
        remedy = "" if fix else ". FIX=1 repairs all but refused objects, by the rules of the release that runs"
        raise OperationError("; ".join(wrong) + remedy)


def _print_differences(found: Verified) -> None:
    for difference in found.differences:
        repaired = " (repaired)" if difference.is_repaired else ""
        print(f"{difference.key}: {difference.kind}{repaired}: {difference.detail}")
    unnamed = found.objects_different + found.objects_repaired - len(found.differences)
    if unnamed:
        print(f"and {unnamed} more")
    if found.totals_repaired:
        print(f"{found.totals_repaired} totals were not the sum of the ledger (repaired)")
    if found.refreshed is not None:
        print(f"refresh {found.refreshed} published what is repaired")
    for error in found.errors:
        print(error)


def _wrong_in_words(left: int, found: Verified) -> list[str]:
    """Say what differs after the last invocation."""
    wrong = []
    if left:
        wrong.append(f"{count_of(left, 'object')} not confirmed by a recount")
    if found.totals_different:
        wrong.append(f"{count_of(found.totals_different, 'total')} not the sum of the ledger")
    if found.published is None:
        wrong.append("nothing is published")
    elif found.rows_different:
        about_to = ", but another refresh is about to publish" if found.is_followed else ""
        wrong.append(f"{count_of(found.rows_different, 'row')} of the published table wrong or missing{about_to}")
    return wrong


def redrive(stack: Deployed) -> None:
    """Run again what waits in the failure queue; what succeeds leaves the queue.

    Raises
    ------
    OperationError
        When something failed again: it stays in the queue.
    """
    done = 0
    failed: dict[str, str] = {}
    for receipt, message in stack.failures():
        # Lambda puts the event and the error into an envelope; EventBridge sends the event as it is.
        event = message.get("requestPayload", message)
        try:
            answer = stack.invoke_refresh(event)
            print(f"{_event_in_words(event)}: {_in_words(answer)}")
            _check(answer)
        except OperationError as error:
            failed[receipt] = f"{_event_in_words(event)}: {error}"
        else:
            stack.delete_failure(receipt)
            done += 1
    # Only now: if they were put back earlier, the loop would receive them again and again.
    for receipt in failed:
        stack.put_failure_back(receipt)
    print(f"{done} redriven, {len(failed)} failed again")
    if failed:
        raise OperationError("still in the failure queue: " + "; ".join(failed.values()))


def _event_in_words(event: dict[str, Any]) -> str:
    if "detail-type" not in event:
        return f"manual run {json.dumps(event)}"
    key = event.get("detail", {}).get("object", {}).get("key", "")
    return f"{event['detail-type']} {key}".rstrip()


def report(stack: Deployed, as_of: date | None, *, in_browser: bool) -> None:
    """Fetch the report's page, the latest or the one of a day, and print its path and that of the API's page.

    Raises
    ------
    OperationError
        When there is no such page.
    """
    fetch_report(stack, as_of)
    print(f"the report is {REPORT}\nthe API's page is {API_PAGE}")
    if in_browser and not webbrowser.open(REPORT.as_uri()):
        raise OperationError("no browser was found to open it")


def fetch_report(stack: Deployed, as_of: date | None = None) -> int:
    """Fetch the report's page to `REPORT`, copy the API's page beside it, and return the refresh that the report shows.

    Raises
    ------
    OperationError
        When there is no such page.
    """
    bucket, key = stack.output("BucketName"), f"{REPORTS_PREFIX}{as_of or 'latest'}.html"
    try:
        found = stack.client("s3").get_object(Bucket=bucket, Key=key)
    except ClientError as error:
        raise OperationError(
            f"{key} cannot be fetched from {bucket}: {str(error).rstrip('.')}. Each publication writes the page of its"
            " as-of day: make refresh"
        ) from error
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_bytes(found["Body"].read())
    shutil.copy(_CHECKOUT / "docs" / "api.html", API_PAGE)
    return int(found["Metadata"]["refresh-id"])


def logs(stack: Deployed, minutes: int, *, raw: bool) -> None:
    """Print what both functions logged, in order of time: a line for each run and request, or `raw` every line."""
    events = sorted(stack.log_events(time.time() - minutes * 60), key=itemgetter(0))
    lines = [(timestamp, function, line if raw else in_one_line(line)) for timestamp, function, line in events]
    shown = [entry for entry in lines if entry[2] is not None]
    for timestamp, function, line in shown:
        print(f"{datetime.fromtimestamp(timestamp / 1000, UTC):%Y-%m-%dT%H:%M:%S.%f} {function} {line}")
    found = f"{count_of(len(shown), 'line')} of the last {count_of(minutes, 'minute')}"
    print(found + ("" if raw else "; RAW=1 prints all as it is"))
