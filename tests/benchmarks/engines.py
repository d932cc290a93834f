"""The refresh beside polars, DuckDB, the floor and plain pandas: `python -m tests.benchmarks.engines [ROWS]`."""

import sys
from collections.abc import Mapping
from typing import Any

from tests.benchmarks.measuring import OBJECTS, Medians, Run, medians, print_table, run, save
from tests.benchmarks.objects import Layout, write_objects
from tests.benchmarks.s3 import BUCKET, serving

ROWS = 10_000_000
_ROUNDS = 3
_CONTENDERS = ("refresh", "polars", "duckdb", "floor")
_PLAIN_ROWS = 500_000

NAMES = {
    "refresh": "refresh function",
    "polars": "polars, streaming",
    "duckdb": "DuckDB",
    "floor": "decoding alone (floor)",
    "pandas": "pandas, row by row",
}


def layouts(rows: int) -> list[Layout]:
    """Return the datasets that are counted."""
    return [
        Layout(rows, "gzip"),
        Layout(rows, "gzip", objects=16),
        Layout(rows, "snappy"),
        Layout(rows, "snappy", objects=16),
        Layout(rows, "zstd"),
        Layout(rows, "zstd", objects=16),
        Layout(rows, "gzip", group_rows=rows),
    ]


def compare(layout: Layout, endpoint: Mapping[str, str]) -> dict[str, Medians]:
    """Let all contenders count a dataset in turns, so that a change of the machine's speed affects all of them.

    Raises
    ------
    SystemExit
        When they do not find the same.
    """
    runs: dict[str, list[Run]] = {name: [] for name in _CONTENDERS}
    for _ in range(_ROUNDS):
        for name in _CONTENDERS:
            runs[name].append(run(name, layout.prefix, endpoint))
    check_equal(layout.rows, {name: done[0] for name, done in runs.items()})
    return {name: medians(done) for name, done in runs.items()}


def check_equal(rows: int, found: Mapping[str, Run]) -> None:
    """Check that all found the same counts, of all rows.

    Raises
    ------
    SystemExit
        When they did not.
    """
    counts = found["refresh"].result["rows"]
    for name, one in found.items():
        if name != "floor" and one.result["rows"] != counts:
            sys.exit(f"{name} counted otherwise than the refresh function")
    if found["floor"].result["rows"] != rows or sum(row[-1] for row in counts) != 2 * rows:
        sys.exit(f"not all of the {rows:,} rows were counted, each in two measures")


def compare_with_pandas(endpoint: Mapping[str, str]) -> dict[str, Medians]:
    """Let the refresh function and the plain pandas way count the same 500,000 rows.

    Raises
    ------
    SystemExit
        When they do not find the same.
    """
    from tests.benchmarks.counting import segments_of

    layout = Layout(_PLAIN_ROWS, group_rows=_PLAIN_ROWS)
    write_objects(OBJECTS / BUCKET, layout)
    ours = [run("refresh", layout.prefix, endpoint) for _ in range(_ROUNDS)]
    plain = run("pandas", layout.prefix, endpoint)
    if [list(row) for row in segments_of(ours[0].result["rows"])] != plain.result["rows"]:
        sys.exit("pandas counted otherwise than the refresh function")
    return {"refresh": medians(ours), "pandas": medians([plain])}


def main(rows: int = ROWS) -> None:
    """Compare on every dataset, print the tables and save the figures."""
    datasets: list[dict[str, Any]] = []
    with serving(OBJECTS) as endpoint:
        for layout in layouts(rows):
            size = write_objects(OBJECTS / BUCKET, layout)
            found = compare(layout, endpoint)
            datasets.append({**layout._asdict(), "bytes": size, "found": {k: v._asdict() for k, v in found.items()}})
            groups = "one row group" if layout.group_rows == rows else "row groups of up to 511,427"
            title = f"{rows:,} rows, {layout.codec}, {layout.objects} object(s), {groups}, {size / 1e6:.0f} MB"
            print_table(f"{title}, medians of {_ROUNDS}", _lines(found))
        plain = compare_with_pandas(endpoint)
        print_table(f"{_PLAIN_ROWS:,} rows, gzip, one object", _lines(plain))
    scaled = plain["pandas"].seconds * rows / _PLAIN_ROWS
    ratio = scaled / datasets[0]["found"]["refresh"]["seconds"]
    print(f"\nScaled to {rows:,} rows, plain pandas takes {scaled:.0f} s: {ratio:.0f} times the refresh function.")
    save(
        "engines",
        {
            "rows": rows,
            "rounds": _ROUNDS,
            "datasets": datasets,
            "plain": {"rows": _PLAIN_ROWS, **{name: one._asdict() for name, one in plain.items()}},
            "pandas_ratio": round(ratio),
        },
    )


def _lines(found: Mapping[str, Medians]) -> list[dict[str, object]]:
    ours = found["refresh"]
    return [
        {
            "": NAMES[name],
            "wall s": f"{one.seconds:.2f}",
            "CPU s": f"{one.cpu:.2f}",
            "first wall s": f"{one.first_seconds:.2f}",
            "peak MB": f"{one.peak_mb:.0f}",
            "our wall / its": f"{ours.seconds / one.seconds:.2f}",
            "our CPU / its": f"{ours.cpu / one.cpu:.2f}",
            "our first / its": f"{ours.first_seconds / one.first_seconds:.2f}",
        }
        for name, one in found.items()
    ]


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS)
