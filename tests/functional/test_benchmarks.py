"""The benchmarks' contenders count the same, on a few rows and without a clock."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.benchmarks.counting import count, count_plainly, decode, segments_of
from tests.benchmarks.engines import check_equal
from tests.benchmarks.measuring import Run
from tests.benchmarks.objects import HOSTILE, Layout, write_hostile, write_objects
from tests.benchmarks.s3 import BUCKET, serving

ROWS = 1_000


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with serving(tmp_path) as endpoint:
        for name, value in endpoint.items():
            monkeypatch.setenv(name, value)
        yield tmp_path / BUCKET


@pytest.mark.parametrize("layout", [Layout(ROWS), Layout(ROWS, "zstd", objects=3, group_rows=100, only_needed=True)])
def test_the_refresh_function_and_plain_pandas_count_the_same_rows(bucket: Path, layout: Layout) -> None:
    assert write_objects(bucket, layout) == sum(path.stat().st_size for path in bucket.rglob("*.parquet"))
    found = count(layout.prefix)
    assert (found["rejected"], found["errors"]) == ({}, [])
    check_equal(ROWS, {"refresh": Run(found, 0, 0, 0, 0), "floor": Run(decode(layout.prefix), 0, 0, 0, 0)})
    assert segments_of(found["rows"]) == count_plainly(layout.prefix)["rows"]


def test_contenders_that_count_otherwise_are_found_out() -> None:
    one = Run(
        {"rows": [["Peru", "total_orders", 2, 2640, 1], ["Peru", "days_since(last_order_ts)", 18267, 2640, 1]]},
        0,
        0,
        0,
        0,
    )
    other = Run({"rows": one.result["rows"][:1]}, 0, 0, 0, 0)
    with pytest.raises(SystemExit, match="polars counted otherwise"):
        check_equal(1, {"refresh": one, "polars": other, "floor": Run({"rows": 1}, 0, 0, 0, 0)})
    with pytest.raises(SystemExit, match="not all of the 2 rows"):
        check_equal(2, {"refresh": one, "floor": Run({"rows": 2}, 0, 0, 0, 0)})


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_rows_are_counted_or_rejected(bucket: Path, case: str) -> None:
    found = count(write_hostile(bucket, ROWS, case))
    assert found["errors"] == []
    counted = sum(row[-1] for row in found["rows"]) // 2
    assert counted + sum(found["rejected"].values()) == ROWS
