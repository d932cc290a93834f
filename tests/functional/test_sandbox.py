"""A function as a process of this machine: what it may do, and how Lambda words what goes wrong with it."""

import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.local.processes import wait_for
from infra.localstack.confine import landlock_version
from infra.localstack.process import SandboxError, runtime_python
from infra.localstack.sandbox import Function, Outcome, Sandbox
from tests.support import RUNTIME, has_ended

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="AWS's runtime client is for Linux only")

REQUEST = "8f507cfc-xmpl-4697-b07a-ac58fc914c95"

_HEAD = "import json, os, subprocess, sys, tempfile, time\n"

Invoke = Callable[..., Outcome]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Invoke]]:
    """Make a function from its code; answers what invokes it."""
    sandboxes = []

    def make_one(code: str, timeout_seconds: int = 30) -> Invoke:
        (tmp_path / "code.py").write_text(_HEAD + code)
        variables = {"GREETING": "hello"}
        function = Function("probe", "code.handler", RUNTIME, tmp_path, 128, timeout_seconds, environment=variables)
        sandbox = Sandbox(function)
        sandboxes.append(sandbox)
        return lambda event=None: sandbox.invoke(
            json.dumps(event).encode(), request_id=REQUEST, function_arn="arn:probe"
        )

    yield make_one
    for sandbox in sandboxes:
        sandbox.stop()


def error_of(outcome: Outcome) -> dict[str, Any]:
    assert outcome.is_error
    error: dict[str, Any] = json.loads(outcome.payload)
    return error


def test_a_result_comes_with_lambdas_logs_around_what_was_printed(make: Callable[..., Invoke]) -> None:
    invoke = make(
        "print('importing')\n"
        "def handler(event, context):\n"
        "    print(event['name'], context.aws_request_id, context.memory_limit_in_mb, os.environ['GREETING'])\n"
        "    assert 0 < context.get_remaining_time_in_millis() <= 30000\n"
        "    return {'arn': context.invoked_function_arn}"
    )
    outcome = invoke({"name": "Ana"})
    assert (json.loads(outcome.payload), outcome.is_error) == ({"arn": "arn:probe"}, False)
    importing, start, printed, end, report = outcome.logs.splitlines()
    assert (importing, start) == ("importing", f"START RequestId: {REQUEST} Version: $LATEST")
    assert (printed, end) == (f"Ana {REQUEST} 128 hello", f"END RequestId: {REQUEST}")
    assert re.fullmatch(
        rf"REPORT RequestId: {REQUEST}\tDuration: \d+\.\d\d ms\tBilled Duration: \d+ ms"
        r"\tMemory Size: 128 MB\tMax Memory Used: [1-9]\d* MB", report,
    )  # fmt: skip


def test_the_process_stays_from_one_invocation_to_the_next(make: Callable[..., Invoke]) -> None:
    invoke = make(
        "calls = []\ndef handler(event, context):\n    calls.append(event)\n    return [len(calls), os.getpid()]"
    )
    (first, process), (second, same) = json.loads(invoke().payload), json.loads(invoke().payload)
    assert (first, second, same) == (1, 2, process)


def test_nothing_is_importable_but_the_package_and_what_lambda_has(make: Callable[..., Invoke]) -> None:
    invoke = make(
        "import importlib.util\n"
        "def handler(event, context):\n    return {name: bool(importlib.util.find_spec(name)) for name in event}"
    )
    there = {"code": True, "boto3": True, "awslambdaric": True}
    absent = dict.fromkeys(["infra", "functions", "pg8000", "awswrangler", "localstack", "moto", "pytest"], False)
    assert json.loads(invoke(list(there | absent)).payload) == there | absent


@pytest.mark.skipif(landlock_version() == 0, reason="this kernel has no Landlock")
def test_only_the_temporary_folder_can_be_written_to(make: Callable[..., Invoke], tmp_path: Path) -> None:
    invoke = make(
        "def handler(event, context):\n"
        "    refused = []\n"
        "    for path in (*event, os.path.join(tempfile.gettempdir(), 'mine'), os.devnull):\n"
        "        try:\n            open(path, 'w').write('x')\n"
        "        except OSError as error:\n            refused.append(path)\n"
        "    return refused"
    )
    elsewhere = [str(tmp_path / "new"), str(tmp_path / "code.py"), str(tmp_path.parent / "new")]
    assert json.loads(invoke(elsewhere).payload) == elsewhere
    assert (tmp_path / "code.py").read_text().startswith(_HEAD)


