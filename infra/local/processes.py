"""Running other programs: with a time limit, a log and a certain end."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TypeVar

import psutil

from infra import ROOT
from infra.operations.deployed import OperationError
from infra.progress import Progress, Tell

Found = TypeVar("Found")


class LocalError(Exception):
    """A step of the local stack failed; the message is one line that says why and where to read on."""


@contextmanager
def step(text: str) -> Iterator[Progress]:
    """Show that a step is under way.

    Raises
    ------
    LocalError
        The step's own, with the step named first.
    """
    try:
        with Progress(text) as progress:
            yield progress
        # A library may swallow what a signal raises: pyarrow does while it imports pandas.
        for number in _received:
            _end_by(number)
    except (LocalError, OperationError) as error:
        raise LocalError(f"{text}: {error}") from error


_STOPPING_SECONDS = 30

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_received: list[int] = []


def unwind_on_signals() -> None:
    """Let Ctrl-C, a closed terminal and SIGTERM unwind this process, so that everything is stopped.

    The first of these signals starts the stopping; later ones, such as a second Ctrl-C, are ignored.
    """
    for one in _ENDING:
        signal.signal(one, _unwind)


def _unwind(number: int, _: FrameType | None) -> None:
    _received.append(number)
    for one in _ENDING:
        signal.signal(one, signal.SIG_IGN)
    if number == signal.SIGHUP:  # nobody reads any more, and writing would fail
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.dup2(nowhere, sys.stderr.fileno())
    _end_by(number)


def _end_by(number: int) -> None:
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    sys.exit(128 + number)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Ignore the signals of `unwind_on_signals`, also in the programs that are started meanwhile."""
    if threading.current_thread() is not threading.main_thread():  # signals reach the main thread only
        yield
        return
    before = {one: signal.signal(one, signal.SIG_IGN) for one in _ENDING}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def run_logged(
    command: Sequence[str | Path],
    log: Path,
    *,
    env: Mapping[str, str],
    tell: Tell = lambda _: None,
    timeout_seconds: int = 600,
) -> None:
    """Run a program to its end with its output in a log; each line is also reported.

    Raises
    ------
    LocalError
        When it fails or takes too long; names the log and quotes its last line.
    """
    name = Path(command[0]).name
    with log.open("a") as output, subprocess.Popen(
        [str(word) for word in command],
        cwd=ROOT, env=dict(env), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, errors="replace",
    ) as process:  # fmt: skip
        began = time.monotonic()
        timer = threading.Timer(timeout_seconds, process.kill)
        timer.start()
        try:
            for line in process.stdout or ():
                output.write(line)
                tell(line)
            process.wait()
        except BaseException:
            process.kill()
            raise
        finally:
            timer.cancel()
    if process.returncode == -signal.SIGKILL and time.monotonic() - began >= timeout_seconds:
        raise LocalError(f"{name} took longer than {timeout_seconds} s; see {log}")
    if process.returncode != 0:
        raise LocalError(f"{name} ended with status {process.returncode}: {last_line(log)}; see {log}")


def last_line(log: Path) -> str:
    """Return the last line of a log that is not blank."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1].strip() if lines else "it said nothing"


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(port: int) -> bool:
    """Return whether somebody listens on a port of 127.0.0.1."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


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


def stop_session(pid: int, *, name: str) -> None:
    """Kill a process that we started, and all that it started: they have no data to save.

    Parameters
    ----------
    pid : int
        The leader of its session.
    name : str
        A word of its command line. The number may belong to another program by now, which is left alone.

    Raises
    ------
    LocalError
        When some of them are still running.
    """
    if not is_running(pid, name):
        return

    def is_over() -> bool | None:
        for process in (processes := _session(pid)):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(processes, timeout=0)  # so that our own children do not stay as zombies
        return None if processes else True

    wait_for(f"the end of {name}, process {pid}", is_over, seconds=_STOPPING_SECONDS)


def _session(leader: int) -> list[psutil.Process]:
    """Return the processes of a session: some have a group of their own."""
    return [process for process in psutil.process_iter() if _session_of(process) == leader and _runs(process)]


def _session_of(process: psutil.Process) -> int | None:
    try:
        return os.getsid(process.pid)
    except OSError:  # it has ended, or is somebody else's
        return None


def _runs(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def is_running(pid: int, name: str) -> bool:
    """Return whether a process runs that has a word in its command line."""
    try:
        return name in " ".join(psutil.Process(pid).cmdline())
    except psutil.NoSuchProcess:
        return False
