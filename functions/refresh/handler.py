"""Lambda entry of the refresh function: an event in, a summary out."""

import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

import msgspec
from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions import __version__
from functions.common.database import Database
from functions.common.families import SegmentRulesError
from functions.common.settings import load_settings
from functions.refresh.report.metrics import measure_objects, measure_publication, metrics
from functions.refresh.results import BY_HAND, Answer, ItemSummary, Plan, Summary, in_short
from functions.refresh.settings import RefreshSettings
from functions.refresh.usecases.backlog import Backlog, read_step
from functions.refresh.usecases.deadline import Deadline
from functions.refresh.usecases.events import EventError, QuestionError, Trigger, read_event, read_verification
from functions.refresh.usecases.questions import NoAnswer, Question, read_question
from functions.refresh.usecases.refresh import Refresh, RefreshError
from functions.refresh.usecases.verify import Verification
from functions.refresh.wiring import make_backlog, make_questions, make_refresh, make_verification

# The longest wait for the lock, and the longest statement.
_DATABASE_TIMEOUT_SECONDS = 60

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


@cache
def questions() -> Callable[[Question], msgspec.Struct]:
    """Return the use case of questions, wired on first use."""
    return make_questions(database())


def _now() -> datetime:
    return datetime.now(UTC)


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Refresh once, verify, answer a question, or run a step of a backlog, and return the result.

    Parameters
    ----------
    event : dict
        See `functions.refresh.usecases.events.read_event`, `read_verification`,
        `functions.refresh.usecases.questions.read_question` and `functions.refresh.usecases.backlog.read_step`.
    context : LambdaContext
        The invocation.

    Returns
    -------
    dict
        `Answer`, `Verified`, `Plan` or `ItemSummary` of `functions.refresh.results` in JSON types, or what a question
        is answered with: `NoAnswer` if it has none.

    Raises
    ------
    RefreshError
        After publishing, when an object could not be counted and none is deferred: so Lambda retries and the failure
        destination receives it. Not in a manual run, whose answer has the errors.
    """
    # EventBridge's id stays the same at every retry of an event.
    logger.set_correlation_id(event.get("event", event).get("id", context.aws_request_id))
    deadline = Deadline(lambda: context.get_remaining_time_in_millis() / 1000)
    try:
        logger.append_keys(commit=settings().commit)
        result = _handle(event, deadline)
    except RefreshError:
        raise  # its summary is logged
    except Exception as error:
        # The runtime logs the error too, but not of which event and key.
        logger.error("failed", extra={"error": f"{type(error).__name__}: {in_short(error)}"})
        raise
    answer: dict[str, Any] = msgspec.to_builtins(result)
    return answer


def _handle(event: dict[str, Any], deadline: Deadline) -> msgspec.Struct:
    result: msgspec.Struct
    if "step" in event:
        result = _take_step(event, deadline)
    elif request := read_verification(event, prefix=settings().prefix, now=_now()):
        result, repaired = verification().run(request, deadline)
        if repaired:
            _record_repair(repaired)
        fields = msgspec.to_builtins(result)
        logger.info("verified", extra={name: value for name, value in fields.items() if name != "differences"})
    else:
        result = _answer(event) or _refresh(event, deadline)
    return result


def _answer(event: dict[str, Any]) -> msgspec.Struct | None:
    """Answer a question; None if the event is none."""
    try:
        question = read_question(event, prefix=settings().prefix)
        answer = question and questions()(question)
    except (EventError, QuestionError, SegmentRulesError) as error:
        # The person reads why in the answer. Raised, it would raise the alarm of failed runs.
        logger.info("question refused", extra={"error": str(error)})
        return NoAnswer(str(error))
    if question:
        logger.info("question answered", extra={"question": msgspec.to_builtins(question)})
    return answer


@metrics.log_metrics
def _refresh(event: dict[str, Any], deadline: Deadline) -> Answer:
    metrics.add_metric("Refreshes", MetricUnit.Count, 1)
    succeeded = 0
    try:
        trigger = _read_trigger(event)
        summary = refresh().run(trigger, deadline)
        succeeded = int(not summary.errors)
    except RefreshError as error:
        answer = _record(error.summary)
        if trigger.kind in BY_HAND:  # the person reads the errors in the answer, and nothing would retry
            return answer
        raise
    finally:
        metrics.add_metric("RefreshesSucceeded", MetricUnit.Count, succeeded)
    return _record(summary)


def _record_repair(summary: Summary) -> None:
    """Measure and log what the refresh of a repair did."""
    metrics.add_metric("Refreshes", MetricUnit.Count, 1)
    metrics.add_metric("RefreshesSucceeded", MetricUnit.Count, int(not summary.errors))
    _record(summary)
    metrics.flush_metrics()


@metrics.log_metrics
def _take_step(event: dict[str, Any], deadline: Deadline) -> Plan | ItemSummary:
    """Plan a backlog, count one of its work items, or publish it."""
    step = read_step(event)
    trigger = _read_trigger(step.event)
    result = backlog().take(step, trigger, deadline)
    if isinstance(result, Summary):
        metrics.add_metric("Refreshes", MetricUnit.Count, 1)
        metrics.add_metric("RefreshesSucceeded", MetricUnit.Count, int(not result.errors))
        measure_publication(result)
        _warn(result)
    elif isinstance(result, ItemSummary):
        measure_objects(result)
    else:
        metrics.add_metric("ItemsPlanned", MetricUnit.Count, result.items)
    answer = result.answer() if isinstance(result, ItemSummary) else result
    logger.info(f"took step {event['step']}", extra={"summary": msgspec.to_builtins(answer)})
    return answer


def _read_trigger(event: Mapping[str, Any]) -> Trigger:
    trigger = read_event(event, bucket=settings().bucket, prefix=settings().prefix, now=_now())
    logger.append_keys(trigger=trigger.kind, key=trigger.key)
    return trigger


def _record(summary: Summary) -> Answer:
    """Measure and log what a refresh did, and return its answer."""
    measure_objects(summary)
    measure_publication(summary)
    answer = summary.answer()
    logger.info("refreshed", extra={"summary": msgspec.to_builtins(answer)})
    _warn(summary)
    return answer


def _warn(summary: Summary) -> None:
    """Log warnings of a run that did not fail."""
    if summary.countries_missing:
        logger.warning(summary.countries_missing)
    for country, share in summary.countries_shrunk.items():
        logger.warning(f"{country!r} lost {share:.1%} of its records since the previous publication")
    if summary.report_error:
        logger.error("the report could not be written", extra={"error": summary.report_error})
