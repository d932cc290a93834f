"""A bucket of many keys: what a run needs for them stays far below what Lambda has."""

import json
import resource
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.faults.driver import invoke
from tests.faults.world import Run, World
from tests.shipped import SHIPPED
from tests.support import PREFIX, daily

KEYS = 100_000
_PAGE = 1_000
# Of the 1,769 MB that the function has.
_MOST_MEGABYTES = 300


def key_of(number: int) -> str:
    return f"{PREFIX}year=2020/country=Peru/{number:06}-0000-4000-8000-000000000000.snappy.parquet"


def etag_of(number: int) -> str:
    return f'"{number:032x}"'


class Listing(BaseHTTPRequestHandler):
    """S3's list of many objects, a page at a time; nobody asks for more of them."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        first = int(query.get("continuation-token", ["0"])[0])
        last = first + _PAGE
        contents = "".join(
            f"<Contents><Key>{key_of(number)}</Key><ETag>{etag_of(number)}</ETag><Size>9</Size></Contents>"
            for number in range(first, last)
        )
        more = f"<IsTruncated>true</IsTruncated><NextContinuationToken>{last}</NextContinuationToken>"
        body = f"<ListBucketResult>{contents}{more if last < KEYS else ''}</ListBucketResult>".encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def many() -> Iterator[str]:
    """Serve the list on 127.0.0.1."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Listing)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def invoke_and_measure(event: Mapping[str, Any], environ: Mapping[str, str], folder: str) -> None:
    """Invoke the function, and note in the report at most how much memory the process had."""
    invoke(event, environ, folder)
    report = Path(folder, "report")
    said = json.loads(report.read_text())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    report.write_text(json.dumps({**said, "message": f"{said.get('message', '')}{peak}"}))


def test_a_bucket_of_a_hundred_thousand_keys_fits_into_memory(world: World, many: str) -> None:
    """Given as many counted objects, when the daily run compares them all, then it needs a fraction of its memory."""
    world.refresh()
    world.sql.run(
        "INSERT INTO voucher_customer.ledger (key, revision, etag, size, dimensions, changed_at)"
        " SELECT key, 1, etag, 9, CAST(:dimensions AS text[]), now()"
        " FROM unnest(CAST(:keys AS text[]), CAST(:etags AS text[])) AS counted (key, etag)",
        dimensions=SHIPPED.names,
        keys=[key_of(number) for number in range(KEYS)],
        etags=[etag_of(number) for number in range(KEYS)],
    )

    report = Run(daily(), {**world.environ, "AWS_ENDPOINT_URL": many}, invoke_and_measure).wait()

    assert report.summary, report
    assert report.summary["objects_skipped"] == KEYS
    assert int(report.message) < _MOST_MEGABYTES
