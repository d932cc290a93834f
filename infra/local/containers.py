"""LocalStack and PostgreSQL in containers, as localstack-compose.yml says."""

import hashlib
import os
import secrets
import shutil
import subprocess
from pathlib import Path

from infra import ROOT
from infra.local.postgres import DatabaseAddress
from infra.local.processes import LocalError, free_port, run_logged

COMPOSE = ROOT / "localstack-compose.yml"

# The first start downloads images of some gigabytes.
_TIMEOUT_SECONDS = 1800

_DATABASE = DatabaseAddress("127.0.0.1", 0, "vouchers", "vouchers", "", "off")


def why_no_engine() -> str:
    """Return why no container can be started, in Docker's own words; empty if Docker runs and has Compose."""
    if shutil.which("docker") is None:
        return "there is no docker on PATH"
    for words in (["docker", "version", "--format", "{{.Server.Version}}"], ["docker", "compose", "version"]):
        done = subprocess.run(words, check=False, capture_output=True, text=True)
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip()
            return said.splitlines()[0] if said else f"{' '.join(words)} ended with status {done.returncode}"
    return ""


def project_of(folder: Path) -> str:
    """Return the name prefix of a checkout's containers, network and volumes; each checkout has its own."""
    return f"voucher-segmenter-{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:8]}"


def log_of(folder: Path) -> Path:
    """Return the file that keeps the containers' logs after they are gone."""
    return folder / "containers.log"


def start_containers(folder: Path) -> tuple[int, DatabaseAddress]:
    """Start both and wait until they are healthy.

    Remains of an earlier stack of this checkout are removed first: its database has another password.

    Parameters
    ----------
    folder : Path
        Takes their logs and their variables: names, free ports and a new password.

    Returns
    -------
    tuple
        LocalStack's port on 127.0.0.1, and the database's address seen from this machine.

    Raises
    ------
    LocalError
        When they do not start, or the engine is on another machine.
    """
    address = _DATABASE._replace(port=free_port(), password=secrets.token_urlsafe(24))
    port = free_port()
    variables = {
        "COMPOSE_PROJECT_NAME": project_of(folder),
        "DOCKER_SOCKET": _socket(),
        "LOCALSTACK_PORT": port,
        "POSTGRES_PORT": address.port,
        "POSTGRES_PASSWORD": address.password,
    }
    path = _variables(folder)
    path.touch(mode=0o600)
    path.write_text("".join(f"{name}={value}\n" for name, value in variables.items()))
    _remove(folder)
    try:
        _compose(folder, "up", "--wait")
    except LocalError as error:
        _keep_log(folder)
        raise LocalError(f"{error}; the containers' logs are in {log_of(folder)}") from error
    return port, address


def stop_containers(folder: Path) -> None:
    """Stop both and the functions' containers, and remove their data; harmless when they do not run.

    Raises
    ------
    LocalError
        When Docker fails, or something is left.
    """
    if _variables(folder).exists():
        _keep_log(folder)
        _remove(folder)
        _variables(folder).unlink()


def seen_from_functions(address: DatabaseAddress) -> DatabaseAddress:
    """Return the database's address in the network of the containers."""
    return address._replace(host="postgres", port=5432)


def _socket() -> str:
    """Return the socket on which the engine listens: LocalStack starts functions through it."""
    if given := os.environ.get("DOCKER_SOCKET"):
        return given
    # This follows DOCKER_HOST too.
    command = ["docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]
    host = subprocess.run(command, check=False, capture_output=True, text=True).stdout.strip()
    if not host.startswith("unix://"):
        raise LocalError(
            f"Docker's engine is at {host or 'no address'}, and LocalStack needs one with a socket on this machine:"
            " name the socket in DOCKER_HOST or in the context (unix:///...)"
        )
    return host.removeprefix("unix://")


def _variables(folder: Path) -> Path:
    return folder / "compose.env"


def _remove(folder: Path) -> None:
    """Remove containers, network and volumes of the checkout, and the functions' containers that LocalStack left."""
    _compose(folder, "down", "--volumes", "--remove-orphans")
    label = f"label=com.docker.compose.project={project_of(folder)}"
    for kind, options in (("container", ["--all"]), ("network", []), ("volume", [])):
        command = ["docker", kind, "ls", *options, "--quiet", "--filter", label]
        if left := subprocess.run(command, check=True, capture_output=True, text=True).stdout.split():
            raise LocalError(f"docker compose down left these: docker {kind} rm {' '.join(left)}")


def _keep_log(folder: Path) -> None:
    """Save the containers' logs, which are deleted with them."""
    log_of(folder).unlink(missing_ok=True)
    _compose(folder, "logs", "--no-color", "--timestamps", log=log_of(folder))


def _compose(folder: Path, *words: str, log: Path | None = None) -> None:
    command: list[str | Path] = ["docker", "compose", "--file", COMPOSE, "--env-file", _variables(folder), *words]
    # The environment would take precedence over the file.
    ours = ("COMPOSE_", "DOCKER_SOCKET", "LOCALSTACK_PORT", "POSTGRES_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    run_logged(command, log or folder / "compose.log", env=environment, timeout_seconds=_TIMEOUT_SECONDS)
