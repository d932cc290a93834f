"""What a backlog would take on AWS: `python -m tests.benchmarks.simulate [--plots FOLDER]`. A model, no measurement.

Objects are counted as fast as the scarcest of these allows: functions, which come up by and by; Step Functions, which
starts so many items a second; S3, which answers so many requests a second; the database, in which one object at a time
is written. docs/scale.md says where each figure comes from.
"""

import argparse
import itertools
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks.measuring import FOLDER, plot, print_table, save

OBJECTS = (10_000, 100_000, 1_000_000)
OBJECT_MB = (2, 200)
WORKERS = (1, 4, 10, 100, 1_000, 10_000)

# Measured here: tests.benchmarks.scale, and make bench.
_APPLY_SECONDS = 0.008
_COLD_START_SECONDS = 3.0
_LEDGER_SECONDS = 10e-6
_PUBLISH_SECONDS = 1.0
# Assumed of AWS, us-east-1.
_OBJECT_SECONDS = 0.015
_MB_PER_SECOND = 70
_INVOKE_SECONDS = 0.1
_LIST_SECONDS = 0.15 / 1000
_FIRST_FUNCTIONS, _FUNCTIONS_PER_SECOND = 1_000, 100
_ITEMS_PER_SECOND = 300
_S3_REQUESTS_PER_SECOND, _REQUESTS_PER_OBJECT = 5_500, 2
_ITEM_MB, _OBJECT_MB = 268, 1.05
# Prices: GB-second, request, state transition, GET, page of a listing.
_MEMORY_GB = 1.73
_DOLLARS_GB_SECOND, _DOLLARS_INVOCATION, _DOLLARS_TRANSITION = 0.0000166667, 0.20 / 10**6, 25 / 10**6
_DOLLARS_GET, _DOLLARS_LIST = 0.0004 / 1000, 0.005 / 1000
_TRANSITIONS_PER_ITEM = 3


class Load(NamedTuple):
    """What is to be counted: so many objects of so many MB each."""

    objects: int
    object_mb: float = 2.0
    apply_seconds: float = _APPLY_SECONDS


class Estimate(NamedTuple):
    """What it takes, and what it waits for most of the time."""

    seconds: float
    dollars: float
    bottleneck: str


def estimate(load: Load, workers: int) -> Estimate:
    """Step through a backlog second by second.

    Examples
    --------
    >>> slow, fast = (estimate(Load(10_000), workers) for workers in (1, 4))
    >>> fast.seconds < slow.seconds / 3, fast.bottleneck
    (True, 'functions')
    >>> estimate(Load(1_000_000), 10_000).bottleneck
    'database'
    """
    per_item = max(1.0, _ITEM_MB / (load.object_mb + _OBJECT_MB))
    item_seconds = _INVOKE_SECONDS + per_item * (_OBJECT_SECONDS + load.object_mb / _MB_PER_SECOND)
    limits = {
        "Step Functions": _ITEMS_PER_SECOND * per_item,
        "S3": _S3_REQUESTS_PER_SECOND / _REQUESTS_PER_OBJECT,
        "database": 1 / load.apply_seconds,
    }
    looking = 2 * load.objects * (_LIST_SECONDS + _LEDGER_SECONDS) + _PUBLISH_SECONDS
    done = seconds = function_seconds = 0.0
    waited: dict[str, float] = {}
    step = 1.0
    while done < load.objects:
        functions = min(workers, _FIRST_FUNCTIONS + _FUNCTIONS_PER_SECOND * seconds)
        rates = {"functions": functions * per_item / item_seconds, **limits}
        bottleneck = min(rates, key=lambda name: rates[name])
        step = max(1.0, seconds / 1000)
        step = min(step, (load.objects - done) / rates[bottleneck])
        done += rates[bottleneck] * step
        seconds += step
        function_seconds += min(functions, load.objects / per_item) * step
        waited[bottleneck] = waited.get(bottleneck, 0) + step
    items = load.objects / per_item
    function_seconds += min(workers, items) * _COLD_START_SECONDS + looking
    dollars = (
        function_seconds * _MEMORY_GB * _DOLLARS_GB_SECOND
        + items * (_DOLLARS_INVOCATION + _TRANSITIONS_PER_ITEM * _DOLLARS_TRANSITION)
        + load.objects * _REQUESTS_PER_OBJECT * _DOLLARS_GET
        + 2 * load.objects / 1000 * _DOLLARS_LIST
    )
    total = seconds + _COLD_START_SECONDS + looking
    return Estimate(total, dollars, max(waited, key=lambda name: waited[name]))


def main() -> None:
    """Estimate, print the table, save the figures and draw the plot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plots", type=Path, default=FOLDER, help="where the plot goes")
    plots: Path = parser.parse_args().plots
    points = []
    lines = []
    for object_mb, objects, workers in itertools.product(OBJECT_MB, OBJECTS, WORKERS):
        found = estimate(Load(objects, object_mb), workers)
        point = {"objects": objects, "MB each": object_mb, "functions": workers}
        points.append({**point, "minutes": found.seconds / 60, "USD": found.dollars})
        lines.append(
            {
                **point,
                "minutes": f"{found.seconds / 60:,.0f}",
                "USD": f"{found.dollars:,.2f}",
                "bottleneck": found.bottleneck,
            }
        )
    print_table("A backlog on AWS, as the model has it", lines)
    save("simulation", {"points": points})
    plot(plots.absolute())


if __name__ == "__main__":
    main()
