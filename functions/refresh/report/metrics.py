"""The metrics that a refresh sends to CloudWatch: of the run, and of what it published."""

from collections import Counter

from aws_lambda_powertools import Metrics, single_metric
from aws_lambda_powertools.metrics import MetricUnit

from functions.common.ranking import Ranking
from functions.common.settings import METRICS_NAMESPACE
from functions.refresh.results import ItemSummary, Summary

_SERVICE = "refresh"

metrics = Metrics(namespace=METRICS_NAMESPACE, service=_SERVICE)


def measure_objects(summary: ItemSummary) -> None:
    """Add the figures of objects and rows to `metrics`, and print those that have dimensions of their own."""
    for name, value in (
        ("ObjectsCounted", summary.objects_counted),
        ("ObjectsRefused", summary.objects_refused),
        ("RowsRead", summary.rows_read),
        ("RowsCounted", summary.rows_counted),
        ("RowsRejected", sum(summary.rows_rejected.values())),
        ("RowsLost", summary.rows_lost),
    ):
        metrics.add_metric(name, MetricUnit.Count, value)
    for reason, rows in summary.rows_rejected.items():
        _count("RowsRejectedByReason", rows, reason=reason)


def measure_publication(summary: Summary) -> None:
    """Add the figures of a run to `metrics`, and print those that have dimensions of their own."""
    for name, value in (
        ("ObjectsRemoved", summary.objects_removed),
        ("ObjectsRefusedBefore", summary.objects_refused_before),
        ("ObjectsDeferred", summary.objects_deferred),
        ("ObjectsIgnored", summary.objects_ignored),
        ("UnfinishedRefreshErrors", len(summary.errors) if summary.objects_deferred else 0),
        ("CountriesShrunk", len(summary.countries_shrunk)),
        ("ReportsFailed", int(bool(summary.report_error))),
    ):
        metrics.add_metric(name, MetricUnit.Count, value)
    metrics.add_metric("BacklogBytes", MetricUnit.Bytes, summary.backlog_bytes)
    metrics.add_metric("RefreshDuration", MetricUnit.Milliseconds, summary.took_ms or 0)
    metrics.add_metric("ReportDuration", MetricUnit.Milliseconds, summary.report_ms)
    if summary.rows_published is not None:
        metrics.add_metric("RowsPublished", MetricUnit.Count, summary.rows_published)
        metrics.add_metric("RankingsChanged", MetricUnit.Count, len(summary.rankings_changed))
        for family, rows in summary.rows_in_no_segment.items():
            _count("RowsInNoSegment", rows, segment_name=family)
        _measure_rankings(summary.rankings)


def _measure_rankings(rankings: list[Ranking]) -> None:
    vouchers: Counter[tuple[str, str]] = Counter()
    for ranking in rankings:
        vouchers[ranking.country_code, ranking.segment_name] += ranking.vouchers
        _count(
            "MostUsedCount",
            ranking.count,
            {"voucher_amount": ranking.voucher_amount},
            country_code=ranking.country_code,
            segment=f"{ranking.segment_name} {ranking.segment_type}",
        )
    for (country_code, segment_name), count in vouchers.items():
        _count("VouchersInSegments", count, country_code=country_code, segment_name=segment_name)


def _count(name: str, value: int, properties: dict[str, object] | None = None, **dimensions: str) -> None:
    """Print one metric; every combination of its dimensions' values is a metric of its own, which CloudWatch bills."""
    service = {"service": _SERVICE}
    with single_metric(
        name, MetricUnit.Count, value, namespace=METRICS_NAMESPACE, default_dimensions=service
    ) as metric:
        for dimension, text in dimensions.items():
            # CloudWatch takes ASCII only, and drops other metrics silently.
            metric.add_dimension(dimension, text.encode("ascii", "backslashreplace").decode())
        for key, data in (properties or {}).items():
            metric.add_metadata(key, data)
