"""The description of the API: complete, its examples true, and kept by `chalice local` under thousands of requests."""

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import positive_data_acceptance

from chalicelib import customers, problems
from functions.common.days import OFFSET_PATTERN, OWN_DAY_PATTERN
from functions.common.dimensions import RESERVED_COLUMNS
from infra.local.processes import free_port, stop_session, wait_for
from infra.sample.sample import make_sample
from tests.functional.conftest import Pipeline
from tests.shipped import SHIPPED
from tests.support import ROOT, created, record
from tests.text_dates import READ, REJECTED

IS_FULL = os.environ.get("FUZZ") == "full"

DOCUMENT: dict[str, Any] = json.loads((ROOT / "chalice_app" / "chalicelib" / "openapi.json").read_text())
RESPONSES = [
    (f"{method} {path} {status}", response)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
    for status, response in operation["responses"].items()
]


def resolved(node: Any) -> Any:
    """Follow a reference of the document."""
    while isinstance(node, dict) and "$ref" in node:
        found: Any = DOCUMENT
        for name in node["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        node = found
    return node


def test_the_document_has_every_route_and_verb() -> None:
    import app as lookup

    served = {(path, method) for path, views in lookup.app.routes.items() for method in views}
    described = {(path, method.upper()) for path, methods in DOCUMENT["paths"].items() for method in methods}
    assert described == served


@pytest.mark.parametrize(
    ("model", "schema"),
    [
        (customers.CustomerFields, "Customer"),
        (customers.Batch, "Batch"),
    ],
)
def test_the_document_has_every_field_of_a_body(model: type[msgspec.Struct], schema: str) -> None:
    described = DOCUMENT["components"]["schemas"][schema]["properties"]
    assert {field.name for field in msgspec.structs.fields(model)} <= set(described)


@pytest.mark.parametrize(
    ("path", "models"),
    [
        ("/voucher_amount", (customers.CustomerFields,)),
        ("/segments", (customers.Country,)),
        ("/history", (customers.HistoryOfFamily,)),
        ("/refreshes", (customers.Latest,)),
    ],
)
def test_the_document_has_every_field_of_a_query(path: str, models: tuple[type[msgspec.Struct], ...]) -> None:
    described = {parameter["name"] for parameter in DOCUMENT["paths"][path]["get"]["parameters"]}
    needed = {field.name for model in models for field in msgspec.structs.fields(model)}
    assert needed <= described


def test_the_document_has_the_fields_of_the_families_that_are_shipped() -> None:
    fields = {dimension.field for dimension in SHIPPED.by_name.values()}
    assert fields <= set(DOCUMENT["components"]["schemas"]["Customer"]["properties"])
    assert fields <= {parameter["name"] for parameter in DOCUMENT["paths"]["/voucher_amount"]["get"]["parameters"]}


def test_no_field_of_an_explanation_can_be_a_dimension() -> None:
    described = set(DOCUMENT["components"]["schemas"]["Explanation"]["properties"])
    numbers = {dimension.number_name for dimension in SHIPPED.by_name.values()}
    assert described - numbers <= RESERVED_COLUMNS


def test_the_document_has_every_status_of_an_error() -> None:
    described = {response["$ref"].rpartition("/")[2] for _, response in RESPONSES if "$ref" in response}
    statuses = {
        body["example"]["status"]
        for name in described
        for body in DOCUMENT["components"]["responses"][name].get("content", {}).values()
    }
    assert {status.value for status in problems.STATUS_OF_ERROR.values()} | {415} == statuses


def test_the_document_has_the_grammar_of_text_dates() -> None:
    pattern = DOCUMENT["components"]["schemas"]["LastOrder"]["pattern"]
    grammar = re.sub(r"\?P<\w+>", "?:", f"{OWN_DAY_PATTERN}|{OFFSET_PATTERN}")
    assert pattern == rf"^[ \t\n\v\f\r]*(?:{grammar})[ \t\n\v\f\r]*$"
    validator = jsonschema_rs.validator_for({"type": "string", "pattern": pattern})
    assert [text for text in READ if not validator.is_valid(text)] == []
    # A pattern cannot tell which days there are.
    assert {text[:10] for text in REJECTED if validator.is_valid(text)} == {
        "0000-01-01", "0000-12-31", "0001-01-01", "2018-00-10", "2018-01-00", "2018-02-29", "2018-02-30",
        "2018-04-31", "2018-13-01", "9999-12-31",
    }  # fmt: skip


@pytest.mark.parametrize(("where", "response"), RESPONSES, ids=[where for where, _ in RESPONSES])
def test_the_examples_are_of_the_form_that_they_show(where: str, response: dict[str, Any]) -> None:
    for body in resolved(response).get("content", {}).values():
        if "example" in body:
            schema = {**body["schema"], "components": DOCUMENT["components"]}
            jsonschema_rs.validate(schema, body["example"])


@pytest.fixture
def local_api(pipeline: Pipeline, tmp_path: Path) -> Iterator[str]:
    """Run `chalice local` on a publication of a few records."""
    rows = [record(), record(voucher_amount=4400.0, total_orders="9.0"), record(country_code="China")]
    pipeline.refresh(created(pipeline.put("v.parquet", rows)))
    with chalice_local(pipeline, tmp_path) as url:
        yield url


@contextmanager
def chalice_local(pipeline: Pipeline, folder: Path) -> Iterator[str]:
    """Run `chalice local` against DATABASE_URL, as a Chalice user would."""
    port, log = free_port(), folder / "chalice.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [Path(sys.executable).with_name("chalice"), "local", "--no-autoreload", "--port", str(port)],
            cwd=ROOT / "chalice_app", env={"PATH": "/usr/bin:/bin", "DATABASE_URL": pipeline.reader.url},
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def answers() -> bool | None:
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5):
                return True
        except OSError:
            return None

    try:
        wait_for("chalice local", answers, seconds=30)
        yield f"http://127.0.0.1:{port}"
    finally:
        stop_session(process.pid, name="chalice")
        process.wait(5)


