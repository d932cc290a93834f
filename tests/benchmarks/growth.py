"""Refreshes as the ledger grows: `python -m tests.benchmarks.growth`.

The first object holds the sample's usage under fifty countries' names; every later one some of its counts again.
So what grows is the number of objects, not that of distinct counts, on which a publication depends.
"""

import os
import statistics
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from functions.common.database import Database
from functions.common.migrations import migrate
from functions.common.settings import DatabaseSettings, load_settings
from functions.refresh.counting.usage import Usage
from functions.refresh.ledger.entry import NO_ENTRY
from functions.refresh.ledger.ledger import Ledger
from functions.refresh.publishing.publication import Publications
from functions.refresh.reading.bucket import Bucket, ObjectVersion
from functions.refresh.report.writer import Reports
from functions.refresh.usecases.events import Trigger
from functions.refresh.usecases.reconcile import Reconciler
from functions.refresh.usecases.refresh import Refresh
from infra.local.postgres import Postgres, start_postgres
from infra.sample.sample import make_sample
from tests.benchmarks.counting import AS_OF
from tests.benchmarks.measuring import print_table, save
from tests.benchmarks.objects import write_parquet
from tests.benchmarks.s3 import BUCKET, serving
from tests.families import pin_families
from tests.shipped import COLUMNS, SHIPPED

_OBJECTS = (1, 100, 1_000, 10_000)
_COUNTRIES = (1, 10, 50)
_ROWS_PER_OBJECT = 20
_ROUNDS = 5
_NEW = "new-"
_TIMES = ("listing", "nothing new", "one more object", "publication", "report")


class _TimedBucket(Bucket):
    """A bucket that knows how long S3 took to list it."""

    listing = 0.0

    def objects(self, prefix: str = "") -> Iterator[tuple[str, ObjectVersion | None]]:
        started = time.perf_counter()
        found = list(super().objects(prefix))
        self.listing = time.perf_counter() - started
        yield from found


class Pipeline:
    """The refresh function's parts on a server of their own, with a bucket whose objects are counted already.

    Parameters
    ----------
    database : Database
        An empty one.
    bucket : Path
        The folder of the bucket's objects.
    """

    def __init__(self, database: Database, bucket: Path) -> None:
        migrate(database)
        self._folder = bucket
        self._database = database
        self.bucket = _TimedBucket(BUCKET, "")
        self._ledger = Ledger(database)
        self._reports = Reports(database, BUCKET)
        self._random = np.random.default_rng(20200515)
        self._records = _records(max(_COUNTRIES))
        self._counted: set[str] = set()
        self._count_all([_count(self._records)], objects=1)

    def grow(self, objects: int) -> None:
        """Count more objects until there are so many, without reading any: nobody looks at what is counted."""
        self._count_all([_count(self._some_records()) for _ in range(20)], objects)

    def _count_all(self, usages: list[Usage], objects: int) -> None:
        for number in range(len(self._counted), objects):
            (self._folder / f"{number:06}.parquet").write_bytes(b"counted")
        for number, (key, version) in enumerate(self.bucket.versions()):
            if key not in self._counted and not key.startswith(_NEW):
                usage = usages[number % len(usages)]
                self._ledger.write(key, NO_ENTRY, version, usage, sequencer=None, now=_now())
                self._counted.add(key)

    def _some_records(self) -> pa.Table:
        """Return some records of all countries."""
        chosen = self._random.integers(0, self._records.num_rows, _ROWS_PER_OBJECT)
        return self._records.take(np.sort(chosen))

    def put(self) -> str:
        """Put one more object and return its key."""
        key = f"{_NEW}{time.time_ns()}.parquet"
        write_parquet(self._folder / key, iter([self._some_records()]))
        return key

    def run(self, trigger: Trigger, countries: int) -> float:
        """Refresh, and return how long it took."""
        names = [_country(number) for number in range(countries)]
        reconciler = Reconciler(self.bucket, self._ledger, lambda: SHIPPED, _now)
        refresh = Refresh(reconciler, Publications(self._database), self._reports, countries=names, clock=_now)
        return _seconds(lambda: refresh.run(trigger))

    def publish(self, countries: int) -> float:
        """Publish alone, and return how long it took."""
        publications = Publications(self._database)
        names = [_country(number) for number in range(countries)]
        summary = publications.start("daily", AS_OF, names, _now())
        return _seconds(lambda: publications.publish(summary, _now()))

    def report(self) -> float:
        """Write the report alone, and return how long it took."""
        return _seconds(self._reports.write)


def _now() -> datetime:
    return datetime.now(UTC)


def _country(number: int) -> str:
    return f"Country {number:02}"


def _records(countries: int) -> pa.Table:
    """Return the sample's records of Peru under the names of so many countries."""
    sample = make_sample().select(COLUMNS)
    peru = sample.filter(pc.equal(sample["country_code"], "Peru"))
    column = COLUMNS.index("country_code")
    return pa.concat_tables(
        peru.set_column(column, "country_code", pa.array([_country(number)] * peru.num_rows))
        for number in range(countries)
    )


def _count(records: pa.Table) -> Usage:
    usage = Usage(SHIPPED)
    for batch in records.to_batches():
        usage.add(batch, 0)
    return usage


def _seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def _measure(pipeline: Pipeline, objects: int, countries: int) -> dict[str, float]:
    """Return the medians in milliseconds."""
    times: dict[str, list[float]] = {name: [] for name in _TIMES}
    daily = Trigger("daily", AS_OF)
    for _ in range(_ROUNDS):
        times["nothing new"].append(pipeline.run(daily, countries) - pipeline.bucket.listing)
        times["listing"].append(pipeline.bucket.listing)
        times["one more object"].append(pipeline.run(Trigger("object_created", AS_OF, pipeline.put()), countries))
        times["publication"].append(pipeline.publish(countries))
        times["report"].append(pipeline.report())
    milliseconds = {name: round(statistics.median(seconds) * 1000, 1) for name, seconds in times.items()}
    return {"objects": objects, "countries": countries, **milliseconds}


def main() -> None:
    """Measure, print the table and save the figures."""
    pin_families()
    folder, address = start_postgres()
    try:
        with TemporaryDirectory() as files, serving(Path(files)) as endpoint:
            os.environ.update(endpoint)
            (Path(files) / BUCKET).mkdir()
            settings = load_settings(DatabaseSettings, {"DATABASE_URL": address.url})
            pipeline = Pipeline(Database(settings, timeout_seconds=60), Path(files) / BUCKET)
            lines = []
            for objects in _OBJECTS:
                pipeline.grow(objects)
                lines += [_measure(pipeline, objects, countries) for countries in _COUNTRIES]
    finally:
        Postgres(folder).stop()
    print_table(f"Refreshes as the ledger grows: milliseconds, medians of {_ROUNDS}; listing apart", lines)
    save("growth", {"rounds": _ROUNDS, "rows_per_object": _ROWS_PER_OBJECT, "points": lines})


if __name__ == "__main__":
    main()
