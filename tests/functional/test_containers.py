"""What is asked of Docker: by a program in its place, and by itself where it has Compose."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.local.containers import COMPOSE, has_engine, seen_from_functions, start_containers, stop_containers
from infra.local.processes import LocalError

Docker = Callable[[str], Path]


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Docker:
    """Put a program in Docker's place that writes down what it is asked; answers the file."""

    def make(what_it_does: str) -> Path:
        program, asked = tmp_path / "bin" / "docker", tmp_path / "asked"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\necho "$@ [$POSTGRES_PASSWORD]" >> {asked}\n{what_it_does}\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
        return asked

    return make


def test_the_containers_start_with_a_new_password_and_go_with_what_they_hold(
    docker: Docker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = docker("true")
    monkeypatch.setenv("POSTGRES_PASSWORD", "of another project")
    port, address = start_containers(tmp_path)
    variables = tmp_path / "compose.env"
    assert variables.read_text().splitlines() == [
        f"LOCALSTACK_PORT={port}", f"POSTGRES_PORT={address.port}", f"POSTGRES_PASSWORD={address.password}",
    ]  # fmt: skip
    assert variables.stat().st_mode & 0o777 == 0o600
    assert len(address.password) >= 32
    assert (address.host, seen_from_functions(address).host) == ("127.0.0.1", "postgres")

    stop_containers(tmp_path)
    stop_containers(tmp_path)
    compose = f"compose --file {COMPOSE} --env-file {variables}"
    assert asked.read_text().splitlines() == [f"{compose} up --wait []", f"{compose} down --volumes []"]
    assert not variables.exists()


def test_docker_that_fails_is_quoted_and_can_still_be_asked_to_stop(docker: Docker, tmp_path: Path) -> None:
    docker('case "$*" in *up*) echo no space left on device; exit 17;; esac')
    with pytest.raises(LocalError, match=r"docker ended with status 17: no space left on device; see .*compose\.log"):
        start_containers(tmp_path)
    stop_containers(tmp_path)
    assert not (tmp_path / "compose.env").exists()


@pytest.mark.parametrize(
    ("what_it_does", "there"),
    [("true", True), ('[ "$1" != info ]', False), ('[ "$1" != compose ]', False)],
    ids=["both", "not running", "without Compose"],
)
def test_an_engine_is_docker_that_runs_and_has_compose(docker: Docker, what_it_does: str, there: bool) -> None:
    docker(what_it_does)
    assert has_engine() is there


def test_without_docker_there_is_no_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not has_engine()


def _has_compose() -> bool:
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "compose", "version"], check=False, capture_output=True).returncode == 0


@pytest.mark.skipif(not _has_compose(), reason="there is no docker compose here")
def test_compose_itself_takes_the_file(tmp_path: Path) -> None:
    (tmp_path / "compose.env").write_text("LOCALSTACK_PORT=4566\nPOSTGRES_PORT=5432\nPOSTGRES_PASSWORD=x\n")
    command = ["docker", "compose", "--file", str(COMPOSE), "--env-file", str(tmp_path / "compose.env"), "config"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "host_ip: 127.0.0.1" in done.stdout
