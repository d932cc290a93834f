"""What memory size the refresh function should have on Lambda: `python -m tests.benchmarks.sizing [ROWS]`.

Lambda gives a function processors by its memory. The count is measured on one core and on two; Amdahl's law says
what part of it more of them make faster, and Lambda's prices say what that costs. The best of several runs counts:
a machine that is busy otherwise has no second core to show.
"""

import os
import sys
from typing import NamedTuple

from tests.benchmarks.measuring import OBJECTS, print_table, run, save
from tests.benchmarks.objects import Layout, write_objects
from tests.benchmarks.s3 import BUCKET, serving

_ROUNDS = 7
_SIZES_MB = (1024, 1769, 2048, 3008, 3538, 7076, 10240)
_MB_PER_PROCESSOR = 1769
# Published for us-east-1, per GB-second.
_DOLLARS = {"x86_64": 0.0000166667, "arm64": 0.0000133334}


class Parts(NamedTuple):
    """The seconds of a count that only one core works on, and those that any number share."""

    serial: float
    shared: float

    def seconds(self, processors: float) -> float:
        """Return how long it takes on so many processors, or on a part of one."""
        return self.serial / min(processors, 1) + self.shared / processors


def parts_of(on_one: float, on_two: float) -> Parts:
    """Solve Amdahl's law for what was measured."""
    shared = min(max(2 * (on_one - on_two), 0), on_one)
    return Parts(on_one - shared, shared)


def main(rows: int) -> None:
    """Measure, print the table and save the figures."""
    layout = Layout(rows)
    size = write_objects(OBJECTS / BUCKET, layout)
    seconds: dict[int, list[float]] = {1: [], 2: []}
    cores = sorted(os.sched_getaffinity(0))[:2]
    with serving(OBJECTS) as endpoint:
        for _ in range(_ROUNDS):
            for count, measured in seconds.items():
                measured.append(run("refresh", layout.prefix, endpoint, cores=cores[:count]).seconds)
    on_one, on_two = (min(measured) for measured in seconds.values())
    parts = parts_of(on_one, on_two)
    lines = []
    for megabytes in _SIZES_MB:
        took = parts.seconds(megabytes / _MB_PER_PROCESSOR)
        price = {name: took * megabytes / 1024 * rate / rows * 10**6 for name, rate in _DOLLARS.items()}
        lines.append(
            {
                "MemorySize": f"{megabytes}",
                "processors": f"{megabytes / _MB_PER_PROCESSOR:.2f}",
                "estimated s": f"{took:.2f}",
                **{f"USD per 10^9 rows, {name}": f"{dollars * 1000:.4f}" for name, dollars in price.items()},
            }
        )
    title = f"Lambda: {rows:,} rows, gzip, {size / 1e6:.0f} MB took {on_one:.2f} s on one core, {on_two:.2f} s on two"
    print_table(f"{title} (best of {_ROUNDS}): {parts.serial:.2f} s serial, {parts.shared:.2f} s shared", lines)
    save("sizing", {"rows": rows, "bytes": size, "one_core": on_one, "two_cores": on_two, "sizes": lines})


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000)
