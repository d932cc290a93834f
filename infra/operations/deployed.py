"""A deployed stack, found by its name: on AWS, or on the emulator that an endpoint leads to."""

import json
import os
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

DEFAULT_NAME = "voucher-segmenter"

# As long as a refresh may take. Sent once: what seems lost may still run, and asking again would run it twice.
_INVOCATION = Config(read_timeout=910, connect_timeout=10, retries={"total_max_attempts": 1})

# Longer than a refresh may take, so that nobody else takes the message meanwhile.
_REDRIVE_SECONDS = 960


class OperationError(Exception):
    """An operation did not do what was asked; the message is one line that says why and what to do."""


def client_of_environment(service: str, config: Config | None = None) -> Any:
    """Return a boto3 client of the place that the environment points to."""
    make_client: Any = boto3.client  # its stubs want to know the service beforehand
    return make_client(service, config=config)


class Deployed:
    """A stack that was deployed from `template.yaml`.

    Parameters
    ----------
    name : str
        The stack's name.
    client : callable
        Makes a boto3 client of a service, with a botocore configuration or without.
    endpoint : str or None
        Where the emulator is, None for AWS; by default as the environment says.
    """

    def __init__(
        self, name: str, client: Callable[..., Any] = client_of_environment, endpoint: str | None = None
    ) -> None:
        self.name = name
        self.client = client
        self.endpoint = endpoint or os.environ.get("AWS_ENDPOINT_URL")

    @property
    def place(self) -> str:
        """Where it is, for people."""
        return f"{self.name} on {self.endpoint or 'AWS'}"

    @cached_property
    def description(self) -> dict[str, Any]:
        """What CloudFormation knows of the stack.

        Raises
        ------
        OperationError
            When there is no such stack, or nobody answers.
        """
        try:
            [found] = self.client("cloudformation").describe_stacks(StackName=self.name)["Stacks"]
        except (ClientError, BotoCoreError) as error:
            raise OperationError(
                f"stack {self.name} cannot be asked: {error}. Is it deployed (make deploy), and does the environment"
                " point to it (AWS_PROFILE and AWS_REGION, or source .local/env)?"
            ) from error
        return dict(found)

    @property
    def exists(self) -> bool:
        """Whether the stack is there.

        Raises
        ------
        OperationError
            When nobody answers.
        """
        try:
            return bool(self.description)
        except OperationError as error:
            if isinstance(error.__cause__, ClientError) and "does not exist" in str(error.__cause__):
                return False
            raise

    @property
    def outputs(self) -> dict[str, str]:
        """The stack's outputs."""
        return {output["OutputKey"]: output["OutputValue"] for output in self.description.get("Outputs", [])}

    @property
    def parameters(self) -> dict[str, str]:
        """The values that the stack was deployed with."""
        return {entry["ParameterKey"]: entry["ParameterValue"] for entry in self.description.get("Parameters", [])}

    @property
    def api_url(self) -> str:
        """Where the API answers: an emulator has it under its own address."""
        if self.endpoint:
            return f"{self.endpoint}/_aws/execute-api/{self.outputs['ApiId']}/v1"
        return self.outputs["ApiUrl"]

    def invoke_refresh(self, event: dict[str, Any]) -> dict[str, Any]:
        """Invoke the refresh function, wait, and return what it returns.

        Raises
        ------
        OperationError
            When it fails; the message is the function's.
        """
        client = self.client("lambda", _INVOCATION)
        try:
            answer = client.invoke(FunctionName=self.outputs["RefreshFunctionName"], Payload=json.dumps(event).encode())
        except (ClientError, BotoCoreError) as error:
            raise OperationError(f"the refresh function cannot be invoked: {error}") from error
        result: dict[str, Any] = json.loads(answer["Payload"].read())
        if "FunctionError" in answer:
            raise OperationError(str(result.get("errorMessage", result)))
        return result

    def failures(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Take the messages out of the failure queue one by one, each with its receipt, until it is empty.

        A message that is neither deleted nor put back is there again after a while.
        """
        client, queue = self.client("sqs"), self.outputs["RefreshFailuresUrl"]
        options = {"QueueUrl": queue, "VisibilityTimeout": _REDRIVE_SECONDS, "WaitTimeSeconds": 1}
        while messages := client.receive_message(**options).get("Messages"):
            for message in messages:
                yield message["ReceiptHandle"], json.loads(message["Body"])

    def delete_failure(self, receipt: str) -> None:
        """Delete a message that was taken out of the failure queue."""
        self.client("sqs").delete_message(QueueUrl=self.outputs["RefreshFailuresUrl"], ReceiptHandle=receipt)

    def put_failure_back(self, receipt: str) -> None:
        """Put a message that was taken out of the failure queue back at once."""
        self.client("sqs").change_message_visibility(
            QueueUrl=self.outputs["RefreshFailuresUrl"], ReceiptHandle=receipt, VisibilityTimeout=0
        )

    def log_events(self, since: float) -> Iterator[tuple[int, str, str]]:
        """Read both functions' logs: the time in milliseconds, the function, the line.

        Parameters
        ----------
        since : float
            From when on, in seconds since 1970.
        """
        pages = self.client("logs").get_paginator("filter_log_events")
        for function, group in (("refresh", "RefreshLogGroup"), ("lookup", "LookupLogGroup")):
            for page in pages.paginate(logGroupName=self.outputs[group], startTime=int(since * 1000)):
                for event in page["events"]:
                    yield event["timestamp"], function, event["message"].rstrip("\n")
