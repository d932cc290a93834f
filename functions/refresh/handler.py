"""Lambda entry of the refresh function: an event in, a summary out."""

import os
from datetime import UTC, datetime
from functools import cache
from typing import Any

import msgspec
from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions import __version__
from functions.common.database import Database
from functions.common.settings import load_settings
from functions.refresh.ledger.schema import migrate
from functions.refresh.report.metrics import measure_objects, measure_publication, metrics
from functions.refresh.results import ItemSummary, Summary
from functions.refresh.settings import RefreshSettings
from functions.refresh.usecases.backlog import Backlog, Plan, read_step
from functions.refresh.usecases.deadline import Deadline
from functions.refresh.usecases.events import VerificationRequest, asks_to_migrate, read_event, read_verification
from functions.refresh.usecases.refresh import Refresh, RefreshError
from functions.refresh.usecases.verify import Verification
from functions.refresh.wiring import make_backlog, make_refresh, make_verification

# The lock is waited for this long, and no statement takes longer.
_DATABASE_TIMEOUT_SECONDS = 60

# A line of the log holds 256 KB, and the event bus takes 1 MB: an answer beyond that would start no next run.
_MAX_ERRORS_TOLD = 20

logger = Logger(service="refresh", version=__version__)


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


@cache
def backlog() -> Backlog:
    """Return the use case of a backlog, wired on first use."""
    return make_backlog(settings(), database(), _now)


@cache
def verification() -> Verification:
    """Return the use case of a verification, wired on first use."""
    return make_verification(settings(), database(), _now)


def _now() -> datetime:
    return datetime.now(UTC)


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Refresh once, bring the schema up to date, verify, or take a step of a backlog, and return what came of it.

    Parameters
    ----------
    event : dict
        See `functions.refresh.usecases.events.read_event`, `asks_to_migrate`, `read_verification` and
        `functions.refresh.usecases.backlog.read_step`.
    context : LambdaContext
        The invocation.

    Returns
    -------
    dict
        `functions.refresh.publishing.publication.Summary`, `functions.refresh.ledger.schema.Migrations`,
        `functions.refresh.usecases.verify.Verified`, `functions.refresh.usecases.backlog.Plan` or
        `functions.refresh.publishing.publication.ItemSummary` in JSON types.

    Raises
    ------
    RefreshError
        After publishing, when an object could not be counted and none is left: so Lambda tries again and the
        failure destination hears of it.
    """
    # EventBridge's id is the same at every repetition of an event, and leads back to it.
    logger.set_correlation_id(event.get("event", event).get("id", context.aws_request_id))
    if asks_to_migrate(event):
        return _migrate()
    if "step" in event:
        taken: dict[str, Any] = _take_step(event, context)
        return taken
    request = read_verification(event, prefix=settings().prefix, now=_now())
    return _verify(request, context) if request else _refresh(event, context)


def _verify(request: VerificationRequest, context: LambdaContext) -> dict[str, Any]:
    answer: dict[str, Any] = msgspec.to_builtins(verification().run(request, _deadline(context)))
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


@metrics.log_metrics
def _take_step(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Plan a backlog, count an item of it, or publish what its items came to."""
    step = read_step(event)
    trigger = read_event(step.event, bucket=settings().bucket, prefix=settings().prefix, now=_now())
    logger.append_keys(trigger=trigger.kind)
    result = backlog().take(step, trigger, _deadline(context))
    if isinstance(result, Summary):
        metrics.add_metric("Refreshes", MetricUnit.Count, 1)
        metrics.add_metric("RefreshesSucceeded", MetricUnit.Count, int(not result.errors))
        measure_publication(result)
        _warn(result)
    elif isinstance(result, ItemSummary):
        measure_objects(result)
    else:
        metrics.add_metric("ItemsPlanned", MetricUnit.Count, result.items)
    answer = _in_short(result)
    logger.info(f"took step {event['step']}", extra={"summary": answer})
    return answer


def _tell(summary: Summary) -> dict[str, Any]:
    """Measure and log what a refresh did."""
    measure_objects(summary)
    measure_publication(summary)
    answer = _in_short(summary)
    logger.info("refreshed", extra={"summary": answer})
    _warn(summary)
    return answer


def _warn(summary: Summary) -> None:
    """Log what a person should look at, though nothing failed."""
    if summary.countries_missing:
        logger.warning(summary.countries_missing)
    if summary.report_error:
        logger.error("the report could not be written", extra={"error": summary.report_error})


def _in_short(result: ItemSummary | Plan) -> dict[str, Any]:
    answer: dict[str, Any] = result.answer() if isinstance(result, Summary) else msgspec.to_builtins(result)
    if more := answer.get("errors", [])[_MAX_ERRORS_TOLD:]:
        answer["errors"] = [*answer["errors"][:_MAX_ERRORS_TOLD], f"and {len(more)} more, which refreshes holds"]
    return answer
