"""As much of S3 as readers need, from a folder, on 127.0.0.1: `python -m tests.benchmarks.s3 FOLDER PORT`.

It sends files from the kernel's cache as fast as the machine can, so that what is measured is the reader.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from urllib.request import Request, urlopen
from xml.sax.saxutils import escape

from infra import ROOT
from infra.local.processes import free_port, stop_session, wait_for

BUCKET = "bench"
_KEYS_PER_PAGE = 1000


class _Handler(BaseHTTPRequestHandler):
    """HEAD and GET of objects, with ranges and `If-Match`, and listings."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    folder: Path

    def do_HEAD(self) -> None:
        self._object()

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        if "list-type" in query:
            self._listing(address.path.strip("/"), query.get("prefix", ""), query.get("continuation-token", ""))
        else:
            self._object()

    def do_PUT(self) -> None:
        """Take rejected rows and reports, which no benchmark reads again."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(200, {"Content-Length": "0", "ETag": '"taken"'})

    def _listing(self, bucket: str, prefix: str, after: str) -> None:
        root = self.folder / bucket
        keys = sorted(str(path.relative_to(root)) for path in root.rglob("*.parquet"))
        keys = [key for key in keys if key.startswith(prefix) and key > after]
        page, more = keys[:_KEYS_PER_PAGE], len(keys) > _KEYS_PER_PAGE
        contents = "".join(_entry(key, root / key) for key in page)
        token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if more else ""
        body = (
            '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<Name>{bucket}</Name><KeyCount>{len(page)}</KeyCount><IsTruncated>{str(more).lower()}</IsTruncated>"
            f"{token}{contents}</ListBucketResult>"
        ).encode()
        self._answer(200, {"Content-Type": "application/xml", "Content-Length": str(len(body))})
        self.wfile.write(body)

    def _object(self) -> None:
        path = self.folder / unquote(urlsplit(self.path).path).lstrip("/")
        if not path.is_file():
            self._answer(404, {"Content-Length": "0"})
            return
        etag, size, modified = _version(path)
        if self.headers.get("If-Match", etag) != etag:
            self._answer(412, {"Content-Length": "0"})
            return
        first, last, status = 0, size - 1, 200
        headers = {"ETag": etag, "Accept-Ranges": "bytes", "Last-Modified": formatdate(modified, usegmt=True)}
        if found := re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", "")):
            start, end = found.groups()
            first = int(start) if start else max(size - int(end), 0)
            last = min(int(end), size - 1) if start and end else size - 1
            status = 206
            headers["Content-Range"] = f"bytes {first}-{last}/{size}"
        self._answer(status, {**headers, "Content-Length": str(last - first + 1)})
        if self.command == "GET":
            with path.open("rb") as file:
                while first <= last and (
                    sent := os.sendfile(self.wfile.fileno(), file.fileno(), first, last + 1 - first)
                ):
                    first += sent

    def _answer(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Log nothing."""


def _version(path: Path) -> tuple[str, int, float]:
    found = path.stat()
    return f'"{found.st_mtime_ns:x}-{found.st_size:x}"', found.st_size, found.st_mtime


def _entry(key: str, path: Path) -> str:
    etag, size, _ = _version(path)
    return (
        f"<Contents><Key>{escape(key)}</Key><LastModified>2020-12-22T00:00:00.000Z</LastModified>"
        f"<ETag>{escape(etag)}</ETag><Size>{size}</Size><StorageClass>STANDARD</StorageClass></Contents>"
    )


@contextmanager
def serving(folder: Path) -> Iterator[dict[str, str]]:
    """Serve a folder, whose first level are buckets, in a process of its own.

    Yields
    ------
    dict of str to str
        The environment in which an AWS client reads from it.
    """
    port = free_port()
    command = [sys.executable, "-m", "tests.benchmarks.s3", str(folder), str(port)]
    server = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        url = f"http://127.0.0.1:{port}"

        def answers() -> bool | None:
            try:
                with urlopen(Request(f"{url}/{BUCKET}?list-type=2&prefix=none"), timeout=5):
                    return True
            except OSError:
                return None

        wait_for("the S3 endpoint", answers, seconds=20, every=0.02)
        yield {
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "benchmark",
            "AWS_SECRET_ACCESS_KEY": "benchmark",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
    finally:
        stop_session(server.pid, name="tests.benchmarks.s3")
        server.wait()


def main() -> None:
    """Serve until stopped."""
    _Handler.folder = Path(sys.argv[1])
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), _Handler).serve_forever()


if __name__ == "__main__":
    main()
