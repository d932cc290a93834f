"""What LocalStack does as AWS: the words of errors, the limits and the runtime of a function."""

import io
import json
import re
import uuid
import zipfile
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from infra.local.processes import wait_for
from tests.e2e.conftest import EMULATOR, PATIENCE, RunningStack
from tests.e2e.test_stack import COUNTRIES, today
from tests.support import RUNTIME, daily, parquet, record, recount

pytestmark = pytest.mark.skipif(EMULATOR == "ministack", reason="`make e2e-localstack` runs it")

on_this_machine = pytest.mark.skipif(EMULATOR == "containers", reason="in containers LocalStack's own runtime does it")


@pytest.fixture
def deploy(stack: RunningStack) -> Callable[..., dict[str, Any]]:
    """Deploy a function of some lines, gone with the stack; answers its configuration once its state is settled."""
    client = stack.client("lambda")

    def make(code: str, runtime: str) -> dict[str, Any]:
        name, package = f"probe-{uuid.uuid4()}", io.BytesIO()
        with zipfile.ZipFile(package, "w") as archive:
            archive.writestr("probe.py", code)
        client.create_function(
            FunctionName=name, Runtime=runtime, Handler="probe.handler", Timeout=1, MemorySize=128,
            Role="arn:aws:iam::000000000000:role/probe", Code={"ZipFile": package.getvalue()},
        )  # fmt: skip

        def settled() -> dict[str, Any] | None:
            found: dict[str, Any] = client.get_function(FunctionName=name)["Configuration"]
            return None if found["State"] == "Pending" else found

        return wait_for("its state", settled, seconds=PATIENCE)

    return make


def test_an_error_comes_with_its_type_its_stack_and_its_log(stack: RunningStack) -> None:
    error, log = stack.invoke_refresh({"as_of": "tomorrow"})
    assert error["errorType"] == "EventError"
    assert "tomorrow" in error["errorMessage"]
    assert "functions/refresh/handler.py" in "".join(error["stackTrace"])
    assert re.search(rf"END RequestId: {error['requestId']}\nREPORT RequestId: .*\tMemory Size: 1769 MB\t", log)


@pytest.mark.parametrize(
    ("act", "kind", "message"),
    [
        ("time.sleep(60)", "Sandbox.Timedout", "Task timed out after 1.00 seconds"),
        ("x = bytearray(2**29); time.sleep(60)", "Runtime.OutOfMemory", "Runtime exited with error: signal: killed"),
    ],
)
def test_a_function_has_the_time_and_the_memory_that_it_declares(
    stack: RunningStack, deploy: Callable[..., dict[str, Any]], act: str, kind: str, message: str
) -> None:
    if EMULATOR == "containers" and kind == "Runtime.OutOfMemory":
        pytest.skip("LocalStack limits the memory of no container")
    function = deploy(f"import time\ndef handler(event, context):\n    {act}", RUNTIME)
    answer = stack.client("lambda").invoke(FunctionName=function["FunctionName"])
    error = json.loads(answer["Payload"].read())
    assert answer["FunctionError"] == "Unhandled"
    assert error["errorMessage"].endswith(message)
    if EMULATOR == "localstack":  # in containers a timeout has no type
        assert error["errorType"] == kind
        assert error["errorMessage"].endswith(f" Error: {message}")


@on_this_machine
def test_a_function_whose_python_is_not_here_says_so(deploy: Callable[..., dict[str, Any]]) -> None:
    function = deploy("", "python3.9")
    assert function["State"] == "Failed"
    assert "no runtime python3.9 on this machine" in function["StateReason"]


@on_this_machine
def test_what_it_keeps_lies_in_the_folder_of_the_stack(stack: RunningStack) -> None:
    kept = stack.checkout / ".local" / "tmp"
    assert (kept / "s3" / stack.variables["BUCKET"]).is_dir()
    assert {path.name for path in kept.iterdir()} >= {"root", "cache", "lambda"}


