"""The callers that docs/api.md shows: their signatures, compared with what AWS expects, and what they do with errors.

Emulators check no signature. Here the canonical query is made as AWS's specification says, and botocore signs it again:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import json
import re
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.generated import generate_client
from tests.support import ROOT

RUN_HERE = r"<!-- not run by the tests: tests/e2e/test_second_stack.py [^>]+ -->"
CALLS = re.findall(RUN_HERE + r"\n+```\w+\n(.*?)```", (ROOT / "docs" / "api.md").read_text(), re.DOTALL)
BY_CURL, BY_BOTO3, _, BY_GENERATED = CALLS
CALLER = {
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "token",
    "AWS_REGION": "eu-west-1",
}  # fmt: skip

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="the page asks with curl, which is not installed")


class Request(NamedTuple):
    method: str
    url: str
    headers: dict[str, str]
    body: bytes


class Api(NamedTuple):
    url: str
    requests: list[Request]
    answers: list[tuple[int, dict[str, Any]]]


@pytest.fixture
def api() -> Iterator[Api]:
    """Serve the last of `answers` to every request, and keep the requests as they came."""
    seen: list[Request] = []
    answers: list[tuple[int, dict[str, Any]]] = [(200, {"voucher_amount": [2640.0]})]

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            sent = self.rfile.read(int(headers.get("content-length", 0)))
            seen.append(Request(self.command, f"http://{headers['host']}{self.path}", headers, sent))
            status, body = answers[-1]
            answer = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST = answer  # noqa: N815 (as the server calls them)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Api(f"http://127.0.0.1:{server.server_port}/v1", seen, answers)
    server.shutdown()
    server.server_close()


def expected_signature(request: Request) -> str:
    """Return the signature that AWS expects of a request with these signed headers."""
    [signed] = re.findall(r"SignedHeaders=([^,]+)", request.headers["authorization"])
    pairs = sorted(
        (quote(name, safe="-_.~"), quote(value, safe="-_.~"))
        for name, value in parse_qsl(urlsplit(request.url).query.replace("+", "%2B"), keep_blank_values=True)
    )
    query = "&".join(f"{name}={value}" for name, value in pairs)
    headers = {name: request.headers[name] for name in signed.split(";")}
    canonical = AWSRequest(request.method, f"{request.url.partition('?')[0]}?{query}", headers, request.body)
    canonical.context["timestamp"] = request.headers["x-amz-date"]
    credentials = Credentials(CALLER["AWS_ACCESS_KEY_ID"], CALLER["AWS_SECRET_ACCESS_KEY"])
    auth = SigV4Auth(credentials, "execute-api", CALLER["AWS_REGION"])
    return str(auth.signature(auth.string_to_sign(canonical, auth.canonical_request(canonical)), canonical))


def signature(request: Request) -> str:
    [found] = re.findall(r"Signature=(\w+)", request.headers["authorization"])
    return str(found)


def run(api: Api, *command: str | Path) -> str:
    environment = {"PATH": "/usr/bin:/bin", **CALLER, "API_URL": api.url}
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=60).stdout


@needs_curl
@pytest.mark.parametrize(
    "query",
    [
        "/segments?country_code=Peru",
        "/voucher_amount?country_code=Costa%20Rica&segment_name=frequent_segment&total_orders=3",
        "/voucher_amount?country_code=Peru&last_order_ts=2018-05-03%2000%3A00%3A00&segment_name=recency_segment",
    ],
)
def test_curl_of_every_release_signs_a_query_in_order_whose_colons_are_encoded(api: Api, query: str) -> None:
    assert "/segments?country_code=Peru" in BY_CURL
    run(api, "sh", "-c", BY_CURL.replace("/segments?country_code=Peru", query))
    [request] = api.requests
    assert request.url == api.url + query
    assert signature(request) == expected_signature(request)


@needs_curl
@pytest.mark.parametrize("verb", ["GET", "POST"])
def test_curl_signs_a_json_body(api: Api, verb: str) -> None:
    body = '{"country_code": "Peru", "segment_name": "recency_segment", "last_order_ts": "2018-05-03 00:00:00"}'
    options = f"-X {verb} -H 'Content-Type: application/json' -d {shlex.quote(body)}"
    asked = BY_CURL.replace("/segments?country_code=Peru", "/voucher_amount")
    run(api, "sh", "-c", f"{asked.rstrip()} {options}")
    [request] = api.requests
    assert (request.method, request.body.decode()) == (verb, body)
    assert signature(request) == expected_signature(request)


def test_the_python_clients_sign_as_aws_expects(api: Api, tmp_path: Path) -> None:
    generate_client(tmp_path)
    for script in (BY_BOTO3, BY_GENERATED):
        file = tmp_path / "signed.py"
        file.write_text(script)
        run(api, sys.executable, file)
    assert [request.method for request in api.requests] == ["GET", "POST", "POST", "GET"]
    assert api.requests[-1].url.endswith("last_order_ts=2018-05-03%2000%3A00%3A00")
    for request in api.requests:
        assert signature(request) == expected_signature(request), request.url


def test_the_python_client_repeats_as_often_as_the_page_says(api: Api, tmp_path: Path) -> None:
    api.answers.append((503, {"type": "about:blank"}))
    file = tmp_path / "repeating.py"
    file.write_text(f"import time\ntime.sleep = lambda seconds: print('waits', int(seconds))\n{BY_BOTO3}")
    said = run(api, sys.executable, file).splitlines()
    assert said == ["waits 2", "waits 4", "waits 8", '[503, {"type": "about:blank"}]'] * 3
    assert len(api.requests) == 3 * 5


def test_the_generated_client_tells_errors_apart(api: Api, tmp_path: Path) -> None:
    generate_client(tmp_path)
    file = tmp_path / "failing.py"
    file.write_text(BY_GENERATED)
    problem = {"type": "about:blank", "title": "a title", "detail": "a detail"}
    errors = [{"field": "total_orders", "detail": "is missing"}]
    for status, more, said in (
        (404, {"status": 404, "reason": "no_segment"}, "no_segment"),
        (422, {"status": 422, "errors": errors}, "[FieldProblem(field='total_orders', detail='is missing'"),
        (503, {"status": 503}, "a detail"),
        (403, {}, "a title a detail"),
        (500, {}, "a title a detail"),
        (500, {"status": 500}, "a detail"),
    ):
        api.answers.append((status, {**problem, **more}))
        assert run(api, sys.executable, file).splitlines()[-1].startswith(said), (status, more)


def test_another_order_of_the_query_has_the_same_signature_and_another_value_does_not(api: Api) -> None:
    headers = {"authorization": "SignedHeaders=host;x-amz-date,", "host": "h", "x-amz-date": "20201222T000000Z"}
    signed = Request("GET", f"{api.url}/voucher_amount?b=2018-05-03%2000%3A00&a=Per%C3%BA", headers, b"")
    same = signed._replace(url=f"{api.url}/voucher_amount?a=Per%c3%ba&b=2018-05-03%2000:00")
    other = signed._replace(url=f"{api.url}/voucher_amount?a=Peru&b=2018-05-03%2000:00")
    assert expected_signature(signed) == expected_signature(same) != expected_signature(other)
