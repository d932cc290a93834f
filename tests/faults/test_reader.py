"""Damaged files through the whole reader: counted, or refused with a reason; never another error, crash or hang."""

from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.refresh.bucket import Bucket
from tests.faults.mutants import good_file, read, read_damaged
from tests.faults.world import Run, cases
from tests.support import BUCKET, PREFIX

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_FILES = 50


@pytest.mark.parametrize("part", cases(short=2, full=60))
def test_a_damaged_file_is_counted_or_refused_with_a_reason(s3: "S3Client", environ: dict[str, str], part: int) -> None:
    """Given files that are truncated, flipped, cut and stretched, when they are read, then nothing else happens."""
    report = Run(range(part * _FILES, (part + 1) * _FILES), environ, read_damaged).wait()
    assert report.message == ""
    assert report.summary == {}


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
