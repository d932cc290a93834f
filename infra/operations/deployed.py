"""A deployed stack, found by its name: on AWS, or on the emulator that an endpoint leads to."""

import json
import os
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from functools import cached_property
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError, ProfileNotFound

from infra.progress import Progress

DEFAULT_NAME = "voucher-segmenter"

_MOST_SECONDS_BETWEEN_LOOKS = 2

# Longer than a refresh may take, so that nobody else receives the message meanwhile.
_REDRIVE_SECONDS = 960

NOT_MADE = ("", "REVIEW_IN_PROGRESS")
"""Statuses without a stack. In REVIEW_IN_PROGRESS nobody executed the change set that would make it."""

_OR_LOCAL = "or source .local/env for the stack on this machine"
_SIGN_IN = f"sign in (aws sso login), name a profile (AWS_PROFILE), {_OR_LOCAL}"
_NO_REGION = f"no region is named: set AWS_REGION or a region in the profile, {_OR_LOCAL}"


class OperationError(Exception):
    """An operation did not do what was asked; the message is one line that says why and what to do."""


def client_of_environment(service: str) -> Any:
    """Return a boto3 client of the place that the environment points to."""
    make_client: Any = boto3.client  # its type stubs take only literal names of services
    return make_client(service)


def settle_region(variables: MutableMapping[str, str]) -> None:
    """Set AWS_DEFAULT_REGION to AWS_REGION, so that every tool uses the same region.

    AWS_REGION counts first, then AWS_DEFAULT_REGION, then the profile's region. boto3, SAM and version 1 of the AWS
    CLI read AWS_DEFAULT_REGION only; version 2 of the AWS CLI reads AWS_REGION first.
    """
    if region := variables.get("AWS_REGION"):
        variables["AWS_DEFAULT_REGION"] = region


