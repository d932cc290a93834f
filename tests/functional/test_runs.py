"""Runs by hand: the state machine of the template, run by moto's Step Functions, and followed to its end."""

import json
import re
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from infra.checks.transform import NESTED, read_template
from infra.operations.backlog import read_rows
from infra.operations.deployed import Deployed, OperationError
from tests.functional.account import Account, RefusedError, serving_account

REGION = "eu-west-1"


@pytest.fixture(scope="module")
def served() -> Iterator[Account]:
    with pytest.MonkeyPatch.context() as patch, serving_account(patch) as account:
        template = {
            "Resources": {
                "Role": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": {}}},
                "Function": {
                    "Type": "AWS::Lambda::Function",
                    "Properties": {"Code": {"ZipFile": "x = 1"}, "Handler": "x.x", "Runtime": "python3.13",
                                   "Role": {"Fn::GetAtt": ["Role", "Arn"]}},
                },
            }
        }  # fmt: skip
        [path] = [path for path in NESTED if path.stem == "manual"]
        manual = read_template(path)
        manual["Outputs"] = {"ManualStateMachine": manual["Outputs"]["StateMachine"]}
        client = account.client("cloudformation", REGION)
        client.create_stack(StackName="functions", TemplateBody=json.dumps(template))
        [function] = account.client("lambda", REGION).list_functions()["Functions"]
        parameters = [{"ParameterKey": "RefreshFunction", "ParameterValue": function["FunctionArn"]}]
        client.create_stack(StackName="mine", TemplateBody=json.dumps(manual), Parameters=parameters)
        yield account


@pytest.fixture
def stack(served: Account, monkeypatch: pytest.MonkeyPatch) -> Deployed:
    monkeypatch.setattr(served, "function", lambda event: {"given": event})
    return Deployed("mine", lambda service: served.client(service, REGION))


def test_a_run_gives_the_function_the_event_and_returns_what_it_returns(stack: Deployed) -> None:
    event = {"as_of": "2018-08-05", "prefix": "vouchers/a b+c/"}
    assert stack.invoke_refresh(event) == {"given": event}


def test_a_run_that_fails_says_why_in_the_functions_words_and_is_not_tried_again(
    stack: Deployed, served: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = []

    def fail(event: dict[str, Any]) -> dict[str, Any]:
        events.append(event)
        raise RefusedError("vouchers/a.parquet: is not readable parquet")

    monkeypatch.setattr(served, "function", fail)
    with pytest.raises(OperationError) as error:
        stack.invoke_refresh({})
    assert str(error.value) == "vouchers/a.parquet: is not readable parquet"
    assert events == [{}]


def test_a_run_that_takes_long_shows_that_it_goes_on(
    served: Account, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given a function that goes on until somebody has looked
    looked = threading.Event()
    monkeypatch.setattr(served, "function", lambda _: {"looked": looked.wait(60)})

    def client(service: str) -> Any:
        made = served.client(service, REGION)
        made.meta.events.register("after-call.sfn.DescribeExecution", lambda **_: looked.set())
        return made

    # When it is run, then a person hears that it runs, and what it returned
    assert Deployed("mine", client).invoke_refresh({}) == {"looked": True}
    assert re.search(r"^follow arn:aws:states:\S+ …$", capsys.readouterr().err, re.M)


def test_logs_are_read_from_the_group_that_lambda_writes_to_by_itself_too(served: Account) -> None:
    # Given the log groups of the template, and an emulator that writes to another
    function = {
        "Type": "AWS::Lambda::Function",
        "Properties": {"Code": {"ZipFile": "x = 1"}, "Handler": "x.x", "Runtime": "python3.13",
                       "Role": {"Fn::GetAtt": ["Role", "Arn"]}},
    }  # fmt: skip
    template = {
        "Resources": {
            "Role": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": {}}},
            **{f"{name}Function": function for name in ("Refresh", "Lookup")},
            **{f"{name}Logs": {"Type": "AWS::Logs::LogGroup"} for name in ("Refresh", "Lookup")},
        },
        "Outputs": {f"{name}LogGroup": {"Value": {"Ref": f"{name}Logs"}} for name in ("Refresh", "Lookup")},
    }
    served.client("cloudformation", REGION).create_stack(StackName="logged", TemplateBody=json.dumps(template))
    on_aws = Deployed("logged", lambda service: served.client(service, REGION))
    here = Deployed("logged", lambda service: served.client(service, REGION), served.endpoint)
    physical = served.client("cloudformation", REGION).describe_stack_resource(
        StackName="logged", LogicalResourceId="LookupFunction"
    )["StackResourceDetail"]["PhysicalResourceId"]
    logs = served.client("logs", REGION)
    for group, line in ((on_aws.output("RefreshLogGroup"), "named"), (f"/aws/lambda/{physical}", "other")):
        if group.startswith("/aws/lambda/"):
            logs.create_log_group(logGroupName=group)
        logs.create_log_stream(logGroupName=group, logStreamName="1")
        event = {"timestamp": int(time.time() * 1000), "message": f"{line}\n"}
        logs.put_log_events(logGroupName=group, logStreamName="1", logEvents=[event])
    # When they are read, then on AWS from the named ones, and on the emulator from both
    since = time.time() - 60
    assert [entry[1:] for entry in on_aws.log_events(since)] == [("refresh", "named")]
    assert [entry[1:] for entry in here.log_events(since)] == [("refresh", "named"), ("lookup", "other")]


def test_a_backlog_is_followed_without_a_log_that_cannot_be_read(served: Account) -> None:
    template = {
        "Resources": {"Logs": {"Type": "AWS::Logs::LogGroup"}},
        "Outputs": {"RefreshLogGroup": {"Value": {"Ref": "Logs"}}},
    }
    served.client("cloudformation", REGION).create_stack(StackName="followed", TemplateBody=json.dumps(template))
    stack = Deployed("followed", lambda service: served.client(service, REGION))
    stack.endpoint = None
    rows = {"of an earlier look": 7}
    assert read_rows(stack, 0, rows) == "rows: 7 read"
    served.client("logs", REGION).delete_log_group(logGroupName=stack.output("RefreshLogGroup"))
    assert read_rows(stack, 0, rows) == "rows: the refresh function's log cannot be read (ResourceNotFoundException)"
