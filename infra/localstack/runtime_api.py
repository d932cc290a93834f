"""The Lambda Runtime API, by which AWS's runtime client asks for events and hands back answers."""

import queue
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, NamedTuple

_PATH = "/2018-06-01/runtime/"

# What Lambda lets a function answer, 6 MiB and some bytes.
MAX_ANSWER_BYTES = 6_291_556


class Invocation(NamedTuple):
    """An event on its way to a function.

    Attributes
    ----------
    request_id : str
        Names the invocation in answers and logs.
    event : bytes
        JSON.
    function_arn : str
        As it was invoked.
    deadline_ms : int
        When the function must be done, in milliseconds of Unix time.
    trace_id : str
        X-Ray's header.
    """

    request_id: str
    event: bytes
    function_arn: str
    deadline_ms: int
    trace_id: str


class Answer(NamedTuple):
    """A message of the runtime client.

    Attributes
    ----------
    kind : {'ready', 'init error', 'result', 'error', 'too large'}
        `ready` when it asks for an event.
    body : bytes
        JSON of a result or an error.
    """

    kind: Literal["ready", "init error", "result", "error", "too large"]
    body: bytes = b""


class RuntimeApi:
    """The API for one process of one function, on a port of 127.0.0.1 of its own.

    Examples
    --------
    >>> api = RuntimeApi()
    >>> api.address.partition(":")[0]
    '127.0.0.1'
    >>> api.close()
    """

    def __init__(self) -> None:
        self.answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        self._invocations: queue.SimpleQueue[Invocation | None] = queue.SimpleQueue()
        self._server = _Server(("127.0.0.1", 0), _Requests)
        self._server.api = self
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def address(self) -> str:
        """The value of AWS_LAMBDA_RUNTIME_API for the runtime client."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    def invoke(self, invocation: Invocation) -> None:
        """Hand an event to the runtime client, which is or will be asking for one."""
        self._invocations.put(invocation)

    def next_invocation(self) -> Invocation | None:
        """Wait for the next event; None when the API is closed."""
        self.answers.put(Answer("ready"))
        return self._invocations.get()

    def close(self) -> None:
        """Stop listening and let a runtime client that waits go."""
        self._invocations.put(None)
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    api: RuntimeApi


class _Requests(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        if self.path != f"{_PATH}invocation/next":
            self._reply(404)
        elif (invocation := self.server.api.next_invocation()) is None:
            self.close_connection = True
        else:
            self._reply(200, invocation.event, _headers(invocation))

    def do_POST(self) -> None:
        answer = self._answer(self._body())
        if answer is None:
            self._reply(404)
            return
        self.server.api.answers.put(answer)
        self._reply(413 if answer.kind == "too large" else 202)

    def _answer(self, body: bytes) -> Answer | None:
        """Return the message of a request. The process has one invocation at a time, so its id is not needed."""
        match self.path.removeprefix(_PATH).split("/"):
            case ["init", "error"]:
                return Answer("init error", body)
            case ["invocation", _, "error"]:
                return Answer("error", body)
            case ["invocation", _, "response"]:
                return Answer("too large") if len(body) > MAX_ANSWER_BYTES else Answer("result", body)
        return None

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _reply(self, status: int, body: bytes = b"{}", headers: Mapping[str, str] | None = None) -> None:
        try:
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError:  # the process has ended meanwhile; its owner notices that
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - named by the base class
        """Log nothing."""


def _headers(invocation: Invocation) -> dict[str, str]:
    return {
        "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
        "Lambda-Runtime-Deadline-Ms": str(invocation.deadline_ms),
        "Lambda-Runtime-Invoked-Function-Arn": invocation.function_arn,
        "Lambda-Runtime-Trace-Id": invocation.trace_id,
    }
