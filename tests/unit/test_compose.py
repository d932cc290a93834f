"""The compose file: what Docker would accept and we would regret. `make lint` checks it against Compose's schema."""

from typing import Any

import pytest
import yaml

from infra.checks.transform import NESTED, read_template
from infra.local.containers import COMPOSE


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
    return found


@pytest.fixture(scope="module")
def services(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = compose["services"]
    assert set(found) == {"localstack", "postgres"}
    return found


def test_every_port_is_published_on_this_machine_only(services: dict[str, dict[str, Any]]) -> None:
    for service in services.values():
        assert service["ports"]
        assert [port for port in service["ports"] if not port.startswith("127.0.0.1:$")] == []
        assert "network_mode" not in service


def test_every_image_has_a_version(services: dict[str, dict[str, Any]]) -> None:
    assert services["localstack"]["image"] == "${LOCALSTACK_IMAGE:-localstack/localstack:4.14.0}"
    [database] = [path for path in NESTED if path.name == "database.yaml"]
    on_aws = read_template(database)["Resources"]["Database"]["Properties"]["EngineVersion"]
    assert services["postgres"]["image"] == f"postgres:{on_aws}"


def test_up_can_wait_for_every_service(services: dict[str, dict[str, Any]]) -> None:
    assert [name for name, service in services.items() if "test" not in service.get("healthcheck", {})] == []


def test_no_secret_has_a_value_in_the_file(services: dict[str, dict[str, Any]]) -> None:
    secrets = {
        name: value
        for service in services.values()
        for name, value in service["environment"].items()
        if "PASSWORD" in name or "TOKEN" in name
    }
    assert set(secrets) == {"POSTGRES_PASSWORD", "LOCALSTACK_AUTH_TOKEN"}
    assert secrets["POSTGRES_PASSWORD"].startswith("${POSTGRES_PASSWORD:?")
    assert secrets["LOCALSTACK_AUTH_TOKEN"] == "${LOCALSTACK_AUTH_TOKEN:-}"


def test_what_is_kept_lies_in_named_volumes(compose: dict[str, Any], services: dict[str, dict[str, Any]]) -> None:
    mounts = [mount for service in services.values() for mount in service["volumes"]]
    named = [mount.split(":") for mount in mounts if isinstance(mount, str)]
    assert set(compose["volumes"]) == {name for name, _ in named}
    assert {place: name for name, place in named} == {
        "/var/lib/localstack": "localstack",
        "/var/lib/postgresql": "postgres",  # of PostgreSQL 18 not its folder `data`
    }
    # And Docker makes no folder where it finds no socket
    [bound] = [mount for mount in mounts if not isinstance(mount, str)]
    assert bound["target"] == "/var/run/docker.sock"
    assert bound["source"].startswith("${DOCKER_SOCKET:?")
    assert bound["bind"] == {"create_host_path": False}


def test_functions_are_in_the_network_of_the_database_and_go_with_it(
    compose: dict[str, Any], services: dict[str, dict[str, Any]]
) -> None:
    # Given names that Compose makes of the checkout's, and none that two checkouts would share
    assert not {"name", "networks"} & set(compose)
    assert all(not {"networks", "container_name"} & set(service) for service in services.values())
    # Then functions join the network, and carry the labels by which Compose finds what belongs to it
    variables = services["localstack"]["environment"]
    assert variables["LAMBDA_DOCKER_NETWORK"] == "${COMPOSE_PROJECT_NAME:?make up-localstack sets it}_default"
    labels = dict(flag.split("=") for flag in variables["LAMBDA_DOCKER_FLAGS"].split() if flag != "--label")
    assert labels.pop("com.docker.compose.project") == "${COMPOSE_PROJECT_NAME}"
    assert set(labels) == {f"com.docker.compose.{name}" for name in ("service", "oneoff", "config-hash")}
