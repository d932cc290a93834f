"""A version that cannot be counted fails once: the daily run does not try it again, everything else does."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from functions.refresh.usecases.refresh import RefreshError
from tests.functional.conftest import FAILURES_OF_S3, Pipeline
from tests.support import BUCKET, created, daily, parquet, record


def fail(pipeline: Pipeline, event: dict[str, Any]) -> str:
    """Run a refresh that fails, and return why."""
    with pytest.raises(RefreshError) as failure:
        pipeline.refresh(event)
    return str(failure.value)


def test_the_daily_run_fails_once_for_a_bad_version(pipeline: Pipeline) -> None:
    # Given a daily run that failed of an object
    key = pipeline.put("bad.parquet", b"garbage")
    etag = pipeline.s3.head_object(Bucket=BUCKET, Key=key)["ETag"]
    assert key in fail(pipeline, daily())
    # When the next one finds the same version
    pipeline.put("good.parquet", [record()])
    summary = pipeline.refresh(daily("2020-12-23"))
    # Then it counts the rest and succeeds, and the operator still finds the object
    assert (summary.objects_counted, summary.objects_refused, summary.objects_refused_before) == (1, 0, 1)
    assert pipeline.column("SELECT key FROM voucher_customer.ledger WHERE error IS NOT NULL") == [key]
    assert pipeline.column("SELECT refused_etag FROM voucher_customer.ledger WHERE error IS NOT NULL") == [etag]
    assert pipeline.column("SELECT objects_refused_before FROM voucher_customer.refreshes ORDER BY refresh_id") == [
        0,
        1,
    ]


def test_the_daily_run_does_not_fail_for_a_version_that_an_event_found_bad(pipeline: Pipeline) -> None:
    key = pipeline.put("a.parquet", [record()])
    pipeline.refresh(created(key))
    pipeline.put("a.parquet", b"garbage")
    fail(pipeline, created(key))
    summary = pipeline.refresh(daily())
    assert (summary.objects_refused_before, summary.objects_skipped) == (1, 0)
    assert set(pipeline.published().values()) == {1}  # the last good counts stay


def test_an_event_of_its_key_and_a_manual_run_try_a_bad_version_again(pipeline: Pipeline) -> None:
    key = pipeline.put("bad.parquet", b"garbage")
    fail(pipeline, daily())
    for event in (created(key), {}, {"prefix": "vouchers/bad"}):
        assert key in fail(pipeline, event)


def test_a_bad_object_is_tried_again_when_its_content_changes(pipeline: Pipeline) -> None:
    # Given a bad object
    key = pipeline.put("a.parquet", b"garbage")
    fail(pipeline, daily())
    # When it is overwritten with another bad one, then the first again, then a good one
    pipeline.put("a.parquet", b"other garbage")
    assert key in fail(pipeline, daily())
    pipeline.put("a.parquet", b"garbage")
    assert key in fail(pipeline, daily())
    pipeline.put("a.parquet", [record()])
    # Then each is tried, and nothing of the failures is left
    assert pipeline.refresh(daily()).objects_counted == 1
    assert pipeline.sql.run("SELECT error, refused_etag FROM voucher_customer.ledger") == [[None, None]]


def test_a_bad_version_put_back_to_the_counted_one_is_not_a_failure_any_more(pipeline: Pipeline) -> None:
    good = parquet([record()])
    pipeline.put("a.parquet", good)
    pipeline.refresh(daily())
    pipeline.put("a.parquet", b"garbage")
    fail(pipeline, daily())
    pipeline.put("a.parquet", good)
    pipeline.refresh(daily())
    assert pipeline.sql.run("SELECT error, refused_etag FROM voucher_customer.ledger") == [[None, None]]


@pytest.mark.parametrize(("error", "reason"), FAILURES_OF_S3)
def test_what_is_not_the_objects_own_fault_is_tried_again_at_every_run(
    pipeline: Pipeline, error: Exception, reason: str
) -> None:
    # Given an object that S3 refuses to give, or a network that does not reach S3
    key = pipeline.put("a.parquet", [record()])
    refresh = pipeline.make()
    give_again = pipeline.fail("GetObject", error)
    for _ in range(2):
        with pytest.raises(RefreshError, match=f"{key}: .*{reason}"):
            pipeline.refresh_with(refresh, daily())
    assert pipeline.column("SELECT refused_etag FROM voucher_customer.ledger") == [None]
    # When S3 gives it again
    give_again()
    # Then the next daily run counts it
    assert pipeline.refresh(daily()).objects_counted == 1


def test_a_bad_object_that_is_deleted_leaves_nothing_of_its_failure(pipeline: Pipeline) -> None:
    key = pipeline.put("a.parquet", b"garbage")
    fail(pipeline, daily())
    pipeline.delete(key)
    assert pipeline.refresh(daily()).objects_removed == 1
    assert pipeline.sql.run("SELECT error, refused_etag FROM voucher_customer.ledger") == [[None, None]]


def test_what_arrow_finds_only_while_counting_fails_its_object_and_not_the_run(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given an object whose damage shows after it was read
    bad = pipeline.put("bad.parquet", [record()])
    find_bounds = pc.min_max
    faults = iter([pa.ArrowInvalid("damaged")])

    def find_or_fail(*arguments: Any) -> Any:
        for fault in faults:
            raise fault
        return find_bounds(*arguments)

    monkeypatch.setattr(pc, "min_max", find_or_fail)
    # When it is counted
    assert fail(pipeline, created(bad)) == f"{bad}: cannot be counted: damaged"
    # Then it is known as bad, and the others are counted
    pipeline.put("good.parquet", [record()])
    assert pipeline.refresh(daily()).objects_counted == 1
