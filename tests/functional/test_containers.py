"""What is asked of Docker: by a program in its place, and by itself where it has Compose."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.local.containers import (
    COMPOSE,
    project_of,
    seen_from_functions,
    start_containers,
    stop_containers,
    why_no_engine,
)
from infra.local.processes import LocalError

Docker = Callable[[str], Path]


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Docker:
    """Put a program in Docker's place that writes down what it is asked; answers the file."""

    def make(what_it_does: str) -> Path:
        program, asked = tmp_path / "bin" / "docker", tmp_path / "asked"
        program.parent.mkdir()
        program.write_text(
            f'#!/bin/sh\necho "$@ [$POSTGRES_PASSWORD$COMPOSE_FILE]" >> {asked}\n{what_it_does}\n'
            'case "$*" in *context*) echo unix:///run/user/1000/docker.sock;; esac\n'
        )
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
        return asked

    return make


def compose(folder: Path, words: str) -> str:
    return f"compose --file {COMPOSE} --env-file {folder / 'compose.env'} {words} []"


def left(folder: Path) -> list[str]:
    kinds = ("container ls --all", "network ls", "volume ls")
    return [f"{kind} --quiet --filter label=com.docker.compose.project={project_of(folder)}" for kind in kinds]


def test_the_containers_start_with_a_new_password_and_go_with_what_they_hold(
    docker: Docker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = docker("true")
    monkeypatch.setenv("POSTGRES_PASSWORD", "of another project")
    monkeypatch.setenv("COMPOSE_FILE", "of another project")
    port, address = start_containers(tmp_path)
    variables = tmp_path / "compose.env"
    assert variables.read_text().splitlines() == [
        f"COMPOSE_PROJECT_NAME={project_of(tmp_path)}", "DOCKER_SOCKET=/run/user/1000/docker.sock",
        f"LOCALSTACK_PORT={port}", f"POSTGRES_PORT={address.port}", f"POSTGRES_PASSWORD={address.password}",
    ]  # fmt: skip
    assert variables.stat().st_mode & 0o777 == 0o600
    assert len(address.password) >= 32
    assert (address.host, seen_from_functions(address).host) == ("127.0.0.1", "postgres")

    stop_containers(tmp_path)
    stop_containers(tmp_path)
    composed = [line for line in asked.read_text().splitlines() if line.startswith("compose")]
    assert composed == [
        compose(tmp_path, words)
        for words in (
            "down --volumes --remove-orphans",  # what an earlier stack left
            "up --wait",
            "logs --no-color --timestamps",
            "down --volumes --remove-orphans",
        )
    ]
    looked = [line.partition(" [")[0] for line in asked.read_text().splitlines() if " ls " in line]
    assert looked == 2 * left(tmp_path)
    assert not variables.exists()


def test_every_checkout_has_containers_of_its_own(tmp_path: Path) -> None:
    folders = [tmp_path / "a" / ".local", tmp_path / "b" / ".local"]
    assert len({project_of(folder) for folder in folders}) == 2
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert project_of(tmp_path / "link" / ".local") == project_of(folders[0])


def test_docker_that_fails_is_quoted_and_the_containers_logs_are_kept(docker: Docker, tmp_path: Path) -> None:
    docker('case "$*" in *up*) echo no space left on device; exit 17;; *logs*) echo "postgres | no space";; esac')
    failure = r"docker ended with status 17: no space left on device; see .*compose\.log; .*/containers\.log$"
    with pytest.raises(LocalError, match=failure):
        start_containers(tmp_path)
    assert (tmp_path / "containers.log").read_text() == "postgres | no space\n"
    stop_containers(tmp_path)
    assert not (tmp_path / "compose.env").exists()


@pytest.mark.parametrize("kind", ["container", "network", "volume"])
def test_what_docker_leaves_is_named(docker: Docker, tmp_path: Path, kind: str) -> None:
    docker(f'[ "$1" = {kind} ] && echo 0123abcd')
    with pytest.raises(LocalError, match=f"docker compose down left these: docker {kind} rm 0123abcd"):
        start_containers(tmp_path)


@pytest.mark.parametrize("where", ["tcp://192.0.2.1:2376", "ssh://build", ""])
def test_an_engine_of_another_machine_is_refused(docker: Docker, tmp_path: Path, where: str) -> None:
    asked = docker(f'case "$*" in context*) echo {where}; exit;; esac')
    with pytest.raises(LocalError, match="LocalStack needs one with a socket on this machine"):
        start_containers(tmp_path)
    assert "compose" not in asked.read_text()


@pytest.mark.parametrize(
    ("what_it_does", "why"),
    [
        ("true", ""),
        ('[ "$1" = version ] && echo Cannot connect to the daemon >&2 && exit 1', "Cannot connect to the daemon"),
        ('[ "$1" = version ] && echo permission denied >&2 && exit 1', "permission denied"),
        ('[ "$1" = compose ] && printf "unknown: compose\\n\\nRun docker" >&2 && exit 1', "unknown: compose"),
        ('[ "$1" = compose ] && exit 3', "docker compose version ended with status 3"),
    ],
    ids=["both", "not running", "not allowed", "without Compose", "silent"],
)
def test_an_engine_is_docker_that_runs_and_has_compose_else_its_own_words_say_why(
    docker: Docker, what_it_does: str, why: str
) -> None:
    docker(what_it_does)
    assert why_no_engine() == why


def test_without_docker_there_is_no_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert why_no_engine() == "there is no docker on PATH"


@pytest.mark.skipif(bool(why_no_engine()), reason=why_no_engine())
def test_compose_itself_takes_the_file(tmp_path: Path) -> None:
    names = ("COMPOSE_PROJECT_NAME", "DOCKER_SOCKET", "LOCALSTACK_PORT", "POSTGRES_PORT", "POSTGRES_PASSWORD")
    (tmp_path / "compose.env").write_text("".join(f"{name}=4566\n" for name in names))
    command = ["docker", "compose", "--file", str(COMPOSE), "--env-file", str(tmp_path / "compose.env"), "config"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "host_ip: 127.0.0.1" in done.stdout
