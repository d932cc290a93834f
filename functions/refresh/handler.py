"""Lambda entry of the refresh function: an event in, a summary out."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Any

import msgspec
from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.common.database import Database
from functions.common.settings import load_settings
from functions.refresh.accounting import Accounting
from functions.refresh.bucket import Bucket
from functions.refresh.deadline import Deadline
from functions.refresh.events import VerificationRequest, asks_to_migrate, read_event, read_verification
from functions.refresh.ledger import Ledger
from functions.refresh.metrics import measure, metrics
from functions.refresh.publication import Publications, Summary
from functions.refresh.refresh import Refresh, RefreshError
from functions.refresh.report.reports import Reports
from functions.refresh.schema import migrate
from functions.refresh.settings import RefreshSettings
from functions.refresh.verification import Verification

# An advisory lock is waited for this long, and no statement takes longer.
_DATABASE_TIMEOUT_SECONDS = 60

# An answer over 256 KB does not reach the event bus, and so would start no next run.
_MAX_ERRORS_TOLD = 20

logger = Logger(service="refresh")


@cache
def settings() -> RefreshSettings:
    """Return the function's settings, read on first use."""
    return load_settings(RefreshSettings, os.environ)


@cache
def database() -> Database:
    """Return the process's connection, made on first use."""
    return Database(settings(), timeout_seconds=_DATABASE_TIMEOUT_SECONDS)


@cache
def refresh() -> Refresh:
    """Return the use case, wired on first use."""
    return make_refresh(settings(), database(), _now)


def make_refresh(settings: RefreshSettings, database: Database, clock: Callable[[], datetime]) -> Refresh:
    """Wire the parts together on a database whose schema is brought up to date."""
    migrate(database)
    return Refresh(
        Accounting(Bucket(settings.bucket, settings.prefix, settings.rejected_prefix), Ledger(database), clock),
        Publications(database),
        Reports(database, settings.bucket, settings.reports_prefix),
        countries=settings.published_countries,
        clock=clock,
    )


def make_verification(settings: RefreshSettings, database: Database, clock: Callable[[], datetime]) -> Verification:
    """Wire the parts together for a verification."""
    refresh = make_refresh(settings, database, clock)
    bucket = Bucket(settings.bucket, settings.prefix, settings.rejected_prefix)
    ledger = Ledger(database)
    return Verification(Accounting(bucket, ledger, clock), bucket, ledger, Publications(database), refresh)


def _now() -> datetime:
    return datetime.now(UTC)


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Refresh once, bring the schema up to date, or verify, and return what was done or found.

    Parameters
    ----------
    event : dict
        See `functions.refresh.events.read_event`, `asks_to_migrate` and `read_verification`.
    context : LambdaContext
        The invocation.

    Returns
    -------
    dict
        `functions.refresh.publication.Summary`, `functions.refresh.schema.Migrations` or
        `functions.refresh.verification.Verified` in JSON types.

    Raises
    ------
    RefreshError
        After publishing, when an object could not be counted and none is left: so Lambda tries again and the
        failure destination hears of it.
    """
    # EventBridge's id is the same at every repetition of an event, and leads back to it.
    logger.set_correlation_id(event.get("id", context.aws_request_id))
    if asks_to_migrate(event):
        return _migrate()
    verification = read_verification(event, prefix=settings().prefix, now=_now())
    return _verify(verification, context) if verification else _refresh(event, context)


def _verify(request: VerificationRequest, context: LambdaContext) -> dict[str, Any]:
    verification = make_verification(settings(), database(), _now)
    answer: dict[str, Any] = msgspec.to_builtins(verification.run(request, _deadline(context)))
    logger.info("verified", extra={key: value for key, value in answer.items() if key != "differences"})
    return answer


def _deadline(context: LambdaContext) -> Deadline:
    return Deadline(lambda: context.get_remaining_time_in_millis() / 1000)


def _migrate() -> dict[str, Any]:
    answer: dict[str, Any] = msgspec.to_builtins(migrate(database()))
    logger.info("migrated", extra=answer)
    return answer


@metrics.log_metrics
def _refresh(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    deadline = _deadline(context)
    metrics.add_metric("Refreshes", MetricUnit.Count, 1)
    succeeded = 0
    try:
        trigger = read_event(event, bucket=settings().bucket, prefix=settings().prefix, now=_now())
        logger.append_keys(trigger=trigger.kind, key=trigger.key)
        summary = refresh().run(trigger, deadline)
        succeeded = int(not summary.errors)
    except RefreshError as error:
        _tell(error.summary)
        raise
    finally:
        metrics.add_metric("RefreshesSucceeded", MetricUnit.Count, succeeded)
    return _tell(summary)


def _tell(summary: Summary) -> dict[str, Any]:
    """Measure and log what a refresh did."""
    measure(summary)
    answer: dict[str, Any] = msgspec.to_builtins(summary)
    if more := answer["errors"][_MAX_ERRORS_TOLD:]:
        answer["errors"] = [*answer["errors"][:_MAX_ERRORS_TOLD], f"and {len(more)} more, which refreshes holds"]
    logger.info("refreshed", extra={"summary": answer})
    if summary.report_error:
        logger.error("the report could not be written", extra={"error": summary.report_error})
    return answer
