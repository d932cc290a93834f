"""LocalStack and PostgreSQL in containers, as localstack-compose.yml says."""

import os
import secrets
import shutil
import subprocess
from pathlib import Path

from infra import ROOT
from infra.local.postgres import DatabaseAddress
from infra.local.processes import free_port, run_logged

COMPOSE = ROOT / "localstack-compose.yml"

# Images of some gigabytes come first.
_TIMEOUT_SECONDS = 1800

_DATABASE = DatabaseAddress("127.0.0.1", 0, "vouchers", "vouchers", "", "off")


def has_engine() -> bool:
    """Tell whether there is Docker with Compose, and it runs."""
    if shutil.which("docker") is None:
        return False
    asked = (["docker", "compose", "version"], ["docker", "info"])
    return all(subprocess.run(words, check=False, capture_output=True).returncode == 0 for words in asked)


def start_containers(folder: Path) -> tuple[int, DatabaseAddress]:
    """Start both and wait until they are healthy.

    Parameters
    ----------
    folder : Path
        Takes their log, and the variables that they get: ports that are free and a new password.

    Returns
    -------
    tuple
        LocalStack's port on 127.0.0.1, and the database's address seen from this machine.

    Raises
    ------
    LocalError
        When they do not start.
    """
    address = _DATABASE._replace(port=free_port(), password=secrets.token_urlsafe(24))
    port = free_port()
    variables = {"LOCALSTACK_PORT": port, "POSTGRES_PORT": address.port, "POSTGRES_PASSWORD": address.password}
    path = _variables(folder)
    path.touch(mode=0o600)
    path.write_text("".join(f"{name}={value}\n" for name, value in variables.items()))
    _compose(folder, "up", "--wait")
    return port, address


def stop_containers(folder: Path) -> None:
    """Stop both and remove what they hold; harmless when they do not run.

    Raises
    ------
    LocalError
        When Docker fails.
    """
    if _variables(folder).exists():
        _compose(folder, "down", "--volumes")
        _variables(folder).unlink()


def seen_from_functions(address: DatabaseAddress) -> DatabaseAddress:
    """Return the database's address in the network of the containers."""
    return address._replace(host="postgres", port=5432)


def _variables(folder: Path) -> Path:
    return folder / "compose.env"


def _compose(folder: Path, *words: str) -> None:
    command: list[str | Path] = ["docker", "compose", "--file", COMPOSE, "--env-file", _variables(folder), *words]
    ours = ("LOCALSTACK_PORT", "POSTGRES_")  # the environment would win over the file
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    run_logged(command, folder / "compose.log", env=environment, timeout_seconds=_TIMEOUT_SECONDS)
