"""The containers of `make up-localstack`, on a real engine."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local.containers import COMPOSE, log_of, project_of, start_containers, stop_containers, why_no_engine
from infra.local.postgres import DatabaseAddress
from infra.local.processes import LocalError
from tests.containers.images import POSTGRES, why_no_images

pytestmark = pytest.mark.skipif("CONTAINERS" not in os.environ, reason="`make test-containers` runs it")


@pytest.fixture(scope="module", autouse=True)
def _engine() -> None:
    if reason := why_no_engine() or why_no_images():
        pytest.skip(reason)


@pytest.fixture
def folders(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """Make the folders of two checkouts, whose containers go in the end."""
    made = (tmp_path / "a", tmp_path / "b")
    for folder in made:
        folder.mkdir()
    yield made
    for folder in made:
        stop_containers(folder)


def docker(*words: str) -> list[str]:
    return subprocess.run(["docker", *words], check=True, capture_output=True, text=True).stdout.split()


def held(folder: Path) -> list[str]:
    """Return all that the engine holds of a checkout."""
    label = f"label=com.docker.compose.project={project_of(folder)}"
    kinds = (("container", "ls", "--all"), ("network", "ls"), ("volume", "ls"))
    return [entry for kind in kinds for entry in docker(*kind, "--quiet", "--filter", label)]


def answers(address: DatabaseAddress) -> bool:
    connection = address.connect()
    try:
        return bool(connection.run("SELECT 1") == [[1]])
    finally:
        connection.close()


def test_two_checkouts_have_containers_of_their_own_at_once(folders: tuple[Path, Path]) -> None:
    # Given one that runs, when another starts, then both have a database
    addresses = [start_containers(folder)[1] for folder in folders]
    assert [answers(address) for address in addresses] == [True, True]
    # When the first one loses its folder and starts again, then it has a new one, and the other keeps its own
    shutil.rmtree(folders[0])
    folders[0].mkdir()
    assert answers(start_containers(folders[0])[1])
    assert answers(addresses[1])
    # When it stops, then nothing of it is left, and the other goes on
    stop_containers(folders[0])
    assert held(folders[0]) == []
    assert answers(addresses[1])
    assert "database system is ready" in log_of(folders[0]).read_text()


def test_containers_of_functions_go_even_when_localstack_died_before_them(folders: tuple[Path, Path]) -> None:
    # Given a container that is started as LocalStack starts those of functions
    folder = folders[0]
    start_containers(folder)
    command = ["compose", "--file", str(COMPOSE), "--env-file", str(folder / "compose.env")]
    shown = subprocess.run(["docker", *command, "config", "--format=json"], check=True, capture_output=True)
    variables = json.loads(shown.stdout)["services"]["localstack"]["environment"]
    flags, network = variables["LAMBDA_DOCKER_FLAGS"].split(), variables["LAMBDA_DOCKER_NETWORK"]
    docker("run", "--detach", "--network", network, *flags, "--entrypoint", "sleep", POSTGRES, "600")
    # When LocalStack dies
    docker("kill", f"{project_of(folder)}-localstack-1")
    # Then stopping leaves nothing all the same
    stop_containers(folder)
    assert held(folder) == []


def test_the_log_of_a_container_that_does_not_start_is_kept(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a program that wants a password, in LocalStack's place
    monkeypatch.setenv("LOCALSTACK_IMAGE", POSTGRES)
    with pytest.raises(LocalError, match=r"localstack-1 exited .*; the containers' logs are in .*/containers\.log"):
        start_containers(folders[0])
    assert "is not specified" in log_of(folders[0]).read_text()
    stop_containers(folders[0])
    assert held(folders[0]) == []


def test_where_there_is_no_socket_docker_makes_no_folder(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_SOCKET", str(tmp_path / "no.sock"))
    with pytest.raises(LocalError, match=r"bind source path does not exist: .*/no\.sock"):
        start_containers(folders[0])
    assert not (tmp_path / "no.sock").exists()


def test_docker_itself_says_why_there_is_no_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/stopped.sock")
    assert str(tmp_path / "stopped.sock") in why_no_engine()