def test_the_result_of_a_refresh_is_on_the_event_bus_and_leads_to_the_rankings_that_changed(
    stack: RunningStack,
) -> None:
    # Given another system that listens for results
    sqs, events = stack.client("sqs"), stack.client("events")
    queue = sqs.create_queue(QueueName="results")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    function = {"prefix": f"arn:aws:lambda:us-east-1:000000000000:function:{stack.variables['REFRESH_FUNCTION']}"}
    pattern = {"source": ["lambda"], "resources": [function]}
    events.put_rule(Name="results", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="results", Targets=[{"Id": "queue", "Arn": arn}])

    # When an object is dropped
    key = stack.put("rankings.parquet", parquet([record(country_code="Latvia", total_orders="40.0")]))

    # Then it hears what the refresh published
    def result() -> dict[str, Any] | None:
        found = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=1).get("Messages", [])
        details = [json.loads(message["Body"])["detail"] for message in found]
        return next((d for d in details if d["requestPayload"]["detail"]["object"]["key"] == key), None)

    detail = wait_for("the result of the refresh", result, seconds=PATIENCE)
    answer = detail["responsePayload"]
    assert answer["next_step"] == "none"
    latest = "SELECT changes FROM voucher_customer.rankings ORDER BY refresh_id DESC LIMIT 1"
    [[changes]] = stack.rows(latest)
    assert answer["segments_changed"] == len(changes)
    changed = {
        (change["segment_name"], change["segment_type"]): change["after"]
        for change in changes
        if change["country_code"] == "Latvia"
    }
    assert changed[("frequent_segment", "37+")] == [2640]
    events.remove_targets(Rule="results", Ids=["queue"])
    events.delete_rule(Name="results")
    stack.delete(key)
    stack.wait_until_published({})


@pytest.fixture
def hasty(stack: RunningStack) -> Iterator[None]:
    """Give the refresh function a few seconds only, and let no event of the bucket reach it."""
    functions = stack.client("lambda")

    def notify(**targets: Any) -> None:
        stack.s3.put_bucket_notification_configuration(
            Bucket=stack.variables["BUCKET"], NotificationConfiguration=cast(Any, targets)
        )

    def set_timeout(seconds: int) -> None:
        functions.update_function_configuration(FunctionName=stack.variables["REFRESH_FUNCTION"], Timeout=seconds)
        functions.get_waiter("function_updated_v2").wait(FunctionName=stack.variables["REFRESH_FUNCTION"])

    notify()
    set_timeout(10)
    stack.invoke_refresh({})  # so that no run of the test spends its time on starting
    yield
    set_timeout(900)
    stack.delete_all(stack.variables["PREFIX"])
    stack.invoke_refresh({})
    notify(EventBridgeConfiguration={})


def test_runs_that_defer_objects_follow_each_other_until_all_are_counted(stack: RunningStack, hasty: None) -> None:
    # Given more objects than a run has time for, without events
    runs_of = "SELECT trigger, objects_deferred, objects_counted FROM voucher_customer.refreshes ORDER BY refresh_id"
    earlier = len(stack.rows(runs_of))
    keys = [f"{stack.variables['PREFIX']}many/{number}.parquet" for number in range(1000)]
    s3, bucket, body = stack.s3, stack.variables["BUCKET"], parquet([record()])
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=body)

    # When the daily rule starts one
    stack.send(daily(str(today())))

    # Then each is followed by the next, until none is left
    stack.wait_until_published(recount([record()] * len(keys), today(), COUNTRIES))
    runs = stack.rows(runs_of)[earlier:]
    assert len(runs) > 1
    assert [trigger for trigger, *_ in runs] == ["daily", *["unfinished"] * (len(runs) - 1)]
    assert [bool(left) for _, left, _ in runs] == [True] * (len(runs) - 1) + [False]
    assert sum(counted for *_, counted in runs) == len(keys)
