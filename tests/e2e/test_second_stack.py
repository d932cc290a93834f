"""A stack of another name, deployed, called, changed and torn down by the project's own commands."""

import json
import re
import shlex
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.e2e.conftest import EMULATOR, RunningStack
from tests.e2e.test_operations import operate
from tests.generated import generate_client
from tests.support import ROOT

API_PAGE = (ROOT / "docs" / "api.md").read_text()
RUN_HERE = r"<!-- not run by the tests: tests/e2e/test_second_stack.py [^>]+ -->"
CALLS = re.findall(RUN_HERE + r"\n+```(\w+)\n(.*?)```", API_PAGE, re.DOTALL)
SIGNED_BY_CURL, SIGNED_BY_BOTO3, WITH_KEY, SIGNED_BY_GENERATED = (text for _, text in CALLS)


def parameters(stack: RunningStack, name: str) -> dict[str, str]:
    [found] = stack.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
    return {entry["ParameterKey"]: entry["ParameterValue"] for entry in found["Parameters"]}


def deploy(stack: RunningStack, **settings: str) -> str:
    """Deploy the second stack and return the address of its API."""
    words = " ".join(f"{name}={shlex.quote(value)}" for name, value in settings.items())
    said = operate(stack, f"make deploy STACK=second PARAMETERS={shlex.quote(words)}")
    assert re.search(r"^stack second, account \d{12}, region \S+ of http://127.0.0.1", said, re.M)
    assert "nothing answers at the ApiUrl above" in said
    return said.split("the API answers at ")[1].split()[0]


def settings_of_first(stack: RunningStack) -> dict[str, str]:
    """Return what a stack needs on the first one's database."""
    given = parameters(stack, "voucher-segmenter")
    settings = {name: value for name, value in given.items() if name.startswith("Database") and value}
    return {**settings, "Runtime": given["Runtime"], "Architecture": given["Architecture"]}


@pytest.fixture(scope="module")
def api_url(stack: RunningStack) -> str:
    """Deploy the second stack onto the first one's database, with the default authorization."""
    return deploy(stack, **settings_of_first(stack))


def status_of(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=60) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


def answer(stack: RunningStack, command: str, **variables: str) -> str:
    settings = " ".join(f"{name}={shlex.quote(value)}" for name, value in variables.items())
    return operate(stack, f"export AWS_REGION=$AWS_DEFAULT_REGION {settings}; {command}")


def test_the_api_answers_requests_that_are_signed_as_the_page_of_the_api_shows(
    stack: RunningStack, api_url: str, tmp_path: Path
) -> None:
    script = tmp_path / "signed.py"
    script.write_text(SIGNED_BY_BOTO3)
    if EMULATOR == "ministack":  # LocalStack checks no signatures
        assert status_of(f"{api_url}/segments?country_code=Peru") == 403
    assert status_of(f"{api_url}/") == 200
    assert '"country_code":"Peru"' in answer(stack, SIGNED_BY_CURL, API_URL=api_url)
    said = answer(stack, f".venv/bin/python {script}", API_URL=api_url)
    answers = [json.loads(line) for line in said.splitlines() if line.startswith("[")]
    assert [status for status, _ in answers] == [200, 200, 422]
    segments, batch, problem = [body for _, body in answers]
    assert segments["country_code"] == "Peru"
    assert [result["customer_id"] for result in batch["results"]] == [1]
    assert (problem["status"], problem["errors"]) == (422, [{"field": "total_orders", "detail": "is missing"}])


def test_a_generated_client_signs_as_the_page_of_the_api_shows(
    stack: RunningStack, api_url: str, tmp_path: Path
) -> None:
    generate_client(tmp_path)
    script = tmp_path / "generated.py"
    script.write_text(SIGNED_BY_GENERATED)
    said = answer(stack, f".venv/bin/python {script}", API_URL=api_url)
    # The API itself answers, whatever the first stack has published: it read the date with its space
    no_voucher = r"404 Problem\(.*no voucher was used in recency_segment 180\+.*\nno_voucher$"
    assert re.search(rf"^(200 MostUsed\(|{no_voucher})", said, re.M), said


def test_a_changed_parameter_reaches_the_callers_and_leaves_the_others(stack: RunningStack, api_url: str) -> None:
    if EMULATOR != "ministack":
        said = operate(stack, "make deploy STACK=second PARAMETERS=ApiAuthorization=API_KEY", status=2)
        assert "LocalStack cannot change the API of a stack" in said
        return
    # When only authorization and countries are changed, whose space and semicolon are for no shell
    before = parameters(stack, "second")
    changed = {"ApiAuthorization": "API_KEY", "Countries": "Costa Rica;Peru"}
    changed_url = deploy(stack, **changed)  # an emulator may move the API
    # Then everything else is as it was, and the API asks for a key
    assert parameters(stack, "second") == {**before, **changed}
    assert status_of(f"{changed_url}/segments?country_code=Peru") == 403
    assert status_of(f"{changed_url}/") == 200
    [key] = stack.client("apigateway").get_api_keys(includeValues=True)["items"]
    assert '"country_code":"Peru"' in answer(stack, WITH_KEY, API_URL=changed_url, API_KEY=key["value"])


def test_a_stack_is_torn_down_when_its_name_is_repeated_and_its_bucket_stays(stack: RunningStack, api_url: str) -> None:
    assert api_url
    first = parameters(stack, "voucher-segmenter")
    resources = stack.client("cloudformation").describe_stack_resources(StackName="second")["StackResources"]
    [bucket] = [entry["PhysicalResourceId"] for entry in resources if entry["LogicalResourceId"] == "VoucherBucket"]

    assert "repeat its name" in operate(stack, "make teardown STACK=second", status=2)
    said = operate(stack, "make teardown STACK=second CONFIRM=second")

    assert f"deleted. Kept: the bucket {bucket}" in said
    assert "Is it deployed" in operate(stack, "make refresh STACK=second", status=2)
    if EMULATOR == "ministack":  # LocalStack deletes what shall be retained too
        assert bucket in {entry["Name"] for entry in stack.s3.list_buckets()["Buckets"]}
    assert parameters(stack, "voucher-segmenter") == first


@pytest.mark.skipif(EMULATOR == "ministack", reason="`make e2e-localstack` runs it: SAM packs 200 MB for a minute")
def test_sam_itself_builds_and_deploys_a_stack_that_answers(stack: RunningStack) -> None:
    settings = settings_of_first(stack) | {"ApiAuthorization": "NONE"}
    words = " ".join(f"{name}={value}" for name, value in settings.items())
    build = f"RUNTIME={settings['Runtime']} ARCHITECTURE={settings['Architecture']}"
    sam, options = ".local/tools/sam/bin/sam", "--config-env local"
    operate(stack, f"{build} {sam} build {options}")
    operate(stack, f"{sam} deploy {options} --stack-name by-hand --parameter-overrides {words}")
    assert "it was up to date" in operate(stack, "make migrate STACK=by-hand")
    assert "there is no segment 'nowhere'" in operate(stack, "make why STACK=by-hand SEGMENT=nowhere", status=2)
    assert "deleted. Kept:" in operate(stack, "make teardown STACK=by-hand CONFIRM=by-hand")
