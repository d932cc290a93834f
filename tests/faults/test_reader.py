"""Damaged files through the whole reader: counted, or refused with a reason; never another error, crash or hang."""

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.refresh.counting.cleaning import ObjectError
from functions.refresh.counting.usage import Usage
from functions.refresh.reading.bucket import Bucket
from tests.faults.damage import (
    good_file,
    read,
    read_damaged,
    read_damaged_as_large,
    read_damaged_foreign,
    read_damaged_foreign_as_large,
)
from tests.faults.world import Run, cases
from tests.shipped import SHIPPED
from tests.support import BUCKET, PREFIX, record
from tests.writers.files import SPARK

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_FILES = 50


@pytest.mark.parametrize("part", cases(short=2, full=60))
def test_a_damaged_file_is_counted_or_refused_with_a_reason(s3: "S3Client", environ: dict[str, str], part: int) -> None:
    """Given files that are truncated, flipped, cut and stretched, when they are read, then nothing else happens."""
    task = read_damaged_as_large if part % 2 else read_damaged
    report = Run(range(part * _FILES, (part + 1) * _FILES), environ, task).wait()
    assert report.message == ""
    assert report.summary == {}


@pytest.mark.parametrize("part", cases(short=2, full=60))
def test_a_damaged_file_of_another_writer_is_counted_or_refused_with_a_reason(
    s3: "S3Client", environ: dict[str, str], foreign_files: dict[str, Path], part: int
) -> None:
    """Given files that other writers made, which are damaged in the same ways, when read, then nothing else happens."""
    task = read_damaged_foreign_as_large if part % 2 else read_damaged_foreign
    folder = next(path.parent for path in foreign_files.values() if path.parent != SPARK)
    report = Run(range(part * _FILES, (part + 1) * _FILES), {**environ, "FOREIGN_FILES": str(folder)}, task).wait()
    assert (report.message, report.summary) == ("", {})


@pytest.mark.parametrize("task", [read_damaged, read_damaged_as_large])
def test_a_column_misdescribed_by_a_damaged_footer_does_not_end_the_process(
    s3: "S3Client", environ: dict[str, str], task: Callable[..., None]
) -> None:
    """Given a footer whose statistics of sizes are damaged, at which pyarrow aborts, when read, then it is refused."""
    report = Run(range(1874, 1875), environ, task).wait()
    assert (report.message, report.summary) == ("", {})


def test_a_column_that_ends_before_the_others_refuses_the_object(s3: "S3Client", environ: dict[str, str]) -> None:
    """Given a damaged object with fewer values in a column, when its columns are read side by side, then refused."""
    report = Run(range(19, 20), environ, read_damaged_as_large).wait()
    assert (report.message, report.summary) == ("", {})


@pytest.mark.parametrize("name", ["country_code", "last_order_ts", "total_orders", "voucher_amount"])
@pytest.mark.parametrize("index", [-1, 1, 2, 2**31 - 1])
def test_a_value_outside_its_dictionary_refuses_the_object(name: str, index: int) -> None:
    """Given a damaged object whose indices Arrow does not check, when counted, then it is refused with the reason."""
    indices = pa.array([0, index], pa.int32())
    outside = pa.DictionaryArray.from_arrays(indices, pa.array(["2020-01-06"]), safe=False)
    batch = pa.RecordBatch.from_pylist([record()] * 2)
    batch = batch.set_column(batch.schema.names.index(name), name, outside)
    with pytest.raises(ObjectError, match="not in its dictionary"):
        Usage(SHIPPED).add(batch, 0)


@settings(
    max_examples=len(cases(short=60, full=1000)),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(seed=st.integers(0, 20), edits=st.lists(st.tuples(st.integers(0), st.binary(max_size=4)), max_size=4))
def test_any_edit_of_a_file_is_counted_or_refused_with_a_reason(
    s3: "S3Client", seed: int, edits: list[tuple[int, bytes]]
) -> None:
    """Given a good file with some bytes replaced, when it is read, then nothing else happens; unedited it counts."""
    content = good_file(Random(seed))
    for place, new in edits:
        at = place % len(content)
        content = content[:at] + new + content[at + len(new) :]
    s3.put_object(Bucket=BUCKET, Key=PREFIX + "a.parquet", Body=content)
    usage = read(Bucket(BUCKET, PREFIX), PREFIX + "a.parquet")
    assert edits or (usage and usage.rows_counted == usage.rows_read > 0)
