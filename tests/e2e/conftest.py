"""Fixtures of the end-to-end tests: the project's own commands, run in a copy of the checkout."""

import base64
import json
import os
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from infra.local.postgres import read_address
from infra.local.processes import wait_for
from tests.checkout import MINUTES, copy_checkout, run
from tests.support import Published, read_published

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PATIENCE = 4 * MINUTES
"""How long a test waits for the stack: an emulator tries a failed invocation again after one minute, and two."""

# ministack, localstack or containers; the first two are what `make` takes from the environment too.
EMULATOR = os.environ.get("EMULATOR", "ministack")


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the checkout for the commands and the stack that the tests share."""
    return copy_checkout(tmp_path_factory.mktemp("checkout"))


class RunningStack:
    """What `make up` left running, reached through the variables that it wrote."""

    def __init__(self, checkout: Path) -> None:
        lines = (checkout / ".local" / "env").read_text().splitlines()
        self.checkout = checkout
        exports = [shlex.split(line)[1].partition("=") for line in lines]
        self.variables = {name: value for name, _, value in exports}

    @cache  # noqa: B019 - there is one stack; to make a client takes longer than to ask it
    def client(self, service: str) -> Any:
        make_client: Any = boto3.client
        return make_client(
            service,
            endpoint_url=self.variables["AWS_ENDPOINT_URL"],
            region_name=self.variables["AWS_DEFAULT_REGION"],
            aws_access_key_id=self.variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.variables["AWS_SECRET_ACCESS_KEY"],
        )

    @property
    def s3(self) -> "S3Client":
        client: S3Client = self.client("s3")
        return client

    def put(self, name: str, body: bytes) -> str:
        key = self.variables["PREFIX"] + name
        self.s3.put_object(Bucket=self.variables["BUCKET"], Key=key, Body=body)
        return key

    def delete(self, key: str) -> None:
        self.s3.delete_object(Bucket=self.variables["BUCKET"], Key=key)

    def delete_all(self, prefix: str) -> int:
        """Delete the objects whose keys begin with a prefix, and return how many there were."""
        bucket, s3, deleted = self.variables["BUCKET"], self.s3, 0
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            keys = [listed["Key"] for listed in page.get("Contents", [])]
            s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in keys]})
            deleted += len(keys)
        return deleted

    def invoke_refresh(self, event: dict[str, Any]) -> tuple[dict[str, Any], str]:
        """Invoke the refresh function; return its outcome and the end of its log."""
        answer = self.client("lambda").invoke(
            FunctionName=self.variables["REFRESH_FUNCTION"], Payload=json.dumps(event).encode(), LogType="Tail"
        )
        return json.loads(answer["Payload"].read()), base64.b64decode(answer["LogResult"]).decode()

    def send(self, event: dict[str, Any]) -> None:
        """Invoke the refresh function as EventBridge does: asynchronously, so that a failure is tried again."""
        self.client("lambda").invoke(
            FunctionName=self.variables["REFRESH_FUNCTION"], InvocationType="Event", Payload=json.dumps(event).encode()
        )

    @property
    def failure_queue(self) -> str:
        """The address of the failure queue."""
        name = self.resource("RefreshFailures").rpartition("/")[2]
        return str(self.client("sqs").get_queue_url(QueueName=name)["QueueUrl"])

    def resource(self, name: str, stack: str = "voucher-segmenter") -> str:
        """Return the id that a resource of the template has, or of a part of the stack whose id is given."""
        found = self.client("cloudformation").describe_stack_resource(StackName=stack, LogicalResourceId=name)
        return str(found["StackResourceDetail"]["PhysicalResourceId"])

    def rows(self, query: str) -> list[list[Any]]:
        connection = read_address(self.variables["DATABASE_URL"]).connect()
        try:
            return list(connection.run(query) or [])
        finally:
            connection.close()

    def published(self) -> Published:
        connection = read_address(self.variables["DATABASE_URL"]).connect()
        try:
            return read_published(connection)
        finally:
            connection.close()

    def wait_until_published(self, table: Published) -> None:
        wait_for("the table", lambda: self.published() == table or None, seconds=PATIENCE, every=0.2)


@pytest.fixture(scope="session")
def stack(checkout: Path) -> Iterator[RunningStack]:
    """Run the stack that `make up` starts, publishing all four countries."""
    if EMULATOR == "ministack":
        run("make up COUNTRIES=Peru,China,Australia,Latvia", checkout)
    else:
        # Without containers no engine is found: LocalStack runs on this machine itself.
        engine = "export DOCKER_HOST=unix:///nowhere" if EMULATOR == "localstack" else "true"
        said = run(f"{engine} && make up-localstack COUNTRIES=Peru,China,Australia,Latvia", checkout).stdout
        no_containers = re.search(r"^No containers \(.+\): LocalStack and PostgreSQL start on this machine", said, re.M)
        assert bool(no_containers) == (EMULATOR == "localstack"), said
    running = RunningStack(checkout)
    running.client("lambda").invoke(FunctionName=running.variables["REFRESH_FUNCTION"], Payload=b"{}")
    yield running
    run("make down", checkout)
