"""Running other programs: bounded, logged, stopped for certain."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from infra import ROOT

Found = TypeVar("Found")


class LocalError(Exception):
    """A step of the local stack failed; the message is one line that says why and where to read on."""


def run_logged(command: Sequence[str | Path], log: Path, *, env: Mapping[str, str], timeout_seconds: int = 600) -> None:
    """Run a program to its end with its output in a log.

    Raises
    ------
    LocalError
        When it fails or takes too long; names the log and quotes its last line.
    """
    with log.open("ab") as output:
        try:
            done = subprocess.run(
                [str(word) for word in command],
                cwd=ROOT, env=dict(env), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                check=False, timeout=timeout_seconds,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise LocalError(f"{Path(command[0]).name} took longer than {timeout_seconds} s; see {log}") from error
    if done.returncode != 0:
        raise LocalError(f"{Path(command[0]).name} ended with status {done.returncode}: {last_line(log)}; see {log}")


def last_line(log: Path) -> str:
    """Return the last line of a log that says anything."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1].strip() if lines else "it said nothing"


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(what: str, ask: Callable[[], Found | None], *, seconds: float, every: float = 0.1) -> Found:
    """Ask again and again until there is an answer.

    Raises
    ------
    LocalError
        When there is none within the time.
    """
    deadline = time.monotonic() + seconds
    while (found := ask()) is None:
        if time.monotonic() > deadline:
            raise LocalError(f"{what}: not within {seconds:.0f} s")
        time.sleep(every)
    return found


def stop_group(pid: int, *, name: str) -> None:
    """End a process that we started, and all that it started: politely, then for certain.

    Parameters
    ----------
    pid : int
        The leader of its session.
    name : str
        A word of its command line. The number may belong to another program by now, which is left alone.
    """
    if not _is_running(pid, name):
        return
    for how in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):  # when the leader has ended, and nobody else is of its group
            os.killpg(pid, how)
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            if not _is_running(pid, name):
                break
            time.sleep(0.05)
    _reap(pid)
    for left in _session(pid):
        with suppress(ProcessLookupError):
            os.kill(left, signal.SIGKILL)


def _session(leader: int) -> list[int]:
    """Return the processes of a session: some have a group of their own."""
    shown = subprocess.run(["ps", "-A", "-o", "pid=,sess="], check=False, capture_output=True, text=True)
    processes = [line.split() for line in shown.stdout.splitlines()]
    return [int(pid) for pid, session in processes if session == str(leader)]


def _is_running(pid: int, name: str) -> bool:
    _reap(pid)
    shown = subprocess.run(["ps", "-ww", "-o", "command=", "-p", str(pid)], check=False, capture_output=True, text=True)
    return name in shown.stdout


def _reap(pid: int) -> None:
    """Let a child of ours that has ended go; someone else's child is not ours to reap."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return
