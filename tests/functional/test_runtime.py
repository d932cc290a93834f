"""The built packages as Lambda runs them: AWS's runtime client, the template's handlers, PostgreSQL, S3 over HTTP."""

import json
import sys
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import boto3
import pytest
from pg8000.native import Connection

from functions import __version__
from infra.checks.transform import TEMPLATE, read_template
from infra.local.postgres import DatabaseAddress
from infra.localstack.sandbox import Function, Outcome, Sandbox
from tests.support import BUCKET, PREFIX, ROOT, RUNTIME, created, parquet, read_published, record, recount, serving_aws

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="AWS's runtime client is for Linux only")

SECRET = "database"
REQUEST = "8f507cfc-xmpl-4697-b07a-ac58fc914c95"

Invoke = Callable[[str, Any], Outcome]


@pytest.fixture
def endpoint(environ: dict[str, str], postgres: DatabaseAddress) -> Iterator[str]:
    """Serve S3 with the bucket and Secrets Manager with the password on 127.0.0.1."""
    with serving_aws() as url:
        boto3.client("s3", endpoint_url=url).create_bucket(Bucket=BUCKET)
        secret = json.dumps({"password": postgres.password})
        boto3.client("secretsmanager", endpoint_url=url).create_secret(Name=SECRET, SecretString=secret)
        yield url


@pytest.fixture
def invoke(packages: dict[str, Path], environ: dict[str, str], endpoint: str, sql: Connection) -> Iterator[Invoke]:
    """Invoke a function of the template in a process of its own, on an empty database."""
    resources = read_template(TEMPLATE)["Resources"]
    secret = {"DATABASE_SIGN_IN": "secret", "DATABASE_SECRET": SECRET, "DATABASE_PASSWORD": ""}
    sandboxes = {}
    for name in ("migrate", "refresh", "lookup"):
        declared = resources[f"{name.title()}Function"]["Properties"]
        sandboxes[name] = Sandbox(
            Function(
                name, declared["Handler"], RUNTIME, packages[name], declared["MemorySize"], declared["Timeout"],
                environment={**environ, **secret, "AWS_ENDPOINT_URL": endpoint},
            )
        )  # fmt: skip
    assert "applied" in sandboxes["migrate"].invoke(b"{}", request_id=REQUEST).payload.decode()
    yield lambda name, event: sandboxes[name].invoke(json.dumps(event).encode(), request_id=REQUEST)
    for sandbox in sandboxes.values():
        sandbox.stop()


def put(endpoint: str, name: str, body: bytes) -> str:
    boto3.client("s3", endpoint_url=endpoint).put_object(Bucket=BUCKET, Key=PREFIX + name, Body=body)
    return PREFIX + name


def api_request(**changes: Any) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((ROOT / "tests" / "events" / "api_request.json").read_text())
    return event | changes


def test_what_the_refresh_package_publishes_the_lookup_package_answers(
    invoke: Invoke, endpoint: str, sql: Connection
) -> None:
    rows = [record()] * 3 + [record(voucher_amount=4400.0)] * 2
    key = put(endpoint, "a b+c.parquet", parquet(rows, compression="zstd"))

    refreshed = invoke("refresh", created(key))
    assert not refreshed.is_error, refreshed.logs
    assert json.loads(refreshed.payload)["rows_counted"] == 5
    [summary] = [json.loads(line) for line in refreshed.logs.splitlines() if '"message":"refreshed"' in line]
    assert (summary["function_request_id"], summary["cold_start"]) == (REQUEST, True)
    assert summary["version"] == __version__
    assert read_published(sql) == recount(rows, date(2020, 12, 22), ["Peru"])

    answered = invoke("lookup", api_request())
    assert not answered.is_error, answered.logs
    answer = json.loads(answered.payload)
    assert (answer["statusCode"], json.loads(answer["body"])) == (200, {"voucher_amount": [2640.0]})


def test_a_request_that_cannot_be_answered_is_no_error_of_the_function(invoke: Invoke) -> None:
    # Which fields a request needs, the published families say.
    assert not invoke("refresh", {}).is_error
    outcome = invoke("lookup", api_request(body="{}"))
    assert not outcome.is_error, outcome.logs
    answer = json.loads(outcome.payload)
    assert answer["statusCode"] == 422
    assert {error["field"] for error in json.loads(answer["body"])["errors"]} == {"country_code", "segment_name"}


def test_an_object_that_fails_is_an_error_of_the_function_that_names_it(invoke: Invoke, endpoint: str) -> None:
    key = put(endpoint, "broken.parquet", b"no parquet at all")
    for _ in range(2):  # the second time in the same process
        outcome = invoke("refresh", created(key))
        assert outcome.is_error
        error = json.loads(outcome.payload)
        assert error["errorType"] == "RefreshError"
        assert f"{key}: is not readable parquet" in error["errorMessage"]
        assert any("functions/refresh/handler.py" in line for line in error["stackTrace"])


def test_an_event_of_an_unknown_kind_is_an_error_of_the_function(invoke: Invoke) -> None:
    error = json.loads(invoke("refresh", {"source": "aws.unknown"}).payload)
    assert error["errorType"] == "EventError"
