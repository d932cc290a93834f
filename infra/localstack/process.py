"""A function's process under AWS's runtime client: started, watched, ended for certain."""

import os
import queue
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from infra import ROOT
from infra.localstack import confine
from infra.localstack.runtime_api import Answer, Invocation, RuntimeApi

_TOOLS = ROOT / ".local" / "tools"

_WATCH_SECONDS = 0.1


class SandboxError(Exception):
    """A function cannot run on this machine."""


class FailureError(Exception):
    """The function failed in a way that makes its process useless.

    Parameters
    ----------
    kind : str
        Lambda's name for it, such as `Sandbox.Timedout`.
    message : str
        Lambda's words.
    body : bytes
        JSON that the function reported itself.
    """

    def __init__(self, kind: str, message: str = "", body: bytes = b"") -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind
        self.message = message
        self.body = body


def runtime_python(runtime: str) -> Path:
    """Find the Python that has the packages of Lambda's runtime, and no others.

    Raises
    ------
    SandboxError
        When this machine has no such Python.
    """
    for package in _TOOLS.glob(f"lambda*/lib/{runtime}/site-packages/awslambdaric"):
        return package.parents[3] / "bin" / "python"
    version = runtime.removeprefix("python")
    raise SandboxError(
        f"no runtime {runtime} on this machine: install Python {version},"
        f" then run `make .local/tools/lambda-{version}/.ready`"
    )


class RuntimeProcess:
    """The process, and the Runtime API that it asks.

    Parameters
    ----------
    runtime : str
        Such as `python3.13`.
    handler : str
        Such as `functions.refresh.handler.handler`.
    code : Path
        The unzipped package.
    folder : Path
        Takes the temporary folder, the only one to which the function can write.
    log : Path
        Takes what it prints.
    memory_mb : int
        How much it may hold.
    environment : mapping of str to str
        Its variables.

    Raises
    ------
    SandboxError
        When this machine has no such runtime.
    """

    def __init__(
        self,
        *,
        runtime: str,
        handler: str,
        code: Path,
        folder: Path,
        log: Path,
        memory_mb: int,
        environment: Mapping[str, str],
    ) -> None:
        python = runtime_python(runtime)
        temporary = tempfile.mkdtemp(dir=folder)
        self.most_mb = 0
        self._memory_mb = memory_mb
        self._ending = threading.Lock()
        self._status: str | None = None
        self._api = RuntimeApi()
        ours = {
            "HOME": temporary,
            "TMPDIR": temporary,
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{runtime}",
            "AWS_LAMBDA_RUNTIME_API": self._api.address,
            "LAMBDA_TASK_ROOT": str(code),
        }
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [str(python), confine.__file__, temporary, handler],
                cwd=code, env={**environment, **ours},
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                # A new process group, in LocalStack's session: whoever ends the session ends this process too.
                process_group=0,
            )  # fmt: skip

    def wait_until_ready(self, seconds: float) -> None:
        """Wait until the function asks for an event.

        Raises
        ------
        FailureError
            When it cannot be imported, ends, holds too much memory or takes too long.
        """
        answer = self._next_answer(seconds)
        if answer.kind == "init error":
            raise FailureError("Runtime.InitError", body=answer.body)

    def ask(self, invocation: Invocation, seconds: float) -> Answer:
        """Hand over an event and return the function's answer.

        Raises
        ------
        FailureError
            When it ends, holds too much memory or takes too long.
        """
        self._api.invoke(invocation)
        return self._next_answer(seconds)

    @property
    def has_ended(self) -> bool:
        """Whether the process has ended; `_status` says how. It is not reaped, so no other process gets its number."""
        with self._ending:
            if self._status is None:
                ended = os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                if ended is not None:
                    self._status = _how(ended)
            return self._status is not None

    def end(self) -> None:
        """End the process and all that it started; harmless when it is done already."""
        with self._ending:
            if self._process.returncode is None:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
                self._api.close()
            self._status = self._status or "Runtime exited with error: signal: killed"

    def look_at_memory(self) -> int:
        """Return the memory of the process and its children now, in MB; `most_mb` keeps the highest."""
        now = sum(_resident_bytes(process, self._process.pid) for process in Path("/proc").glob("[0-9]*")) // 2**20
        self.most_mb = max(self.most_mb, now)
        return now

    def _next_answer(self, seconds: float) -> Answer:
        deadline = time.monotonic() + seconds
        ended = False
        while True:
            try:
                return self._api.answers.get(timeout=_WATCH_SECONDS)
            except queue.Empty:
                if ended:  # and no answer came since, which may have been its last act
                    raise FailureError("Runtime.ExitError", self._status or "") from None
            ended = self.has_ended
            if self.look_at_memory() > self._memory_mb:
                raise FailureError("Runtime.OutOfMemory", "Runtime exited with error: signal: killed")
            if time.monotonic() > deadline:
                raise FailureError("Sandbox.Timedout")


def _how(ended: os.waitid_result) -> str:
    if ended.si_code != os.CLD_EXITED:
        return f"Runtime exited with error: signal: {str(signal.strsignal(ended.si_status)).lower()}"
    if ended.si_status == 0:
        return "Runtime exited without providing a reason"
    return f"Runtime exited with error: exit status {ended.si_status}"


def _resident_bytes(process: Path, group: int) -> int:
    """Return what a process holds, 0 for one of another group."""
    try:
        fields = (process / "stat").read_text().rpartition(")")[2].split()
    except OSError:  # it has ended meanwhile
        return 0
    return int(fields[21]) * os.sysconf("SC_PAGESIZE") if int(fields[2]) == group else 0
