"""Fixtures of the faults: a PostgreSQL that may be stopped, S3 over HTTP, and a bucket whose whole history is known."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import boto3
import pytest
from pg8000.native import Connection

from infra.local.postgres import DatabaseAddress, Postgres, start_postgres
from infra.local.processes import wait_for
from infra.local.roles import drop_roles
from tests.faults.world import COUNTRIES, Run, World
from tests.support import BUCKET, PREFIX, forget_aws, serving_aws, setup_session

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class Server(NamedTuple):
    """A PostgreSQL of these tests' own."""

    folder: Path
    address: DatabaseAddress

    @property
    def control(self) -> Postgres:
        """What stops and starts it."""
        return Postgres(self.folder)

    def restart(self, how: str) -> None:
        """Stop and start it again."""
        self.control.control("stop", "-m", how)
        self.control.start(self.address.port)

    @contextmanager
    def limited(self, file_bytes: int) -> Iterator[None]:
        """Restart it such that it can make no file longer than this, as if the disk were full."""
        usual = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, usual[1]))  # which it inherits
        try:
            self.restart("fast")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, usual)
        yield
        # It may be unable to write what it has in memory, and finds all in its log.
        self.restart("immediate")

    def connect(self) -> Connection:
        """Open a connection, for which the database may take its time."""
        return wait_for("a connection", self._try_to_connect, seconds=30)

    def _try_to_connect(self) -> Connection | None:
        try:
            return self.address.connect()
        except Exception:
            return None


@pytest.fixture(scope="package")
def server() -> Iterator[Server]:
    """Run a PostgreSQL that may be stopped."""
    folder, address = start_postgres()
    yield Server(folder, address)
    Postgres(folder).stop()


@pytest.fixture(scope="package")
def moto() -> Iterator[str]:
    """Serve S3 on 127.0.0.1."""
    with serving_aws() as endpoint:
        yield endpoint


@pytest.fixture(scope="package", autouse=True)
def warm() -> None:
    """Import everything once, in the process whose forks the refreshes are."""
    Run({}, {}).wait()


@pytest.fixture
def environ(server: Server, moto: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Set the environment that Lambda gives the refresh function."""
    variables = {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": moto,
        "BUCKET": BUCKET,
        "PREFIX": PREFIX,
        "COUNTRIES": ",".join(COUNTRIES),
        "DATABASE_URL": server.address.url,
        "MAX_REJECTED_SHARE": "1",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


@pytest.fixture
def s3(environ: dict[str, str], moto: str) -> "Iterator[S3Client]":
    """Make an empty bucket."""
    setup_session()
    client = boto3.client("s3")
    client.create_bucket(Bucket=BUCKET)
    yield client
    client.close()
    forget_aws(moto)


@pytest.fixture
def sql(server: Server) -> Connection:
    """Look into the database, which is empty at first; the world closes it."""
    connection = server.connect()
    connection.run("DROP SCHEMA IF EXISTS voucher_customer CASCADE")
    drop_roles(connection)
    return connection


@pytest.fixture
def world(s3: "S3Client", sql: Connection, environ: dict[str, str]) -> Iterator[World]:
    """Know the bucket."""
    world = World(s3, sql, environ)
    yield world
    world.close()
