"""The line of log that each request leaves: complete, in one piece, and the metrics of a lookup."""

import json
import subprocess
import sys
import time
from typing import Any

import pytest

from tests.functional.conftest import REQUEST_ID, Call, Pipeline
from tests.support import ROOT, Context, created, record

CUSTOMER = {"country_code": "Peru", "total_orders": 1, "segment_name": "frequent_segment"}


@pytest.fixture
def published(pipeline: Pipeline) -> Pipeline:
    pipeline.refresh(created(pipeline.put("v.parquet", [record()])))
    return pipeline


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def metrics(line: dict[str, Any]) -> dict[tuple[str, ...], dict[str, str]]:
    """Return units by metric, by dimensions."""
    return {
        tuple(names): {metric["Name"]: metric["Unit"] for metric in directive["Metrics"]}
        for directive in line["_aws"]["CloudWatchMetrics"]
        for names in directive["Dimensions"]
    }


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/voucher_amount", CUSTOMER, "200"),
        ("POST", "/voucher_amount", CUSTOMER, "200"),
        ("POST", "/voucher_amounts", {"customers": [CUSTOMER]}, "200"),
        ("POST", "/voucher_amount", {**CUSTOMER, "country_code": "Chile"}, "404"),
        ("POST", "/voucher_amount", {}, "422"),
    ],
)
@pytest.mark.usefixtures("published")
def test_a_lookup_is_logged_and_measured_by_its_status(
    call: Call, capsys: pytest.CaptureFixture[str], method: str, path: str, body: Any, status: str
) -> None:
    call("GET", "/health")  # from now on it is known how old the publication is
    before, began = time.time(), time.perf_counter()
    call(method, path, body)
    after, took = time.time(), time.perf_counter() - began
    _, line = lines(capsys)
    names = ("route", "method", "status", "request_id", "function_request_id", "service")
    assert [line[name] for name in names] == [path, method, status, REQUEST_ID, Context.aws_request_id, "lookup"]
    assert 0 < line["duration_ms"] == line["LookupDuration"] <= took * 1000
    assert line["Lookups"] == 1
    assert 0 < line["PublicationAge"] < before
    assert metrics(line) == {
        ("service", "status"): {"Lookups": "Count"},
        ("service",): {"LookupDuration": "Milliseconds", "PublicationAge": "Seconds"},
    }
    assert {directive["Namespace"] for directive in line["_aws"]["CloudWatchMetrics"]} == {"VoucherSegmenter"}
    assert round(before * 1000) <= line["_aws"]["Timestamp"] <= round(after * 1000)


def test_before_a_publication_there_is_no_age_of_it(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    call("POST", "/voucher_amount", CUSTOMER)
    [line] = lines(capsys)
    assert line["status"] == "503"
    assert "PublicationAge" not in line
    assert metrics(line)["service",] == {"LookupDuration": "Milliseconds"}


@pytest.mark.parametrize("path", ["/", "/health", "/segments", "/refreshes", "/openapi.json"])
def test_other_routes_are_logged_and_not_measured(call: Call, capsys: pytest.CaptureFixture[str], path: str) -> None:
    status, _, _ = call("GET", path)
    [line] = lines(capsys)
    assert (line["route"], line["method"], line["status"]) == (path, "GET", str(status))
    assert (line["request_id"], line["function_request_id"]) == (REQUEST_ID, Context.aws_request_id)
    assert "_aws" not in line


@pytest.mark.parametrize(
    ("method", "path", "content_type", "status"),
    [
        ("DELETE", "/voucher_amount", "application/json", 405),
        ("POST", "/voucher_amount", "text/xml", 415),
        ("GET", "/no-such-route", "application/json", 405),
    ],
)
def test_what_chalice_answers_by_itself_is_logged_too(
    call: Call, capsys: pytest.CaptureFixture[str], method: str, path: str, content_type: str, status: int
) -> None:
    assert call(method, path, content_type=content_type)[0] == status
    [line] = [line for line in lines(capsys) if line["message"] == "answered"]
    assert (line["route"], line["method"], line["status"]) == (path, method, str(status))


def test_an_error_is_logged_with_both_ids(
    call: Call, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("DATABASE_PORT", "1")
    assert call("GET", "/health")[0] == 503
    [error] = [entry for entry in caplog.records if entry.levelname == "ERROR"]
    assert (vars(error)["request_id"], vars(error)["function_request_id"]) == (REQUEST_ID, Context.aws_request_id)


def test_a_process_with_wrong_settings_logs_them_and_every_request_in_lines_of_json() -> None:
    code = """
import sys, app
from tests.support import Context
writes, write = [], sys.stdout.write
sys.stdout.write = lambda text: (writes.append(text), write(text))
app.app({
    "requestContext": {"httpMethod": "POST", "resourcePath": "/voucher_amount", "requestId": "of-api-gateway"},
    "headers": {}, "multiValueQueryStringParameters": None, "pathParameters": None, "stageVariables": None,
    "body": '{"country_code": "Peru", "total_orders": 1, "segment_name": "frequent_segment"}',
}, Context())
assert sum('"answered"' in text and text.endswith("}\\n") for text in writes) == 1, writes
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True,
        env={"PYTHONPATH": "chalice_app:.", "DATABASE_PORT": "none", "POWERTOOLS_METRICS_NAMESPACE": "my-stack"},
    )  # fmt: skip
    error, line = (json.loads(text) for text in done.stdout.splitlines())
    assert (error["level"], error["exception_name"]) == ("ERROR", "SettingsError")
    assert "DATABASE_PORT" in error["exception"]
    assert error["request_id"] == line["request_id"] == "of-api-gateway"
    assert error["function_request_id"] == line["function_request_id"] == Context.aws_request_id
    assert line["status"] == "500"
    assert {directive["Namespace"] for directive in line["_aws"]["CloudWatchMetrics"]} == {"my-stack"}