NOT_RUN = r"<!-- not run by the tests: [^>]+ -->\n+```\w+\n.*?```"
API_PAGE = re.sub(NOT_RUN, "", (ROOT / "docs" / "api.md").read_text(), flags=re.DOTALL)
VARYING = {"age_seconds", "took_ms", "version"}


def without_varying(answer: Any) -> Any:
    if isinstance(answer, dict):
        return {name: without_varying(value) for name, value in answer.items() if name not in VARYING}
    return [without_varying(value) for value in answer] if isinstance(answer, list) else answer


@pytest.mark.skipif(shutil.which("curl") is None, reason="the page asks with curl, which is not installed")
def test_the_page_of_the_api_shows_real_answers(pipeline: Pipeline, tmp_path: Path) -> None:
    pipeline.refresh(created(pipeline.put("vouchers.parquet", make_sample())))
    shown = re.findall(r"```sh\n(.*?)```\s+```(json|text)\n(.*?)```", API_PAGE, re.DOTALL)
    assert len(shown) == API_PAGE.count("```sh") == 14
    with chalice_local(pipeline, tmp_path) as url:
        for command, language, answer in shown:
            done = subprocess.run(
                ["sh", "-c", command], env={"PATH": "/usr/bin:/bin", "API_URL": url}, check=True, capture_output=True
            )
            printed = done.stdout.decode()
            if language == "json":
                assert without_varying(json.loads(printed)) == without_varying(json.loads(answer)), command
            else:
                assert printed.strip() == answer.strip()


def test_chalice_local_answers_many_threads_each_its_own_question(local_api: str) -> None:
    def ask(orders: int) -> Any:
        body = json.dumps({"country_code": "Peru", "segment_name": "frequent_segment", "total_orders": orders})
        request = urllib.request.Request(
            f"{local_api}/voucher_amount", body.encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)["voucher_amount"]

    questions = [2, 9] * 200
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(ask, questions)) == [[2640.0], [4400.0]] * 200


def test_no_request_gets_an_answer_that_is_not_described(local_api: str) -> None:
    # 413 refuses bad data too, when there is too much of it.
    config = SchemathesisConfig.from_dict({"checks": {"negative_data_rejection": {"expected-statuses": ["4xx"]}}})
    description = schemathesis.openapi.from_url(f"{local_api}/openapi.json", config=config)
    attacked, requests = 0, 0
    for found in description.get_all_operations():
        operation = found.ok()  # type: ignore[union-attr]
        takes_input = operation.body or operation.query
        for mode in GenerationMode if takes_input else [GenerationMode.POSITIVE]:

            @settings(max_examples=700 if IS_FULL else 100, deadline=None, suppress_health_check=list(HealthCheck))
            @given(case=operation.as_strategy(generation_mode=mode))
            def attack(case: Any) -> None:
                nonlocal requests
                requests += 1
                # A schema cannot say that a date exists and is past, nor which family needs which field.
                case.call_and_validate(excluded_checks=[positive_data_acceptance])

            attack()
            attacked += 1
    assert attacked == 15 + 10  # all operations but GET /openapi.json, and those of them that take input once more
    assert requests >= (10_000 if IS_FULL else 1_000)
