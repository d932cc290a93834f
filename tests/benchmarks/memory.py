"""Memory of a refresh, from 1 to 100 million rows and on hostile input: `python -m tests.benchmarks.memory [large]`.

It is the peak of the whole process that counts, libraries included.
"""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from tests.benchmarks.measuring import OBJECTS, Run, medians, print_table, run, save
from tests.benchmarks.objects import HOSTILE, Layout, write_hostile, write_objects
from tests.benchmarks.s3 import BUCKET, serving

_MILLION = 1_000_000
_ROUNDS = 3


def _layouts(largest: int) -> list[Layout]:
    """Return datasets that grow, each as many row groups and as few; beyond 10 million rows without idle columns."""
    sizes = [rows for rows in (_MILLION, 10 * _MILLION, 100 * _MILLION) if rows <= largest]
    return [
        Layout(rows, group_rows=group_rows, only_needed=rows > 10 * _MILLION)
        for rows in sizes
        for group_rows in (511_427, min(rows, 10 * _MILLION))
    ]


def measure_growth(largest: int) -> None:
    """Count datasets of growing size, print the table and save the figures."""
    lines: list[dict[str, object]] = []
    with serving(OBJECTS) as endpoint:
        for layout in _layouts(largest):
            size = write_objects(OBJECTS / BUCKET, layout)
            took = medians([run("refresh", layout.prefix, endpoint) for _ in range(_ROUNDS)])
            lines.append(
                {
                    "rows": f"{layout.rows:,}",
                    "row groups of": f"{layout.group_rows:,}",
                    "columns": "the needed" if layout.only_needed else "all",
                    "MB": f"{size / 1e6:.0f}",
                    "wall s": f"{took.seconds:.2f}",
                    "CPU s": f"{took.cpu:.2f}",
                    "peak MB": f"{took.peak_mb:.0f}",
                }
            )
    print_table(f"Memory of the refresh function, one object, gzip, medians of {_ROUNDS}", lines)
    save(f"memory-{largest}", {"rounds": _ROUNDS, "datasets": lines})


def measure_hostile(rows: int) -> None:
    """Count records in which one column has a value of its own in every row."""
    with serving(OBJECTS) as endpoint:
        cases = {case: run("refresh", write_hostile(OBJECTS / BUCKET, rows, case), endpoint) for case in HOSTILE}
    lines = [_line(case, done) for case, done in cases.items()]
    print_table(f"Hostile input: {rows:,} rows, each with its own value", lines)
    save("hostile", {"rows": rows, "cases": lines})


def _line(case: str, done: Run) -> dict[str, object]:
    return {
        "each row its": case.removeprefix("own "),
        "wall s": f"{done.seconds:.2f}",
        "CPU s": f"{done.cpu:.2f}",
        "peak MB": f"{done.peak_bytes / 1e6:.0f}",
        "what came of it": _outcome(done.result),
    }


def _outcome(result: Mapping[str, Any]) -> str:
    errors: Sequence[str] = result["errors"]
    if errors:
        return f"refused: {errors[0].partition(': ')[2]}"
    rejected = ", ".join(f"{count:,} rows rejected as {reason}" for reason, count in result["rejected"].items())
    return rejected or f"counted: {len(result['rows']):,} combinations"


def main(largest: int, hostile_rows: int) -> None:
    """Measure both."""
    measure_growth(largest)
    measure_hostile(hostile_rows)


if __name__ == "__main__":
    main(100 * _MILLION if sys.argv[1:] == ["large"] else 10 * _MILLION, _MILLION)
