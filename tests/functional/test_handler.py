"""The Lambda entry: what it returns, logs and measures, and how it fails."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from functions.refresh import handler
from functions.refresh.events import EventError
from functions.refresh.refresh import RefreshError
from tests.functional.conftest import Pipeline
from tests.support import Context, created, record


@pytest.fixture
def invoke(pipeline: Pipeline) -> Iterator[Any]:
    """Invoke the handler as a fresh process would."""
    yield lambda event: handler.handler(event, Context())
    handler.database().close()
    for made_once in (handler.settings, handler.database, handler.refresh):
        made_once.cache_clear()


def metric_lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]


def test_a_refresh_returns_and_logs_a_summary_and_measures_it(
    invoke: Any, pipeline: Pipeline, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    key = pipeline.put("v.parquet", [record(), record(total_orders="-1")])

    summary = invoke(created(key))

    assert summary["objects_counted"] == 1
    assert (summary["objects_skipped"], summary["objects_failed"], summary["objects_removed"]) == (0, 0, 0)
    assert (summary["rows_read"], summary["rows_counted"]) == (2, 1)
    assert summary["rows_rejected"] == {"total_orders_negative": 1}
    assert (summary["as_of"], summary["rows_published"]) == ("2020-12-22", 2)
    assert summary["took_ms"] >= 0
    json.dumps(summary)
    [logged] = [entry for entry in caplog.records if entry.getMessage() == "refreshed"]
    assert logged.__dict__["summary"] == summary
    keys = handler.logger.get_current_keys()
    assert (keys["key"], keys["trigger"]) == (key, "object_created")
    lines = metric_lines(capsys)
    measured = {name: value for line in lines for name, value in line.items()}
    assert (measured["RowsCounted"], measured["RowsRejected"], measured["ObjectsCounted"]) == ([1.0], [1.0], [1.0])
    # Few values each, as every combination of them is a metric of its own.
    directives = [directive for line in lines for directive in line["_aws"]["CloudWatchMetrics"]]
    assert {name for directive in directives for names in directive["Dimensions"] for name in names} == {
        "service",
        "reason",
    }


def test_a_failed_object_fails_the_invocation_after_publishing(
    invoke: Any, pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    pipeline.put("a.parquet", [record()])
    pipeline.put("b.parquet", b"garbage")
    with pytest.raises(RefreshError, match=r"vouchers/b\.parquet"):
        invoke({})
    assert len(pipeline.published()) == 2
    assert [line["ObjectsFailed"] for line in metric_lines(capsys) if "ObjectsFailed" in line] == [[1.0]]


def test_an_event_that_is_not_understood_fails(invoke: Any) -> None:
    with pytest.raises(EventError):
        invoke({"hello": "world"})
