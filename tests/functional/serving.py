"""The lookup API as `chalice local` serves it."""

import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.local.processes import free_port, stop_session, wait_for
from tests.support import ROOT


@contextmanager
def chalice_local(database_url: str, folder: Path) -> Iterator[str]:
    """Run `chalice local` against a database, as a Chalice user would."""
    port, log = free_port(), folder / "chalice.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [Path(sys.executable).with_name("chalice"), "local", "--no-autoreload", "--port", str(port)],
            cwd=ROOT / "chalice_app", env={"PATH": "/usr/bin:/bin", "DATABASE_URL": database_url},
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def answers() -> bool | None:
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5):
                return True
        except OSError:
            return None

    try:
        wait_for("chalice local", answers, seconds=30)
        yield f"http://127.0.0.1:{port}"
    finally:
        stop_session(process.pid, name="chalice")
        process.wait(5)
