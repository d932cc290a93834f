"""The emulators of AWS that run embedded on 127.0.0.1, each in an environment of its own."""

import os
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from infra import ROOT
from infra.local.processes import LocalError, last_line, stop_session, wait_for

REGION = "us-east-1"


@dataclass(frozen=True)
class Emulator:
    """One emulator.

    Attributes
    ----------
    tool : str
        Its environment, a folder of `.local/tools`.
    program : str
        The module that is run.
    health : str
        The path that answers as soon as it is up.
    settings : callable
        Returns its variables, given the folder for its files and the port.
    """

    tool: str
    program: str
    health: str
    settings: Callable[[Path, int], Mapping[str, str]]

    def start(self, folder: Path, port: int) -> int:
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
            The process, leader of a session of its own in which functions run too.

        Raises
        ------
        LocalError
            When it is not installed or does not start.
        """
        log = folder / "emulator.log"
        process = self._spawn(folder, port, log)
        try:
            wait_for(f"emulator answers (see {log})", lambda: self._answer(process, port, log), seconds=60)
        except BaseException:
            self.stop(process.pid)
            raise
        return process.pid

    def stop(self, pid: int) -> None:
        """Stop the emulator and the functions that it runs."""
        stop_session(pid, name=self.program)

    def _spawn(self, folder: Path, port: int, log: Path) -> subprocess.Popen[bytes]:
        python = ROOT / ".local" / "tools" / self.tool / "bin" / "python"
        if not python.exists():
            raise LocalError(f"it is not installed: run `make .local/tools/{self.tool}/.ready`")
        temporary = folder / "tmp"
        temporary.mkdir(exist_ok=True)
        env = {"PATH": os.environ["PATH"], "HOME": str(folder), "TMPDIR": str(temporary)}
        with log.open("ab") as output:
            return subprocess.Popen(
                [str(python), "-m", self.program],
                cwd=folder, env={**env, **self.settings(temporary, port)},
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip

    def _answer(self, process: subprocess.Popen[bytes], port: int, log: Path) -> bool | None:
        if process.poll() is not None:
            raise LocalError(f"emulator ended at once: {last_line(log)}; see {log}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{self.health}", timeout=2):
                return True
        except (urllib.error.URLError, OSError):
            return None


def _ministack(_: Path, port: int) -> Mapping[str, str]:
    return {
        "GATEWAY_PORT": str(port),
        "MINISTACK_HOST": "127.0.0.1",
        "MINISTACK_REGION": REGION,
        # By default, all of these listen on every address.
        "BIND_HOST": "127.0.0.1",
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
    }


def _localstack(temporary: Path, port: int) -> Mapping[str, str]:
    return {
        # The checkout, and the folder where LocalStack finds our plug-in for functions.
        "PYTHONPATH": f"{ROOT}:{ROOT / 'infra' / 'localstack' / 'plugin'}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "LAMBDA_RUNTIME_EXECUTOR": "process",
        "LAMBDA_KEEPALIVE_MS": "600000",
        # Seconds before the first retry of an asynchronous invocation; AWS waits a minute.
        "LAMBDA_RETRY_BASE_DELAY": "1",
        "GATEWAY_LISTEN": f"127.0.0.1:{port}",
        "LOCALSTACK_HOST": f"127.0.0.1:{port}",
        "OVERRIDE_IN_DOCKER": "0",
        "FILESYSTEM_ROOT": str(temporary / "root"),
        "XDG_CACHE_HOME": str(temporary / "cache"),
        # By default it fetches a certificate, sends usage data, and serves DNS.
        "SKIP_SSL_CERT_DOWNLOAD": "1",
        "DISABLE_EVENTS": "1",
        "DNS_ADDRESS": "0",
    }


EMULATORS = {
    "ministack": Emulator("emulator", "ministack", "/_ministack/health", _ministack),
    "localstack": Emulator("localstack", "infra.localstack", "/_localstack/health", _localstack),
}
