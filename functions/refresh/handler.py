"""Lambda entry of the refresh function: an event in, a summary out."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Any

import msgspec
from aws_lambda_powertools import Logger, Metrics, single_metric
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.common.database import Database
from functions.common.settings import load_settings
from functions.refresh.bucket import Bucket
from functions.refresh.events import read_event
from functions.refresh.ledger import Ledger
from functions.refresh.publication import Publications, Summary
from functions.refresh.refresh import Refresh, RefreshError
from functions.refresh.schema import migrate
from functions.refresh.settings import RefreshSettings

# An advisory lock is waited for this long, and no statement takes longer.
_DATABASE_TIMEOUT_SECONDS = 60

logger = Logger(service="refresh")
metrics = Metrics(namespace="VoucherSegmenter", service="refresh")


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
        Bucket(settings.bucket, settings.prefix),
        Ledger(database),
        Publications(database),
        countries=settings.published_countries,
        clock=clock,
    )


def _now() -> datetime:
    return datetime.now(UTC)


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001 - Lambda passes it by position
    """Refresh once and return the summary.

    Parameters
    ----------
    event : dict
        See `functions.refresh.events.read_event`.
    context : LambdaContext
        The invocation.

    Returns
    -------
    dict
        `functions.refresh.publication.Summary` in JSON types.

    Raises
    ------
    RefreshError
        After publishing, when an object could not be counted: so Lambda tries again and the failure
        destination hears of it.
    """
    metrics.add_metric("Refreshes", MetricUnit.Count, 1)
    trigger = read_event(event, bucket=settings().bucket, prefix=settings().prefix, now=_now())
    logger.append_keys(trigger=trigger.kind, key=trigger.key)
    try:
        summary = refresh().run(trigger)
    except RefreshError as error:
        _report(error.summary)
        raise
    return _report(summary)


def _report(summary: Summary) -> dict[str, Any]:
    """Log and measure what a refresh did."""
    for name, value in (
        ("ObjectsCounted", summary.objects_counted),
        ("ObjectsRemoved", summary.objects_removed),
        ("ObjectsFailed", summary.objects_failed),
        ("RowsRead", summary.rows_read),
        ("RowsCounted", summary.rows_counted),
        ("RowsRejected", sum(summary.rows_rejected.values())),
    ):
        metrics.add_metric(name, MetricUnit.Count, value)
    metrics.add_metric("RefreshDuration", MetricUnit.Milliseconds, summary.took_ms)
    for reason, rows in summary.rows_rejected.items():
        with single_metric("RowsRejectedByReason", MetricUnit.Count, rows, namespace="VoucherSegmenter") as metric:
            metric.add_dimension("reason", reason)
    answer: dict[str, Any] = msgspec.to_builtins(summary)
    logger.info("refreshed", extra={"summary": answer})
    return answer
