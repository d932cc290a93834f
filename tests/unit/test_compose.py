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
    mounts = [mount.split(":") for service in services.values() for mount in service["volumes"]]
    assert {place: name for name, place in mounts if name in compose["volumes"]} == {
        "/var/lib/localstack": "localstack",
        "/var/lib/postgresql": "postgres",  # of PostgreSQL 18 not its folder `data`
    }
    assert [place for name, place in mounts if name not in compose["volumes"]] == ["/var/run/docker.sock"]


def test_functions_are_in_the_network_of_the_database(
    compose: dict[str, Any], services: dict[str, dict[str, Any]]
) -> None:
    assert services["localstack"]["environment"]["LAMBDA_DOCKER_NETWORK"] == compose["networks"]["default"]["name"]
    assert all("networks" not in service for service in services.values())
