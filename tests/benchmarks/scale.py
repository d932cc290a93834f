"""Many functions at once: `python -m tests.benchmarks.scale`.

How long an object takes to be written while others write too, and how much faster two functions count a backlog than
one. Functions are processes with a connection of their own.
"""

import itertools
import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import boto3
import msgspec

from functions.common.database import Database
from functions.common.migrations import migrate
from functions.common.settings import DatabaseSettings, load_settings
from functions.refresh.counting.usage import Usage
from functions.refresh.ledger.entry import NO_ENTRY
from functions.refresh.ledger.ledger import Ledger
from functions.refresh.reading.bucket import ObjectVersion
from functions.refresh.results import Plan
from functions.refresh.settings import RefreshSettings
from functions.refresh.usecases.backlog import Backlog, CountStep, PlanStep
from functions.refresh.usecases.deadline import Deadline
from functions.refresh.usecases.events import Trigger
from functions.refresh.usecases.work_items import WorkItem
from functions.refresh.wiring import make_backlog
from infra import ROOT
from infra.local.postgres import Postgres, start_postgres
from infra.sample.sample import make_sample
from tests.benchmarks.counting import AS_OF
from tests.benchmarks.measuring import print_table, save
from tests.benchmarks.objects import Layout, write_objects
from tests.benchmarks.s3 import BUCKET, serving
from tests.shipped import SHIPPED

_WRITERS = (1, 8, 32)
_OBJECTS_WRITTEN = 320
# Between two objects a function reads: at once for the worst case, and as long as small objects take it.
_PAUSES_MS = (0, 40)

_SMALL = Layout(1_000_000, objects=400)
_LARGE = Layout(5_000_000)
_ITEM_BYTES = 16 * 2**20

_TRIGGER = Trigger("backlog", AS_OF)


def _now() -> datetime:
    return datetime.now(UTC)


def _usage(rows: int) -> Usage:
    usage = Usage(SHIPPED)
    for batch in make_sample().slice(0, rows).to_batches():
        usage.add(batch.select(["country_code", "voucher_amount", "total_orders", "last_order_ts"]), 0)
    return usage


def _write(url: str, name: str, objects: int, pause_ms: int, start: Any, results: Any) -> None:
    """Write objects while the other writers write too, and put the milliseconds that each took into `results`."""
    ledger = Ledger(Database(load_settings(DatabaseSettings, {"DATABASE_URL": url}), timeout_seconds=60))
    usage = _usage(2_500)
    ledger.entry("connected")
    start.wait()
    took = []
    for number in range(objects):
        time.sleep(pause_ms / 1000)
        started = time.perf_counter()
        version = ObjectVersion(f"{number}", 50_000)
        ledger.write(f"{name}/{number}", NO_ENTRY, version, usage, sequencer=None, now=_now())
        took.append((time.perf_counter() - started) * 1000)
    results.put(took)


def _count(manifest: str, number: int, of: int) -> None:
    """Count every `of`-th item of a plan from `number` on, after a line on standard input."""
    backlog = _backlog()
    items = _items(manifest)
    print("ready", flush=True)
    sys.stdin.readline()
    for item in items[number::of]:
        backlog.take(CountStep({}, item), _TRIGGER, Deadline())


def _backlog() -> Backlog:
    settings = load_settings(RefreshSettings, os.environ)
    return make_backlog(settings, Database(settings, timeout_seconds=60), _now)


def _items(manifest: str) -> list[WorkItem]:
    return msgspec.json.decode(Path(manifest).read_bytes(), type=list[WorkItem])


