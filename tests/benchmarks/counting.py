"""Counting by the refresh function's own code, the floor beneath it, and the plain pandas way."""

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from typing import Any

import awswrangler as wr
import pandas as pd

from functions.common.dimensions import NO_DIMENSIONS, Dimensions
from functions.common.families import Segment, check_families
from functions.refresh.counting.usage import Usage
from functions.refresh.ledger.entry import LedgerEntry
from functions.refresh.ledger.ledger import Ledger
from functions.refresh.reading.bucket import Bucket, ObjectVersion
from functions.refresh.usecases.deadline import Deadline
from functions.refresh.usecases.events import Trigger
from functions.refresh.usecases.reconcile import Reconciler
from tests.benchmarks.s3 import BUCKET
from tests.shipped import COLUMNS, SHIPPED

AS_OF = date(2020, 12, 22)
_DIMENSIONS = {"frequent_segment": "total_orders", "recency_segment": "days_since(last_order_ts)"}
FAMILIES = check_families(
    _DIMENSIONS.items(),
    (
        Segment(family, f"{low}-{high}", low, high)
        for family, ranges in {
            "frequent_segment": ((0, 4), (5, 13), (14, 37), (38, 99_999_999)),
            "recency_segment": ((30, 60), (61, 90), (91, 120), (121, 179), (180, 99_999_999)),
        }.items()
        for low, high in ranges
    ),
)

Rows = list[tuple[Any, ...]]


class _Gathering(Ledger):
    """A ledger that knows of no object and keeps what is counted in memory: the function without its database."""

    def __init__(self) -> None:
        self.usage = Usage(SHIPPED)

    def entries(self, prefix: str = "") -> dict[str, LedgerEntry]:
        return {}

    def write(self, key: str, entry: LedgerEntry, version: ObjectVersion | None, usage: Usage, **_: Any) -> bool:
        self.usage.update(usage)
        return True

    def write_refusal(
        self,
        key: str,
        entry: LedgerEntry,
        error: str,
        refused: ObjectVersion | None = None,
        dimensions: Dimensions = NO_DIMENSIONS,
        **_: Any,
    ) -> bool:
        return True


def count(prefix: str) -> dict[str, Any]:
    """Count a dataset as a daily run does, but for the database.

    Returns
    -------
    dict
        `rows`: the usage, sorted; `rejected`: rows by reason; `errors`: of objects that could not be counted.
    """
    ledger = _Gathering()
    reconciler = Reconciler(Bucket(BUCKET, prefix), ledger, lambda: SHIPPED, lambda: datetime.now(UTC))
    outcomes = list(reconciler.reconcile_all(Trigger("daily", AS_OF), Deadline()))
    columns = ledger.usage.table.to_pydict().values()
    return {
        "rows": sorted(zip(*columns, strict=True)),
        "rejected": dict(ledger.usage.rows_rejected),
        "errors": [outcome.error for outcome in outcomes if outcome.error],
    }


def decode(prefix: str) -> dict[str, Any]:
    """Read what has to be read of each object as `count` does, and drop it: the floor."""
    bucket = Bucket(BUCKET, prefix)
    objects = list(bucket.versions())
    threads = os.cpu_count() or 1
    with ThreadPoolExecutor(max(threads, len(objects) and 4)) as workers:
        shares = [share for key, version in objects for share in bucket.shares(key, version, SHIPPED.columns, threads)]
        return {"rows": sum(workers.map(lambda share: sum(batch.records.num_rows for batch in share), shares))}


def count_plainly(prefix: str) -> dict[str, Any]:
    """Count as the source system does: a data frame, and the segment of each record found row by row.

    Returns
    -------
    dict
        `rows`: the records by country, segment family, the segment's lowest number and amount, sorted.
    """
    paths = [f"s3://{BUCKET}/{key}" for key, _ in Bucket(BUCKET, prefix).versions()]
    frame = pd.concat(wr.s3.read_parquet([path], columns=COLUMNS) for path in paths)
    frame["voucher_amount"] = frame["voucher_amount"].fillna(0)
    frame["total_orders"] = pd.to_numeric(frame["total_orders"].replace("", "0"))
    last_order = pd.to_datetime(frame["last_order_ts"], utc=True)
    frame["days"] = (pd.Timestamp(AS_OF, tz="UTC") - last_order).dt.days
    rows: Rows = []
    for family, number in {"frequent_segment": "total_orders", "recency_segment": "days"}.items():
        [rules] = [found.segments for found in FAMILIES if found.segment_name == family]
        intervals = {pd.Interval(rule.min_range, rule.max_range, closed="both"): rule.min_range for rule in rules}

        def lowest(row: Any, number: str = number, intervals: dict[Any, int] = intervals) -> Any:
            return next((low for interval, low in intervals.items() if row[number] in interval), None)

        frame[family] = frame.apply(lowest, axis=1)
        counts = frame.groupby(["country_code", family, "voucher_amount"]).size()
        found: Rows = list(counts.reset_index().itertuples(index=False, name=None))
        rows += [(country, family, int(low), int(amount), n) for country, low, amount, n in found]
    return {"rows": sorted(rows)}


def segments_of(usage: Rows) -> Rows:
    """Bring usage into the segments, as `count_plainly` answers."""
    counts: Counter[tuple[Any, ...]] = Counter()
    for family in FAMILIES:
        for country, dimension, value, amount, n in usage:
            is_own = dimension == str(family.dimension)
            if is_own and (rule := family.covering(family.dimension.number(value, AS_OF))):
                counts[country, family.segment_name, rule.min_range, max(amount, 0)] += n  # unknown is 0
    return sorted((*place, n) for place, n in counts.items())
