"""An embedded emulator of AWS on 127.0.0.1: ministack, in an environment of its own."""

import os
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

from infra.local.processes import ROOT, LocalError, last_line, stop_group, wait_for

_PYTHON = ROOT / ".local" / "tools" / "emulator" / "bin" / "python"
_PROGRAM = "ministack"

REGION = "us-east-1"


def start_emulator(folder: Path, port: int) -> int:
    """Start the emulator and wait until it answers.

    Parameters
    ----------
    folder : Path
        Takes its log and its temporary files.
    port : int
        Where it listens, on 127.0.0.1 only.

    Returns
    -------
    int
        The process, leader of a group of its own: functions run as its children.

    Raises
    ------
    LocalError
        When it does not start.
    """
    temporary = folder / "tmp"
    temporary.mkdir(exist_ok=True)
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "TMPDIR": str(temporary),
        "GATEWAY_PORT": str(port),
        "MINISTACK_HOST": "127.0.0.1",
        "MINISTACK_REGION": REGION,
        # All of these listen on every address unless told otherwise.
        "BIND_HOST": "127.0.0.1",
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
    }
    log = folder / "emulator.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [str(_PYTHON), "-m", _PROGRAM],
            cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip

    def answer() -> bool | None:
        if process.poll() is not None:
            raise LocalError(f"emulator ended at once: {last_line(log)}; see {log}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/_ministack/health", timeout=2):
                return True
        except (urllib.error.URLError, OSError):
            return None

    try:
        wait_for(f"emulator answers (see {log})", answer, seconds=60)
    except BaseException:
        stop_emulator(process.pid)
        raise
    return process.pid


def stop_emulator(pid: int) -> None:
    """Stop the emulator and the functions that it runs."""
    stop_group(pid, name=_PROGRAM)