def _count_at_once(manifest: str, workers: int) -> float:
    """Let a number of processes count a plan, and return the seconds from their common start on."""
    command = [sys.executable, "-m", "tests.benchmarks.scale", "count", manifest]
    cores = sorted(os.sched_getaffinity(0))
    started = [
        subprocess.Popen(
            # A function of the default size has one processor.
            ["taskset", "--cpu-list", str(cores[number % len(cores)]), *command, str(number), str(workers)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(workers)
    ]
    for process in started:
        assert process.stdout is not None
        process.stdout.readline()
    begun = time.perf_counter()
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in started:
        process.communicate()
    if any(process.returncode for process in started):
        sys.exit("a process failed; its output is above")
    return time.perf_counter() - begun


def measure_writers(url: str) -> list[dict[str, Any]]:
    """Let more and more processes write to one database."""
    lines = []
    for pause_ms in _PAUSES_MS:
        for writers in _WRITERS:
            # Forked, because starting 32 anew takes longer than what is measured.
            forked = multiprocessing.get_context("fork")
            start, results = forked.Barrier(writers + 1), forked.Queue()
            each = _OBJECTS_WRITTEN // writers
            for number in range(writers):
                name = f"{pause_ms}-{writers}-{number}"
                forked.Process(target=_write, args=(url, name, each, pause_ms, start, results), daemon=True).start()
            start.wait()
            begun = time.perf_counter()
            took = sorted(itertools.chain.from_iterable(results.get() for _ in range(writers)))
            seconds = time.perf_counter() - begun
            lines.append(
                {
                    "writers": writers,
                    "pause, ms": pause_ms,
                    "objects/s": round(len(took) / seconds),
                    "all together, ms/object": round(seconds * 1000 / len(took), 2),
                    "p50 ms": round(statistics.median(took), 1),
                    "p99 ms": round(took[int(len(took) * 0.99)], 1),
                }
            )
    return lines


def measure_workers(url: str, folder: Path) -> list[dict[str, Any]]:
    """Let one process and then two count the same backlog."""
    for layout in (_SMALL, _LARGE):
        write_objects(folder / BUCKET / "vouchers", layout)
    lines = []
    with serving(folder) as endpoint:
        environment = {**endpoint, "DATABASE_URL": url, "BUCKET": BUCKET, "ITEM_BYTES": str(_ITEM_BYTES)}
        os.environ.update(environment)
        boto3.setup_default_session()
        for workers in (1, 2):
            database = Database(load_settings(DatabaseSettings, {"DATABASE_URL": url}), timeout_seconds=60)
            with database.transaction() as connection:
                connection.run("TRUNCATE voucher_customer.ledger, voucher_customer.usage_totals")
            database.close()
            with TemporaryDirectory() as files:
                manifest, items = _plan(Path(files))
                seconds = _count_at_once(manifest, workers)
            lines.append({"functions": workers, "items": items, "s": round(seconds, 2)})
    for line in lines:
        line["faster"] = round(lines[0]["s"] / line["s"], 2)
    return lines


def _plan(folder: Path) -> tuple[str, int]:
    """Plan, and keep the manifest, which the server takes and forgets."""
    backlog, path = _backlog(), folder / "plan.json"
    items = list(backlog._make_items(_TRIGGER, Deadline()))
    path.write_bytes(msgspec.json.encode(items))
    plan = backlog.take(PlanStep({}), _TRIGGER, Deadline())
    assert isinstance(plan, Plan)
    assert plan.items == len(items)
    return str(path), plan.items


def main() -> None:
    """Measure, print the tables and save the figures."""
    folder, address = start_postgres()
    try:
        migrate(Database(load_settings(DatabaseSettings, {"DATABASE_URL": address.url}), timeout_seconds=60))
        writers = measure_writers(address.url)
        print_table(f"Writing {_OBJECTS_WRITTEN} objects to one database", writers)
        with TemporaryDirectory() as files:
            workers = measure_workers(address.url, Path(files))
    finally:
        Postgres(folder).stop()
    print_table("Counting a backlog of 400 small objects and a large one", workers)
    save("scale", {"writers": writers, "workers": workers})


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["count", manifest, number, of]:
            _count(manifest, int(number), int(of))
        case _:
            main()
