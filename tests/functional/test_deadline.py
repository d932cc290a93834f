"""A run whose time ends: what is counted is published, what is left is counted by the next one."""

import itertools
import json
from collections.abc import Callable
from typing import Any, cast

import boto3
import pytest

from functions.refresh import handler
from functions.refresh.usecases.deadline import PUBLISHING_SECONDS, Deadline
from functions.refresh.usecases.refresh import RefreshError
from tests.functional.conftest import Pipeline
from tests.functional.test_handler import invoke as invoke  # noqa: PLC0414 - a fixture
from tests.functional.test_handler import metric_lines
from tests.support import Context, created, daily, record, unfinished

ENOUGH, TOO_LITTLE = 900.0, PUBLISHING_SECONDS - 1.0


class Clock:
    """Seconds that pass only when they are told to."""

    def __init__(self) -> None:
        self.left = ENOUGH

    def seconds_left(self) -> float:
        return self.left

    def run_out(self) -> None:
        self.left = TOO_LITTLE


def every_look_takes(seconds: float) -> Callable[[], float]:
    looks = itertools.count()
    return lambda: ENOUGH - seconds * next(looks)


def when_reading(name: str, hook: Callable[[], object]) -> None:
    """Call a hook before each piece of one object is read."""

    def call(params: dict[str, Any], **_: Any) -> None:
        if params["url_path"].endswith(name):
            hook()

    assert boto3.DEFAULT_SESSION is not None
    boto3.DEFAULT_SESSION.events.register("before-call.s3.GetObject", call)


def test_a_run_stops_between_objects_and_the_next_one_does_the_rest(pipeline: Pipeline) -> None:
    # Given more objects than there is time for
    for number in range(20):
        pipeline.put(f"{number:02}.parquet", [record()])
    clock = Clock()
    deadline = Deadline(clock.seconds_left)
    when_reading("03.parquet", clock.run_out)
    # When the time is over
    first = pipeline.refresh(daily(), deadline)
    # Then what was counted is published, and the rest is numbered
    assert 1 <= first.objects_counted < 20
    assert first.objects_deferred == 20 - first.objects_counted
    assert set(pipeline.published().values()) == {first.objects_counted}
    assert pipeline.sql.run("SELECT outcome, objects_deferred, error FROM voucher_customer.refreshes") == [
        ["published", first.objects_deferred, None]
    ]
    # And the next run counts that and nothing else
    second = pipeline.refresh(unfinished())
    assert (second.objects_counted, second.objects_skipped, second.objects_deferred) == (
        first.objects_deferred, first.objects_counted, 0,
    )  # fmt: skip
    assert set(pipeline.published().values()) == {20}


def test_a_run_that_goes_on_follows_the_rule_of_days_of_an_automatic_one(pipeline: Pipeline) -> None:
    pipeline.refresh(daily("2020-12-23"))
    assert str(pipeline.refresh(unfinished("2020-12-22")).as_of) == "2020-12-23"
    assert str(pipeline.refresh(unfinished("2020-12-24")).as_of) == "2020-12-24"
    assert str(pipeline.refresh(daily("2020-12-23")).as_of) == "2020-12-24"


def test_a_large_object_that_is_cut_off_after_others_were_counted_is_deferred(pipeline: Pipeline) -> None:
    # Given nine small objects, of which the first is counted before the tenth is begun, which is large
    for number in range(9):
        pipeline.put(f"{number}.parquet", [record()])
    large = pipeline.put("z.parquet", [record()] * 3, row_group_size=1)
    clock = Clock()
    when_reading("z.parquet", clock.run_out)
    # When the time is over inside it
    summary = pipeline.refresh(daily(), Deadline(clock.seconds_left))
    # Then it is left, not failed, and nothing of it is counted
    assert (summary.objects_refused, summary.errors) == (0, [])
    assert summary.objects_deferred >= 1
    assert large not in pipeline.column("SELECT key FROM voucher_customer.ledger")
    # And counted by the next run
    assert pipeline.refresh(unfinished()).objects_deferred == 0
    assert set(pipeline.published().values()) == {12}


def test_an_object_too_large_for_any_run_fails_once_and_is_not_tried_for_ever(pipeline: Pipeline) -> None:
    # Given an object that a run has no time for, though it does nothing else
    key = pipeline.put("large.parquet", [record()] * 10, row_group_size=1)
    # When it runs: at the fifth look after the first there is too little left
    with pytest.raises(RefreshError, match=rf"{key}: does not fit into one run: .* after 4 rows .* more memory"):
        pipeline.refresh(daily(), Deadline(every_look_takes(200)))
    # Then it is known as bad, and the next run leaves nothing
    summary = pipeline.refresh(unfinished(), Deadline(every_look_takes(200)))
    assert (summary.objects_refused_before, summary.objects_deferred) == (1, 0)
    # And more power, or more time, counts it on demand
    assert pipeline.refresh({}).objects_counted == 1


def test_a_run_that_deferred_objects_does_not_fail_for_others_so_that_the_next_starts(
    invoke: Any, pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given a bad object, and more than there is time for
    bad = pipeline.put("00.parquet", b"garbage")
    for number in range(1, 20):
        pipeline.put(f"{number:02}.parquet", [record()])
    clock = Clock()
    when_reading("03.parquet", clock.run_out)

    class EndingContext(Context):
        def get_remaining_time_in_millis(self) -> int:
            return round(clock.left * 1000)

    # When the time is over
    summary = handler.handler(daily(), cast(Any, EndingContext()))
    # Then the function succeeds, as only a success starts the next run; the metrics and the log of runs have the error
    assert (summary["objects_refused"], summary["objects_deferred"] > 0) == (1, True)
    assert bad in summary["errors"][0]
    [line] = [line for line in metric_lines(capsys) if "Refreshes" in line]
    assert (line["UnfinishedRefreshErrors"], line["RefreshesSucceeded"]) == ([1.0], [0.0])
    assert pipeline.column("SELECT outcome FROM voucher_customer.refreshes") == ["published"]
    assert pipeline.refresh(unfinished()).objects_deferred == 0
    assert set(pipeline.published().values()) == {19}


def test_an_event_whose_time_is_over_at_once_defers_its_object(pipeline: Pipeline) -> None:
    key = pipeline.put("a.parquet", [record()])
    clock = Clock()
    deadline = Deadline(clock.seconds_left)
    clock.run_out()
    assert pipeline.refresh(created(key), deadline).objects_deferred == 1
    assert pipeline.refresh(unfinished()).objects_counted == 1


def test_every_look_leaves_some_time_to_a_function_of_short_timeout() -> None:
    assert not Deadline(lambda: 3).is_over


def test_the_handler_looks_at_the_time_that_lambda_leaves_it(
    invoke: Any, pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given an invocation whose time runs out while it prepares
    key = pipeline.put("a.parquet", [record()])
    times = iter([900_000, 59_000])

    class ShortContext(Context):
        def get_remaining_time_in_millis(self) -> int:
            return next(times)

    # When it is invoked
    summary = handler.handler(created(key), cast(Any, ShortContext()))
    # Then it ends well, and says what it left
    assert (summary["objects_counted"], summary["objects_deferred"]) == (0, 1)
    json.dumps(summary)
    [line] = [line for line in metric_lines(capsys) if "Refreshes" in line]
    assert (line["ObjectsDeferred"], line["RefreshesSucceeded"]) == ([1.0], [1.0])
