"""What people see while something takes its time, and what is left when they end it."""

import os
import pty
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from infra.progress import Progress
from tests.support import ROOT

PROGRESS = [sys.executable, str(ROOT / "infra" / "progress.py")]

# It says what uv and SAM say of what they are at, and waits until the line has moved.
_TALKS = """
import sys
print("DEBUG Registry requirement already cached: pyarrow==25.0.0", flush=True)
sys.stdin.readline()
print("CREATE_COMPLETE      AWS::S3::Bucket      VoucherBucket      -", flush=True)
sys.stdin.readline()
"""

# It stops what it started when a signal unwinds it; the stopping takes until somebody says so.
_UNWINDS = """
import sys, time
from infra.local.processes import unwind_on_signals
unwind_on_signals()
try:
    print("started", flush=True)
    time.sleep(600)
finally:
    print("stopping", flush=True)
    open(sys.argv[2]).read()
    open(sys.argv[1], "w").write("stopped")
"""

# As pyarrow does while it imports pandas, it goes on whatever is raised.
_SWALLOWS = """
import time
from infra.local.processes import step, unwind_on_signals
unwind_on_signals()
with step("work"):
    try:
        print("started", flush=True)
        time.sleep(600)
    except BaseException:
        pass
print("went on", flush=True)
"""


def read_until(terminal: int, pattern: bytes) -> bytes:
    """Read from a terminal until it has shown something; it ends with an error when the program has."""
    shown = b""
    while not re.search(pattern, shown):
        shown += os.read(terminal, 1000)
    return shown


def test_a_line_moves_and_says_what_a_command_is_at() -> None:
    ours, its = pty.openpty()
    process = subprocess.Popen(
        [*PROGRESS, "install", sys.executable, "-c", _TALKS], stdin=subprocess.PIPE, stdout=its, stderr=its
    )
    os.close(its)
    assert process.stdin is not None
    read_until(ours, rb"install  0 s  pyarrow 25\.0\.0")
    process.stdin.write(b"\n")
    process.stdin.flush()
    shown = read_until(ours, rb"install  \d+ s  VoucherBucket")
    assert {sign for sign in shown.decode(errors="ignore") if sign in "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"}
    process.stdin.close()
    read_until(ours, "✓ install  ".encode())
    assert process.wait() == 0
    os.close(ours)


def test_a_line_is_added_every_few_seconds_where_no_terminal_shows_one_that_moves() -> None:
    with subprocess.Popen(
        [*PROGRESS, "install", sys.executable, "-c", _TALKS], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stderr
        assert process.stderr.readline() == "install …\n"
        assert re.fullmatch(r"install: \d+ s  pyarrow 25\.0\.0\n", process.stderr.readline())
        process.stdin.close()
        assert process.wait() == 0


def test_a_part_of_a_step_shows_no_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("refresh"), Progress("follow the run"):
        pass
    with Progress("fetch"):
        pass
    assert capsys.readouterr().err == "refresh …\nfetch …\n"


def test_a_command_that_fails_shows_what_it_said_and_not_what_it_was_at() -> None:
    says = "print('DEBUG a==1.0'); print('no such wheel'); raise SystemExit(3)"
    done = subprocess.run(
        [*PROGRESS, "install", sys.executable, "-c", says], check=False, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr == f"install …\nno such wheel\nfailed: install: {sys.executable} ended with status 3\n"


ENDINGS = pytest.mark.parametrize(
    ("first", "status"),
    [(signal.SIGINT, -signal.SIGINT), (signal.SIGTERM, 128 + signal.SIGTERM), (signal.SIGHUP, 128 + signal.SIGHUP)],
)


@ENDINGS
def test_a_signal_that_a_library_swallows_ends_the_command_with_its_step(first: signal.Signals, status: int) -> None:
    with subprocess.Popen([sys.executable, "-c", _SWALLOWS], stdout=subprocess.PIPE, cwd=ROOT, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        process.send_signal(first)
        assert process.stdout.read() == ""
        assert process.wait() == status


@ENDINGS
def test_everything_is_stopped_whatever_comes_while_it_stops(
    tmp_path: Path, first: signal.Signals, status: int
) -> None:
    done, go_on = tmp_path / "done", tmp_path / "go-on"
    os.mkfifo(go_on)
    process = subprocess.Popen(
        [sys.executable, "-c", _UNWINDS, str(done), str(go_on)], stdout=subprocess.PIPE, cwd=ROOT, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    # When it gets a signal to end, and another while it stops
    process.send_signal(first)
    with go_on.open("w"):  # which waits until it is stopping
        for again in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            process.send_signal(again)
    # Then it stops everything all the same
    assert process.wait() == status
    assert done.read_text() == "stopped"
    process.stdout.close()


def _heed_ctrl_c() -> None:
    """Undo what a shell does to what it runs in the background, such as these tests: SIGINT is ignored there."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_ends_an_operator_s_command_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        signed = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
        with subprocess.Popen(
            [sys.executable, "-m", "infra.operations", "refresh"], stderr=subprocess.PIPE, cwd=ROOT, text=True,
            env={**os.environ, **signed, "AWS_ENDPOINT_URL": endpoint},
            preexec_fn=_heed_ctrl_c,  # noqa: PLW1509 - no thread of pytest holds a lock that it needs
        ) as process:  # fmt: skip
            connection, _ = silent.accept()
            process.send_signal(signal.SIGINT)
            _, said = process.communicate()
        connection.close()
    assert process.returncode == 1
    assert said == "interrupted: what the command started in the stack goes on there\n"
