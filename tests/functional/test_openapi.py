"""What `chalice local` answers: what docs/api.md and the description show, and nothing that is not described."""

import json
import os
import re
import shutil
import subprocess
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from infra.sample.sample import make_sample
from tests.described import DESCRIPTION, close_answers
from tests.functional.conftest import Pipeline
from tests.functional.serving import chalice_local
from tests.support import ROOT, created

EXAMPLES: dict[str, Any] = json.loads((ROOT / "infra" / "description" / "examples.json").read_text())
IS_FULL = os.environ.get("FUZZ") == "full"


NOT_RUN = r"<!-- not run by the tests: [^>]+ -->\n+```\w+\n.*?```"
API_PAGE = re.sub(NOT_RUN, "", (ROOT / "docs" / "api.md").read_text(), flags=re.DOTALL)
VARYING = {"age_seconds", "took_ms", "version", "commit"}


def without_varying(answer: Any) -> Any:
    if isinstance(answer, dict):
        return {name: without_varying(value) for name, value in answer.items() if name not in VARYING}
    return [without_varying(value) for value in answer] if isinstance(answer, list) else answer


@pytest.mark.skipif(shutil.which("curl") is None, reason="the page asks with curl, which is not installed")
def test_the_page_and_the_examples_of_the_api_show_real_answers(pipeline: Pipeline, tmp_path: Path) -> None:
    pipeline.refresh(created(pipeline.put("vouchers.parquet", make_sample())))
    shown = re.findall(r"```sh\n(.*?)```\s+```(json|text)\n(.*?)```", API_PAGE, re.DOTALL)
    assert len(shown) == API_PAGE.count("```sh") >= len(EXAMPLES)
    with chalice_local(pipeline.reader.url, tmp_path) as url:
        for command, language, answer in shown:
            done = subprocess.run(
                ["sh", "-c", command], env={"PATH": "/usr/bin:/bin", "API_URL": url}, check=True, capture_output=True
            )
            printed = done.stdout.decode()
            if language == "json":
                assert without_varying(json.loads(printed)) == without_varying(json.loads(answer)), command
            else:
                assert printed.strip() == answer.strip()
        described = requests.get(f"{url}/openapi.json", timeout=30).json()
        for path, methods in described["paths"].items():
            for method, operation in methods.items():
                for example in EXAMPLES.get(operation["operationId"], []):
                    answered = requests.request(
                        method, url + path, params=example.get("query"), json=example.get("body"), timeout=30
                    )
                    given = answered.text if path == "/" else answered.json()
                    assert without_varying(given) == without_varying(example["answer"]), example


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


def test_chalice_local_refuses_unknown_routes_and_verbs_as_the_page_says(local_api: str) -> None:
    nowhere = requests.get(f"{local_api}/nowhere", timeout=30)
    assert (nowhere.status_code, nowhere.json()) == (403, {"message": "Missing Authentication Token"})
    verb = requests.delete(f"{local_api}/voucher_amount", timeout=30)
    assert (verb.status_code, verb.json()["status"], verb.headers["Allow"]) == (405, 405, "GET, HEAD, POST")


# A schema cannot say which dates exist and are past, nor which families are published.
EXCLUDED = {
    # And a bad customer of a batch has a problem of its own in an answer of 200.
    "/voucher_amounts": [positive_data_acceptance, negative_data_rejection],
}


def test_no_request_gets_an_answer_that_is_not_described(local_api: str) -> None:
    # 413 refuses bad data too, when there is too much of it.
    checks = {"negative_data_rejection": {"expected-statuses": ["4xx"]}}
    config = SchemathesisConfig.from_dict({"base-url": local_api, "checks": checks})
    description = schemathesis.openapi.from_dict(close_answers(DESCRIPTION), config=config)
    attacked: set[str] = set()
    sent = 0
    for found in description.get_all_operations():
        operation = found.ok()  # type: ignore[union-attr]
        attacked.add(operation.label)
        if operation.method == "head":  # is asked what its GET is asked
            continue
        for mode in GenerationMode if operation.body or operation.query else [GenerationMode.POSITIVE]:

            @settings(max_examples=700 if IS_FULL else 60, deadline=None, suppress_health_check=list(HealthCheck))
            @given(case=operation.as_strategy(generation_mode=mode))
            def attack(case: Any) -> None:
                nonlocal sent
                response = case.call_and_validate(excluded_checks=EXCLUDED.get(case.path, [positive_data_acceptance]))
                sent += 1
                if case.method == "GET":
                    asked = response.request
                    head = requests.head(asked.url, headers=asked.headers, timeout=30)
                    assert (head.status_code, head.content) == (response.status_code, b"")
                    sent += 1

            attack()
    every = {f"{method.upper()} {path}" for path, methods in DESCRIPTION["paths"].items() for method in methods}
    assert attacked == every
    assert sent >= (10_000 if IS_FULL else 800)
