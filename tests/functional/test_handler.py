"""The Lambda entry: what it returns, logs and measures, and how it fails."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError
from pg8000.native import Connection

from functions.common.database import DatabaseUnreachableError
from functions.common.migrations import SchemaError, migrate
from functions.migrate import handler as migration
from functions.refresh import handler
from functions.refresh.usecases.events import EventError
from functions.refresh.usecases.refresh import RefreshError
from infra.local.processes import free_port
from infra.operations.logs import in_one_line
from tests.functional.conftest import Pipeline
from tests.support import ROOT, Context, created, daily, record


@pytest.fixture
def invoke(pipeline: Pipeline) -> Iterator[Any]:
    """Invoke the handler as a fresh process would, on a database that was migrated."""
    migrate(pipeline.database)
    yield lambda event: handler.handler(event, cast(Any, Context()))
    handler.database().close()
    for made_once in (
        handler.settings, handler.database, handler.refresh, handler.backlog, handler.verification, handler.questions,
    ):  # fmt: skip
        made_once.cache_clear()


def metric_lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]


def test_a_refresh_returns_and_logs_a_summary_and_measures_it(
    invoke: Any, pipeline: Pipeline, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    key = pipeline.put("v.parquet", [record(), record(total_orders="-1")])

    summary = invoke(created(key))

    assert summary["objects_counted"] == 1
    assert (summary["objects_skipped"], summary["objects_refused"], summary["objects_removed"]) == (0, 0, 0)
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
    assert (measured["Refreshes"], measured["RefreshesSucceeded"]) == ([1.0], [1.0])
    assert (measured["RowsPublished"], measured["RankingsChanged"]) == ([2.0], [2.0])
    assert (summary["report"], measured["ReportsFailed"]) == ("reports/2020-12-22.html", [0.0])


def test_a_repair_is_logged_and_measured_as_the_refresh_that_it_is(
    invoke: Any, pipeline: Pipeline, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    # Given an object that was overwritten by one with fewer rows, whose event was lost
    key = pipeline.put("v.parquet", [record()] * 9)
    invoke(created(key))
    pipeline.put("v.parquet", [record()] * 2)
    caplog.clear()
    capsys.readouterr()
    # When it is only verified, then nothing is refreshed
    assert invoke({"verify": True})["refreshed"] is None
    assert [entry.getMessage() for entry in caplog.records] == ["verified"]
    assert metric_lines(capsys) == []
    # When it is repaired, then the run says what was lost
    caplog.clear()
    number = invoke({"verify": True, "fix": True})["refreshed"]
    [refreshed, warning, verified] = caplog.records
    assert (refreshed.getMessage(), verified.getMessage()) == ("refreshed", "verified")
    summary = refreshed.__dict__["summary"]
    assert (summary["refresh_id"], summary["trigger"], summary["losses"]) == (number, "manual", {key: 7})
    assert warning.getMessage() == "'Peru' lost 77.8% of its records since the previous publication"
    measured = {name: value for line in metric_lines(capsys) for name, value in line.items()}
    assert (measured["Refreshes"], measured["RefreshesSucceeded"]) == ([1.0], [1.0])
    assert (measured["RowsLost"], measured["CountriesShrunk"]) == ([7.0], [1.0])


def test_what_is_published_is_measured_by_country_and_segment(
    invoke: Any, pipeline: Pipeline, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COUNTRIES", "Peru,Türkiye")
    rows = [*[record()] * 3, record(voucher_amount=4400), record(total_orders="40", country_code="Türkiye")]
    pipeline.put("v.parquet", [*rows, record(last_order_ts="2020-12-21")])

    invoke({"as_of": "2020-12-22"})

    lines = metric_lines(capsys)
    rankings = [line for line in lines if "MostUsedCount" in line]
    assert [(line["country_code"], line["segment"], line["MostUsedCount"]) for line in rankings] == [
        ("Peru", "frequent_segment 0-4", [4.0]),
        ("Peru", "recency_segment 180+", [3.0]),
        ("T\\xfcrkiye", "frequent_segment 37+", [1.0]),
        ("T\\xfcrkiye", "recency_segment 180+", [1.0]),
    ]
    assert rankings[0]["voucher_amount"] == [2640]
    vouchers = [line for line in lines if "VouchersInSegments" in line]
    assert [(line["country_code"], line["segment_name"], line["VouchersInSegments"]) for line in vouchers][:2] == [
        ("Peru", "frequent_segment", [5.0]),
        ("Peru", "recency_segment", [4.0]),
    ]
    assert {line["segment_name"]: line["RowsInNoSegment"] for line in lines if "RowsInNoSegment" in line} == {
        "frequent_segment": [0.0],
        "recency_segment": [1.0],
    }
    # Few values each, as every combination of them is a metric of its own.
    assert {
        tuple(names)
        for line in lines
        for directive in line["_aws"]["CloudWatchMetrics"]
        for names in directive["Dimensions"]
    } == {
        ("service",),
        ("service", "segment_name"),
        ("service", "country_code", "segment"),
        ("service", "country_code", "segment_name"),
    }
    assert {line["service"] for line in lines} == {"refresh"}


def test_a_failed_object_fails_the_invocation_after_publishing(
    invoke: Any, pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    pipeline.put("a.parquet", [record()])
    pipeline.put("b.parquet", b"garbage")
    with pytest.raises(RefreshError, match=r"vouchers/b\.parquet"):
        invoke(daily())
    assert len(pipeline.published()) == 2
    [line] = [line for line in metric_lines(capsys) if "Refreshes" in line]
    assert (line["ObjectsRefused"], line["RowsPublished"], line["RefreshesSucceeded"]) == ([1.0], [2.0], [0.0])


def test_a_run_by_hand_answers_what_it_published_and_what_was_refused(invoke: Any, pipeline: Pipeline) -> None:
    """A person reads the answer: nobody tries again, and no failure destination has to hear of it."""
    pipeline.put("a.parquet", [record()])
    pipeline.put("b.parquet", b"garbage")
    answer = invoke({"as_of": "2020-12-22"})
    assert (answer["rows_published"], answer["objects_refused"], answer["outcome"]) == (2, 1, "published")
    assert answer["as_of_before"] is None
    assert [error.partition(": ")[0] for error in answer["errors"]] == ["vouchers/b.parquet"]
    assert invoke({"as_of": "2020-12-21"})["as_of_before"] == "2020-12-22"
    [[outcome, error]] = pipeline.sql.run("SELECT outcome, error FROM voucher_customer.refreshes ORDER BY 1 LIMIT 1")
    assert (outcome, error[:20]) == ("published", "vouchers/b.parquet: ")


def test_of_many_errors_the_log_has_the_first_and_the_database_all(
    invoke: Any, pipeline: Pipeline, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(25):
        pipeline.put(f"{number:02}.parquet", b"garbage")
    with pytest.raises(RefreshError):
        invoke(daily())
    [logged] = [entry for entry in caplog.records if entry.getMessage() == "refreshed"]
    errors = logged.__dict__["summary"]["errors"]
    assert (len(errors), errors[-1]) == (21, "and 5 more; see the table refreshes")
    [error] = pipeline.column("SELECT error FROM voucher_customer.refreshes")
    assert error.count("is not readable parquet") == 25


def test_a_report_that_fails_is_measured_and_logged_and_fails_nothing(
    invoke: Any,
    pipeline: Pipeline,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    # Given a bucket that takes no pages
    event = created(pipeline.put("v.parquet", [record()]))
    invoke(event)
    pipeline.fail("PutObject")
    handler.refresh.cache_clear()  # with the client that it made before
    capsys.readouterr()
    # When a refresh publishes
    summary = invoke(event)
    # Then it succeeds, and its report does not
    assert (summary["rows_published"], summary["errors"], summary["report"]) == (2, [], "")
    assert "AccessDenied" in summary["report_error"]
    [line] = [line for line in metric_lines(capsys) if "Refreshes" in line]
    assert (line["RefreshesSucceeded"], line["ReportsFailed"]) == ([1.0], [1.0])
    [logged] = [entry for entry in caplog.records if entry.levelname == "ERROR"]
    assert logged.__dict__["error"] == summary["report_error"]


def test_a_run_that_does_not_publish_fails(
    invoke: Any, pipeline: Pipeline, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUCKET", "no-such-bucket")
    with pytest.raises(ClientError, match="NoSuchBucket"):
        invoke({})
    [line] = metric_lines(capsys)
    assert (line["Refreshes"], line["RefreshesSucceeded"]) == ([1.0], [0.0])
    assert "RowsPublished" not in line


def test_an_event_that_is_not_understood_fails(invoke: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(EventError):
        invoke({"hello": "world"})
    assert [line["RefreshesSucceeded"] for line in metric_lines(capsys)] == [[0.0]]


RULES = {"families": [["few", "total_orders"]], "segments": [["few", "0-1", 0, 1], ["few", "2+", 2, 99]]}


@pytest.mark.parametrize(
    ("question", "part", "answer"),
    [
        ({"why": "frequent_segment", "country_code": "Peru"}, "changes", [["frequent_segment", "0-4", [2640]]]),
        (
            {"slice": "vouchers/a", "against": "vouchers/b"}, "slice",
            [["frequent_segment", "0-4", [2640]], ["recency_segment", "180+", [2640]]],
        ),
        (
            {"what_if": RULES, "as_of": "2020-06-15", "countries": ["Peru"]}, "segments",
            [["few", "0-1", [4400]], ["few", "2+", [2640]]],
        ),
    ],
    ids=["why", "slice", "what_if"],
)  # fmt: skip
def test_a_question_is_answered_and_logged(
    invoke: Any,
    pipeline: Pipeline,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    question: dict[str, Any],
    part: str,
    answer: list[Any],
) -> None:
    # Given a publication of two objects
    pipeline.put("a.parquet", [record()] * 2)
    pipeline.put("b.parquet", [record(total_orders="1", voucher_amount=4400.0)])
    invoke(daily())
    capsys.readouterr()
    # When a question comes as JSON, as from `aws lambda invoke`
    found = json.loads(json.dumps(invoke(json.loads(json.dumps(question)))))
    # Then it is answered by segment
    answered = found["slice"]["segments"] if part == "slice" else found[part]
    most_used = "after" if part == "changes" else "voucher_amount"
    assert [[one["segment_name"], one["segment_type"], one[most_used]] for one in answered] == answer
    # And the log has it, while no refresh is measured
    [logged] = [entry for entry in caplog.records if entry.getMessage() == "question answered"]
    assert question.items() <= json.loads(json.dumps(logged.__dict__["question"])).items()
    assert metric_lines(capsys) == []
    assert pipeline.column("SELECT count(*) FROM voucher_customer.refreshes") == [1]


@pytest.mark.parametrize(
    ("question", "outside"),
    [({"slice": "2020/"}, "slice '2020/'"), ({"slice": "vouchers/", "against": "2019/"}, "against '2019/'")],
)
def test_a_slice_outside_the_dataset_is_refused(invoke: Any, question: dict[str, str], outside: str) -> None:
    assert f"{outside} is outside the dataset: it has to begin with 'vouchers/'" in invoke(question)["refused"]


def test_a_question_that_cannot_be_read_names_its_fields(invoke: Any) -> None:
    refused = invoke({"slice": "vouchers/a", "versus": "vouchers/b"})["refused"]
    assert re.search("the question cannot be read: .*`versus`.* Its fields are slice, against", refused)


@pytest.mark.parametrize(
    ("question", "refused"),
    [
        ({"why": "120-180"}, "there is no segment '120-180' with vouchers"),
        ({"slice": "vouchers/"}, "nothing is published, so there are no rules to count by: run make refresh first"),
        ({"what_if": {"families": [["few", "total_orders"]], "segments": []}}, "few"),
    ],
    ids=["why", "slice", "what_if"],
)
def test_a_question_without_an_answer_is_no_failure_of_the_function(
    invoke: Any, caplog: pytest.LogCaptureFixture, question: dict[str, Any], refused: str
) -> None:
    # A failure would raise the alarm of runs that fail, though a person has the reason on the screen.
    answer = invoke(question)
    assert refused in answer["refused"]
    [logged] = caplog.records
    assert (logged.getMessage(), logged.__dict__["error"]) == ("question refused", answer["refused"])


def test_a_run_that_fails_logs_of_which_event_and_object(
    invoke: Any, pipeline: Pipeline, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a database that is away when a file comes
    event = created(pipeline.put("while-away.parquet", [record()]))
    monkeypatch.setenv("DATABASE_PORT", str(free_port()))
    handler.settings.cache_clear()
    handler.database.cache_clear()
    with pytest.raises(DatabaseUnreachableError) as failure:
        invoke(event)
    # Then the log leads from the object to the failure
    [logged] = caplog.records
    [lines] = handler.logger.handlers
    # And it names the commit that runs
    assert json.loads(lines.format(logged))["commit"] == pipeline.environ["COMMIT"]
    assert in_one_line(lines.format(logged)) == (
        f"ERROR failed (object_created vouchers/while-away.parquet): DatabaseUnreachableError: {failure.value}"
    )


def test_a_refused_object_is_logged_once(invoke: Any, pipeline: Pipeline, caplog: pytest.LogCaptureFixture) -> None:
    event = created(pipeline.put("bad.parquet", b"garbage"))
    with pytest.raises(RefreshError):
        invoke(event)
    assert [entry.getMessage() for entry in caplog.records] == ["refreshed"]


@pytest.mark.usefixtures("s3")
def test_a_migration_brings_the_schema_up_to_date(sql: Connection) -> None:
    names = sorted(path.name for path in (ROOT / "infra" / "sql" / "migrations").glob("*.sql"))
    assert migration.handler({}, cast(Any, Context())) == {"applied": names, "schema": names}
    assert migration.handler({}, cast(Any, Context())) == {"applied": [], "schema": names}
    assert sql.run("SELECT count(*) FROM voucher_customer.refreshes") == [[0]]


def test_a_refresh_changes_no_schema_and_names_the_remedy(invoke: Any, sql: Connection) -> None:
    sql.run("DROP SCHEMA voucher_customer CASCADE")
    with pytest.raises(SchemaError, match=r"001_tables\.sql is missing: run `make migrate`"):
        invoke({})
    assert sql.run("SELECT to_regnamespace('voucher_customer')") == [[None]]


def test_every_line_of_a_run_leads_back_to_its_event(invoke: Any, pipeline: Pipeline) -> None:
    event = created(pipeline.put("v.parquet", [record()]))
    invoke(event)
    assert handler.logger.get_correlation_id() == event["id"]
    invoke({})
    assert handler.logger.get_correlation_id() == Context.aws_request_id
    assert handler.logger.get_current_keys()["key"] is None  # not the one of the run before
    with pytest.raises(EventError):
        invoke({"id": "of-another-kind", "detail-type": "Object Restored"})
    assert "key" not in handler.logger.get_current_keys()


def test_a_stack_names_the_space_of_its_metrics(environ: dict[str, str]) -> None:
    code = "import functions.refresh.handler as f, tests.support as t; f.handler({'no': 'event'}, t.Context())"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=False, capture_output=True,
        env={**environ, "POWERTOOLS_METRICS_NAMESPACE": "my-stack"},
    )  # fmt: skip
    assert b"EventError" in done.stderr
    [directive] = json.loads(done.stdout.splitlines()[0])["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "my-stack"