def test_an_exception_is_reported_by_its_own_type(make: Callable[..., Invoke]) -> None:
    outcome = make("def handler(event, context):\n    raise KeyError('country')")()
    error = error_of(outcome)
    assert (error["errorType"], error["errorMessage"], error["requestId"]) == ("KeyError", "'country'", REQUEST)
    assert "raise KeyError" in error["stackTrace"][0]
    assert "[ERROR] KeyError: 'country'" in outcome.logs


@pytest.mark.parametrize(
    ("code", "kind", "message"),
    [
        ("import pandas", "ImportModuleError", "Unable to import module 'code': No module named 'pandas'"),
        ("", "HandlerNotFound", "Handler 'handler' missing on module 'code'"),
    ],
)
def test_code_that_cannot_be_loaded_says_why_each_time(
    make: Callable[..., Invoke], code: str, kind: str, message: str
) -> None:
    invoke = make(code)
    for outcome in (invoke(), invoke()):
        error = error_of(outcome)
        assert (error["errorType"], error["errorMessage"]) == (f"Runtime.{kind}", message)
        assert message in outcome.logs


@pytest.mark.parametrize(
    ("act", "how"),
    [
        ("os._exit(3)", "Runtime exited with error: exit status 3"),
        ("os._exit(0)", "Runtime exited without providing a reason"),
        ("os.kill(os.getpid(), 11)", "Runtime exited with error: signal: segmentation fault"),
    ],
)
def test_a_process_that_ends_is_an_error_and_the_next_invocation_gets_a_new_one(
    make: Callable[..., Invoke], act: str, how: str
) -> None:
    invoke = make(f"def handler(event, context):\n    if event: {act}\n    return 'alive'")
    outcome = invoke("end")
    message = f"RequestId: {REQUEST} Error: {how}"
    assert error_of(outcome) == {"errorType": "Runtime.ExitError", "errorMessage": message}
    assert f"\n{message}\nRuntime.ExitError\nEND " in outcome.logs
    assert outcome.logs.endswith("\tStatus: error\tError Type: Runtime.ExitError\n")
    assert json.loads(invoke().payload) == "alive"


def test_a_function_that_takes_too_long_is_ended_with_all_that_it_started(make: Callable[..., Invoke]) -> None:
    invoke = make(
        "def handler(event, context):\n"
        "    print(subprocess.Popen(['sleep', '600']).pid)\n    time.sleep(600)",
        timeout_seconds=1,
    )  # fmt: skip
    outcome = invoke()
    message = f"RequestId: {REQUEST} Error: Task timed out after 1.00 seconds"
    assert error_of(outcome) == {"errorType": "Sandbox.Timedout", "errorMessage": message}
    _, child, timeout, nothing, end, report = outcome.logs.splitlines()
    assert re.fullmatch(rf"\d{{4}}-\d\d-\d\dT[\d:.]+Z {REQUEST} Task timed out after 1\.00 seconds", timeout)
    assert (nothing, end) == ("", f"END RequestId: {REQUEST}")
    assert report.endswith("\tStatus: timeout")
    assert wait_for("its child has ended", lambda: has_ended(int(child)), seconds=30)


def test_a_function_that_holds_too_much_memory_is_killed(make: Callable[..., Invoke]) -> None:
    invoke = make("def handler(event, context):\n    held = bytearray(300 * 2**20)\n    time.sleep(600)")
    outcome = invoke()
    message = f"RequestId: {REQUEST} Error: Runtime exited with error: signal: killed"
    assert error_of(outcome) == {"errorType": "Runtime.OutOfMemory", "errorMessage": message}
    assert "\tMax Memory Used: 128 MB\t" in outcome.logs


def test_an_answer_may_have_six_megabytes(make: Callable[..., Invoke]) -> None:
    invoke = make("def handler(event, context):\n    return 'x' * event")
    assert not invoke(6_291_554).is_error  # and two quotation marks
    assert error_of(invoke(6_291_555)) == {
        "errorType": "Function.ResponseSizeTooLarge",
        "errorMessage": "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
    }
    assert not invoke(1).is_error


def test_a_runtime_that_is_not_here_is_named_with_the_way_to_get_it() -> None:
    with pytest.raises(SandboxError, match=r"no runtime python3\.9 .*`make \.local/tools/lambda-3\.9/\.ready"):
        runtime_python("python3.9")