class Deployed:
    """A stack that was deployed from `template.yaml`.

    Parameters
    ----------
    name : str
        The stack's name.
    client : callable
        Makes a boto3 client of a service.
    endpoint : str or None
        Where the emulator is, None for AWS; by default as the environment says.
    """

    def __init__(
        self, name: str, client: Callable[[str], Any] = client_of_environment, endpoint: str | None = None
    ) -> None:
        self.name = name
        self.client = client
        self.endpoint = endpoint or os.environ.get("AWS_ENDPOINT_URL")

    @cached_property
    def caller(self) -> dict[str, str]:
        """The `Account` and the `Arn` that the credentials belong to.

        Raises
        ------
        OperationError
            When there are no credentials, or AWS refuses them.
        """
        try:
            found = self.client("sts").get_caller_identity()
        except NoCredentialsError as error:
            raise OperationError(f"no AWS credentials were found: {_SIGN_IN}") from error
        except (ClientError, BotoCoreError) as error:
            raise OperationError(f"the AWS credentials do not work: {error}: {_SIGN_IN}") from error
        return {"Account": found["Account"], "Arn": found["Arn"]}

    @cached_property
    def region(self) -> str:
        """The region that the environment points to.

        Raises
        ------
        OperationError
            When it names none, or a profile that is not there.
        """
        try:
            return str(self.client("cloudformation").meta.region_name)
        except NoRegionError as error:
            raise OperationError(_NO_REGION) from error
        except ProfileNotFound as error:
            raise OperationError(f"{error}: correct AWS_PROFILE, or run `aws configure sso`") from error

    @property
    def place(self) -> str:
        """The stack's name, account and region, for people."""
        where = f" of {self.endpoint}" if self.endpoint else ""
        region = self.region  # first, because the client that asks for the caller needs a region
        return f"stack {self.name}, account {self.caller['Account']}, region {region}{where}"

    def asked_again(self) -> "Deployed":
        """Return the same stack without cached descriptions."""
        return Deployed(self.name, self.client, self.endpoint)

    @cached_property
    def description(self) -> dict[str, Any]:
        """CloudFormation's description of the stack; empty when there is none of this name.

        Raises
        ------
        OperationError
            When CloudFormation does not answer.
        """
        try:
            [found] = self.client("cloudformation").describe_stacks(StackName=self.name)["Stacks"]
        except ClientError as error:
            if "does not exist" in str(error):
                return {}
            raise OperationError(f"stack {self.name} cannot be described: {error}") from error
        except BotoCoreError as error:
            raise OperationError(f"CloudFormation does not answer: {error}. Check network and region") from error
        return dict(found)

    @property
    def status(self) -> str:
        """The stack's status in CloudFormation; empty when there is none of this name."""
        return str(self.description.get("StackStatus", ""))

    @property
    def exists(self) -> bool:
        """Whether the stack was made, if only in part."""
        return self.status not in NOT_MADE

    @property
    def outputs(self) -> dict[str, str]:
        """The stack's outputs."""
        return {output["OutputKey"]: output["OutputValue"] for output in self.description.get("Outputs", [])}

    def output(self, name: str) -> str:
        """Return an output of the stack.

        Raises
        ------
        OperationError
            When the stack is not there, was not deployed to its end, or is of an earlier version.
        """
        if not self.exists:
            raise OperationError(
                f"there is no {self.place}. Is it deployed (make deploy), and does the environment point to it"
                " (AWS_PROFILE and AWS_REGION, or source .local/env)?"
            )
        if name not in self.outputs:
            raise OperationError(f"stack {self.name} is {self.status} and has no output {name}: run make deploy")
        return self.outputs[name]

    @property
    def parameters(self) -> dict[str, str]:
        """The values that the stack was deployed with."""
        return {entry["ParameterKey"]: entry["ParameterValue"] for entry in self.description.get("Parameters", [])}

    @property
    def api_url(self) -> str:
        """Where the API answers: an emulator has it under its own address."""
        if self.endpoint:
            return f"{self.endpoint}/_aws/execute-api/{self.output('ApiId')}/v1"
        return self.output("ApiUrl")

    def invoke_refresh(self, event: dict[str, Any]) -> dict[str, Any]:
        """Run the refresh function once, follow the run, and return what the function returns.

        Raises
        ------
        OperationError
            When it fails, or refuses a question; the message is the function's.
        """
        client = self.client("stepfunctions")
        # Named here, so that a request which boto3 sends twice starts one run.
        request = {"name": str(uuid.uuid4()), "input": json.dumps(event)}
        try:
            run = client.start_execution(stateMachineArn=self.output("ManualStateMachine"), **request)
            found = self._follow(client, run["executionArn"])
        except (ClientError, BotoCoreError) as error:
            raise OperationError(f"the run cannot be started or followed: {error}") from error
        if found["status"] != "SUCCEEDED":
            raise OperationError(_failure(found))
        result: dict[str, Any] = json.loads(found["output"])
        if "refused" in result:
            raise OperationError(result["refused"])
        return result

    def migrate(self) -> dict[str, Any]:
        """Invoke the function that brings the schema up to date, wait, and return what it returns.

        Raises
        ------
        OperationError
            When it fails; the message is the function's.
        """
        try:
            # boto3 asks again after a minute without an answer, which does no harm: a migration is applied once.
            answer = self.client("lambda").invoke(FunctionName=self.output("MigrateFunctionName"), Payload=b"{}")
        except (ClientError, BotoCoreError) as error:
            raise OperationError(f"the migration cannot be invoked: {error}") from error
        result: dict[str, Any] = json.loads(answer["Payload"].read())
        if "FunctionError" in answer:
            raise OperationError(str(result.get("errorMessage", result)))
        return result

    def _follow(self, client: Any, execution: str) -> dict[str, Any]:
        """Wait for the end of an execution, show that it goes on, and return what is known of it."""
        pause = 0.2
        with Progress(f"follow {execution}"):
            while True:
                found: dict[str, Any] = client.describe_execution(executionArn=execution)
                if found["status"] != "RUNNING":
                    return found
                time.sleep(pause)
                pause = min(pause * 1.5, _MOST_SECONDS_BETWEEN_LOOKS)

    def failures(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Take the messages out of the failure queue one by one, each with its receipt, until it is empty.

        A message that is neither deleted nor put back is there again after a while.
        """
        client, queue = self.client("sqs"), self.output("RefreshFailuresUrl")
        options = {"QueueUrl": queue, "VisibilityTimeout": _REDRIVE_SECONDS, "WaitTimeSeconds": 1}
        while messages := client.receive_message(**options).get("Messages"):
            for message in messages:
                yield message["ReceiptHandle"], json.loads(message["Body"])

    def delete_failure(self, receipt: str) -> None:
        """Delete a message that was taken out of the failure queue."""
        self.client("sqs").delete_message(QueueUrl=self.output("RefreshFailuresUrl"), ReceiptHandle=receipt)

    def put_failure_back(self, receipt: str) -> None:
        """Put a message that was taken out of the failure queue back at once."""
        self.client("sqs").change_message_visibility(
            QueueUrl=self.output("RefreshFailuresUrl"), ReceiptHandle=receipt, VisibilityTimeout=0
        )

    def log_events(
        self, since: float, functions: Iterable[str] = ("refresh", "lookup")
    ) -> Iterator[tuple[int, str, str]]:
        """Read the functions' logs: the time in milliseconds, the function, the line.

        Parameters
        ----------
        since : float
            From when on, in seconds since 1970.
        functions : iterable of str
            Which functions.
        """
        pages = self.client("logs").get_paginator("filter_log_events")
        for function in functions:
            for group in self._log_groups(function.title()):
                for page in pages.paginate(logGroupName=group, startTime=int(since * 1000)):
                    for event in page["events"]:
                        yield event["timestamp"], function, event["message"].rstrip("\n")

    def _log_groups(self, function: str) -> list[str]:
        """Return the log group of a function, and another one into which LocalStack in containers writes instead."""
        named = self.output(f"{function}LogGroup")
        if self.endpoint is None:
            return [named]
        found = self.client("cloudformation").describe_stack_resource(
            StackName=self.name, LogicalResourceId=f"{function}Function"
        )
        other = f"/aws/lambda/{found['StackResourceDetail']['PhysicalResourceId']}"
        groups = self.client("logs").describe_log_groups(logGroupNamePrefix=other)["logGroups"]
        return [named, *(group["logGroupName"] for group in groups if group["logGroupName"] == other)]


def _failure(execution: dict[str, Any]) -> str:
    """Say why an execution ended: the message of the function's exception, if that is why."""
    cause = execution.get("cause") or "no cause is given"
    try:
        return str(json.loads(cause)["errorMessage"])
    except (ValueError, KeyError, TypeError):
        return f"the run ended as {execution['status']}: {execution.get('error', '')} {cause}"
