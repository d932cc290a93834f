"""One execution environment of a Lambda function on this machine: events in, answers and logs as AWS gives them."""

import json
import math
import shutil
import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from infra.localstack.process import FailureError, RuntimeProcess
from infra.localstack.runtime_api import MAX_ANSWER_BYTES, Invocation

_INIT_SECONDS = 10  # a start that takes longer goes on at the expense of the function's timeout

_NO_TRACE = "Root=1-00000000-000000000000000000000000;Parent=0000000000000000;Sampled=0"


class Function(NamedTuple):
    """What Lambda knows of a function.

    Attributes
    ----------
    name : str
        Its name.
    handler : str
        Such as `functions.refresh.handler.handler`.
    runtime : str
        Such as `python3.13`.
    code : Path
        The unzipped package.
    memory_mb, timeout_seconds : int
        What it may use.
    environment : mapping of str to str
        Its variables.
    """

    name: str
    handler: str
    runtime: str
    code: Path
    memory_mb: int
    timeout_seconds: int
    environment: Mapping[str, str]


class Outcome(NamedTuple):
    """The outcome of an invocation.

    Attributes
    ----------
    payload : bytes
        JSON: the function's result, or `errorType` and `errorMessage`.
    is_error : bool
        Whether it is a function error, as Lambda calls it.
    logs : str
        What the function printed, between Lambda's own lines.
    """

    payload: bytes
    is_error: bool
    logs: str


class Sandbox:
    """Runs one invocation at a time, in a process that is kept from one to the next and replaced when it fails.

    Parameters
    ----------
    function : Function
        What to run.
    """

    def __init__(self, function: Function) -> None:
        self._function = function
        self._folder = Path(tempfile.mkdtemp(prefix=f"lambda-{function.name}-"))
        self._log_path = self._folder / "log"
        self._log_path.touch()
        self._log = self._log_path.open(encoding="utf-8", errors="replace")
        self._process: RuntimeProcess | None = None

    def invoke(
        self, event: bytes, *, request_id: str, function_arn: str = "", version: str = "$LATEST", trace_id: str = ""
    ) -> Outcome:
        """Run the function once, and return its outcome, also if it fails or crashes.

        Parameters
        ----------
        event : bytes
            JSON.
        request_id, function_arn, version, trace_id : str
            What the function and its logs receive.

        Raises
        ------
        SandboxError
            When this machine has no such runtime.
        """
        timeout = self._function.timeout_seconds
        process, started, before = self._ready_process(), time.monotonic(), ""
        failure: FailureError | None = None
        try:
            process.wait_until_ready(_INIT_SECONDS + timeout)
            before, started = self._log.read(), time.monotonic()
            deadline_ms = int((time.time() + timeout) * 1000)
            answer = process.ask(
                Invocation(request_id, event, function_arn, deadline_ms, trace_id or _NO_TRACE), timeout
            )
            if answer.kind == "too large":
                raise FailureError("Function.ResponseSizeTooLarge")
            payload, is_error = answer.body, answer.kind == "error"
        except FailureError as error:
            failure, payload, is_error = error, self._payload(error, request_id), True
        took_ms = (time.monotonic() - started) * 1000
        process.look_at_memory()
        if failure:
            process.end()
        start = f"{before}START RequestId: {request_id} Version: {version}\n"
        end = f"END RequestId: {request_id}\n{self._report(request_id, took_ms, process.most_mb, failure)}\n"
        return Outcome(payload, is_error, f"{start}{self._log.read()}{_last_words(failure, payload)}{end}")

    def stop(self) -> None:
        """End the function's process, and all that it started, and remove its files."""
        if self._process is not None:
            self._process.end()
        self._log.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _ready_process(self) -> RuntimeProcess:
        """Return the process of the previous invocation, or a new one."""
        if self._process is not None and self._process.has_ended:
            self._process.end()  # it may have left children
            self._process = None
        if self._process is None:
            function = self._function
            lambdas = {
                "PATH": "/usr/local/bin:/usr/bin:/bin",
                "LANG": "en_US.UTF-8",
                "TZ": ":UTC",
                "AWS_LAMBDA_FUNCTION_NAME": function.name,
                "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb),
            }
            self._process = RuntimeProcess(
                runtime=function.runtime,
                handler=function.handler,
                code=function.code,
                folder=self._folder,
                log=self._log_path,
                memory_mb=function.memory_mb,
                environment={**lambdas, **function.environment},
            )
        return self._process

    def _payload(self, failure: FailureError, request_id: str) -> bytes:
        """Return a failure as Lambda words it."""
        message = f"RequestId: {request_id} Error: {failure.message}"
        if failure.body:
            return failure.body
        if failure.kind == "Sandbox.Timedout":
            message += f"Task timed out after {self._function.timeout_seconds}.00 seconds"
        if failure.kind == "Function.ResponseSizeTooLarge":
            message = f"Response payload size exceeded maximum allowed payload size ({MAX_ANSWER_BYTES} bytes)."
        return json.dumps({"errorType": failure.kind, "errorMessage": message}).encode()

    def _report(self, request_id: str, took_ms: float, most_mb: int, failure: FailureError | None) -> str:
        fields = [
            f"REPORT RequestId: {request_id}",
            f"Duration: {took_ms:.2f} ms",
            f"Billed Duration: {math.ceil(took_ms)} ms",
            f"Memory Size: {self._function.memory_mb} MB",
            f"Max Memory Used: {min(most_mb, self._function.memory_mb)} MB",
        ]
        if failure:
            timed_out = failure.kind == "Sandbox.Timedout"
            fields.append("Status: timeout" if timed_out else f"Status: error\tError Type: {failure.kind}")
        return "\t".join(fields)


def _last_words(failure: FailureError | None, payload: bytes) -> str:
    """Return what Lambda itself adds to the log of a function that failed without a message."""
    if failure is None or failure.body:
        return ""
    message = json.loads(payload)["errorMessage"]
    if failure.kind == "Sandbox.Timedout":
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return f"{now} {message.removeprefix('RequestId: ').replace(' Error:', '')}\n\n"
    return f"{message}\n{failure.kind}\n"
