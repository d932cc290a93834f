"""Checks of account and region before a deployment, and what leads out of a stack that cannot be updated."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from infra.operations.__main__ import main
from tests.functional.account import Account, serving_account

pytestmark = pytest.mark.filterwarnings("ignore:Tried to parse")

REGION = "eu-west-1"
Operate = Callable[..., str]


@pytest.fixture(scope="module")
def served() -> Iterator[Account]:
    with pytest.MonkeyPatch.context() as patch, serving_account(patch) as account:
        yield account


@pytest.fixture
def account(served: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Account:
    """Let a profile of the environment lead to an account in which all is well, and to no stack."""
    served.concurrency = 1000
    for what in (served.classes, served.refused, served.undeletable):
        what.clear()
    config = tmp_path / "config"
    leads = f"endpoint_url = {served.endpoint}\naws_access_key_id = testing\naws_secret_access_key = testing\n"
    config.write_text(f"[profile abroad]\nregion = {REGION}\n{leads}[profile nowhere]\n{leads}")
    for name in ("AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "RDS_CA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_PROFILE", "abroad")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    return served


@pytest.fixture
def operate(account: Account, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Operate:
    """Run a command, and return what it printed and, if it failed, why."""

    def run(*words: str) -> str:
        monkeypatch.setattr("sys.argv", ["operations", *words])
        failure = ""
        try:
            main()
        except SystemExit as end:
            failure = str(end)
        return capsys.readouterr().out + failure

    return run


def make_stack(account: Account, **resources: str | dict[str, Any]) -> None:
    """Make a small stack of resources, or of their types, as far as the account lets it be made."""
    parts = {name: {"Type": part} if isinstance(part, str) else part for name, part in resources.items()}
    template = {"Resources": parts}
    client = account.client("cloudformation", REGION)
    made = client.create_change_set(
        StackName="mine", ChangeSetName="first", ChangeSetType="CREATE", TemplateBody=json.dumps(template)
    )
    client.execute_change_set(ChangeSetName=made["Id"])


@pytest.fixture
def stacks(account: Account) -> Iterator[Callable[[], dict[str, str]]]:
    """Return the statuses of the stacks that are there, and delete them in the end."""
    client = account.client("cloudformation", REGION)

    def statuses() -> dict[str, str]:
        return {stack["StackName"]: stack["StackStatus"] for stack in client.describe_stacks()["Stacks"]}

    yield statuses
    account.undeletable.clear()
    for name in statuses():
        client.delete_stack(StackName=name)


def test_all_is_well_in_an_account_with_room(operate: Operate) -> None:
    said = operate("preflight")
    assert said.startswith(f"stack voucher-segmenter, account 123456789012, region {REGION}\n")
    assert "OK   credentials: arn:aws:" in said
    assert "OK   stack: voucher-segmenter does not exist yet" in said
    assert "OK   authorities: the package has those of RDS in eu-west-1" in said
    assert "OK   database: eu-west-1 offers postgres 18 on db.t4g.micro" in said
    assert "RefreshConcurrency=5 LookupConcurrency=40 are passed on" in said
    assert said.endswith("ready to deploy: make deploy. What only an account can settle: docs/aws-unproven.md\n")


@pytest.mark.parametrize(("limit", "free"), [(10, 0), (144, 44)])
def test_nothing_is_reserved_where_the_account_has_no_room(
    operate: Operate, account: Account, limit: int, free: int
) -> None:
    account.concurrency = limit
    said = operate("preflight")
    assert f"OK   concurrency: the account runs {limit} functions at once and lets {free} be reserved" in said
    assert "; RefreshConcurrency=0 LookupConcurrency=0\n" in said
    assert "ready to deploy" in said


def test_what_a_person_reserves_is_left_as_it_is_where_there_is_room(operate: Operate, account: Account) -> None:
    account.concurrency = 145
    assert "RefreshConcurrency=5 LookupConcurrency=40 are passed on" in operate("preflight")
    assert "be reserved; RefreshConcurrency=1 LookupConcurrency=0\n" in operate("preflight", "RefreshConcurrency=1")
    said = operate("preflight", "RefreshConcurrency=46")
    assert "STOP concurrency" in said
    assert "PARAMETERS='RefreshConcurrency=0 LookupConcurrency=0' reserves none" in said
    assert said.endswith("failed: not ready to deploy, see above: concurrency. Nothing was changed")


def test_a_region_without_authorities_or_class_is_refused(
    operate: Operate, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.classes["ca-west-1"] = ["db.m7g.large"]
    monkeypatch.setenv("AWS_REGION", "ca-west-1")
    said = operate("deploy")
    assert "region ca-west-1\n" in said
    assert "STOP authorities: the package has none for RDS in ca-west-1" in said
    assert "and name the file in RDS_CA" in said
    assert "STOP database: ca-west-1 does not offer postgres 18 on db.t4g.micro" in said
    assert said.endswith("failed: not ready to deploy, see above: authorities, database. Nothing was changed")
    monkeypatch.setenv("RDS_CA", "own.pem")
    assert "ready to deploy" in operate("preflight", "DatabaseClass=db.m7g.large")


@pytest.mark.parametrize("variable", ["AWS_REGION", "AWS_DEFAULT_REGION"])
def test_the_region_of_the_environment_counts_more_than_the_profiles(
    operate: Operate, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    assert f"region {REGION}\n" in operate("preflight")
    monkeypatch.setenv(variable, "eu-central-1")
    assert "region eu-central-1\n" in operate("preflight")
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    assert "region us-west-2\n" in operate("preflight")


def test_an_existing_database_is_not_asked_for(operate: Operate, account: Account) -> None:
    account.classes[REGION] = []
    said = operate("preflight", "DatabaseHost=db.example.com", "DatabaseSignIn=secret")
    assert "OK   database: db.example.com is an existing database" in said
    assert "OK   authorities: those of DatabaseCa or of the system" in said


def test_a_log_role_that_is_set_is_kept(operate: Operate, account: Account) -> None:
    client, role = account.client("apigateway", REGION), "arn:aws:iam::123456789012:role/logs"
    assert "OK   log role of API Gateway: none is set for the account; ApiLogRole=make" in operate("preflight")
    assert "STOP log role of API Gateway: none is set" in operate("preflight", "ApiLogRole=keep")
    client.update_account(patchOperations=[{"op": "replace", "path": "/cloudwatchRoleArn", "value": role}])
    assert f"{role} is set for the account and stays: ApiLogRole=keep" in operate("preflight")
    assert f"{role}; ApiLogRole=make" in operate("preflight", "ApiLogRole=make")
    client.update_account(patchOperations=[{"op": "replace", "path": "/cloudwatchRoleArn", "value": ""}])


def test_a_runtime_that_lambda_cannot_use_is_refused(operate: Operate) -> None:
    assert "STOP runtime: python3.11" in operate("deploy", "Runtime=python3.11")


@pytest.mark.parametrize("command", ["preflight", "deploy", "refresh", "logs", "teardown"])
def test_without_credentials_one_line_says_how_to_get_them(
    operate: Operate, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_REGION", REGION)
    monkeypatch.delenv("AWS_PROFILE")
    assert operate(command) == (
        "failed: no AWS credentials were found: sign in (aws sso login), name a profile (AWS_PROFILE),"
        " or source .local/env for the stack on this machine"
    )


def test_a_profile_or_a_region_that_is_missing_is_named(operate: Operate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "elsewhere")
    assert "The config profile (elsewhere) could not be found: correct AWS_PROFILE" in operate("refresh")
    monkeypatch.setenv("AWS_PROFILE", "nowhere")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    assert operate("refresh") == (
        "failed: no region is named: set AWS_REGION or a region in the profile,"
        " or source .local/env for the stack on this machine"
    )


def test_a_parameter_that_the_template_does_not_have_is_named(operate: Operate) -> None:
    said = operate("deploy", "Country=China", "Prefix=v/")
    assert said.endswith("failed: PARAMETERS: the template has no Country. docs/settings.md lists them")


def test_a_command_without_a_stack_says_so(operate: Operate) -> None:
    assert "there is no stack mine, account 123456789012, region eu-west-1. Is it deployed" in operate(
        "--stack", "mine", "report"
    )
    assert operate("--stack", "mine", "teardown", "--confirm", "mine").endswith("nothing to delete")


def test_a_first_deployment_that_failed_is_reported_and_torn_down(
    operate: Operate, account: Account, stacks: Callable[[], dict[str, str]]
) -> None:
    # Given a stack whose queue was refused after its bucket was made
    account.refused["Queue"] = "The queue is not allowed here"
    make_stack(account, Bucket="AWS::S3::Bucket", Queue="AWS::SQS::Queue")
    assert stacks() == {"mine": "ROLLBACK_COMPLETE"}
    # When, then: each command says what happened
    why = "mine is ROLLBACK_COMPLETE: Queue (AWS::SQS::Queue): The queue is not allowed here"
    said = operate("--stack", "mine", "preflight")
    assert f"OK   stack: {why}. make deploy deletes it and starts afresh" in said
    assert "are passed on" in said  # as for any new stack
    assert "stack mine is ROLLBACK_COMPLETE and has no output" in operate("--stack", "mine", "refresh")
    assert "repeat its name" in operate("--stack", "mine", "teardown")
    # And it goes
    said = operate("--stack", "mine", "teardown", "--confirm", "mine")
    assert f"{why}\nmine is deleted. Kept: nothing\n" in said
    assert stacks() == {}


def test_what_cannot_be_deleted_is_named_and_left_behind_at_the_second_attempt(
    operate: Operate, account: Account, stacks: Callable[[], dict[str, str]]
) -> None:
    make_stack(account, Queue="AWS::SQS::Queue", Topic="AWS::SNS::Topic")
    account.undeletable["Queue"] = "in use"
    teardown = ("--stack", "mine", "teardown", "--confirm", "mine")
    said = operate(*teardown)
    assert "failed: mine could not be deleted: Queue (AWS::SQS::Queue): in use. Remove the cause and repeat" in said
    assert stacks() == {"mine": "DELETE_FAILED"}
    said = operate(*teardown)
    assert "cannot be deleted and is left behind: Queue (AWS::SQS::Queue): in use\n" in said
    assert "; Queue (AWS::SQS::Queue mine-Queue)\n" in said
    assert stacks() == {}


def test_a_rollback_that_failed_is_torn_down_at_once(
    operate: Operate, account: Account, stacks: Callable[[], dict[str, str]]
) -> None:
    account.refused["Queue"], account.undeletable["Topic"] = "not allowed", "in use"
    make_stack(account, Topic="AWS::SNS::Topic", Queue="AWS::SQS::Queue")
    assert stacks() == {"mine": "ROLLBACK_FAILED"}
    said = operate("--stack", "mine", "teardown", "--confirm", "mine")
    assert "mine is ROLLBACK_FAILED: Queue (AWS::SQS::Queue): not allowed\n" in said
    assert "left behind: Topic (AWS::SNS::Topic): in use\n" in said
    assert stacks() == {}


def test_a_change_set_that_nobody_executed_is_not_a_stack(
    operate: Operate, account: Account, stacks: Callable[[], dict[str, str]]
) -> None:
    account.client("cloudformation", REGION).create_change_set(
        StackName="mine", ChangeSetName="first", ChangeSetType="CREATE", TemplateBody='{"Resources": {}}'
    )
    assert "OK   stack: mine does not exist yet" in operate("--stack", "mine", "preflight")
    assert "there is no stack mine" in operate("--stack", "mine", "refresh")
    assert "mine is deleted" in operate("--stack", "mine", "teardown", "--confirm", "mine")
    assert stacks() == {}


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        ("UPDATE_ROLLBACK_FAILED", f"continue-update-rollback --region {REGION} --stack-name mine"),
        ("UPDATE_IN_PROGRESS", "wait until CloudFormation is done"),
    ],
)
def test_a_stack_that_takes_no_update_is_refused_with_a_remedy(
    operate: Operate, account: Account, stacks: Callable[[], dict[str, str]], status: str, remedy: str
) -> None:
    make_stack(account, Queue="AWS::SQS::Queue")
    assert "OK   stack: mine is CREATE_COMPLETE and is updated" in operate("--stack", "mine", "preflight")
    account.set_status(REGION, "mine", status)
    said = operate("--stack", "mine", "deploy")
    assert f"STOP stack: mine is {status}" in said
    assert remedy in said


def test_on_an_emulator_that_is_stuck_only_another_one_helps(
    operate: Operate, account: Account, stacks: Callable[[], dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_stack(account, Queue="AWS::SQS::Queue")
    account.set_status(REGION, "mine", "UPDATE_ROLLBACK_FAILED")
    monkeypatch.setenv("AWS_ENDPOINT_URL", account.endpoint)
    said = operate("--stack", "mine", "preflight")
    assert "STOP stack: mine is UPDATE_ROLLBACK_FAILED" in said
    assert "make down, then make up" in said
    assert "continue-update-rollback" not in said


def test_a_protected_database_is_deleted_only_where_it_was_never_used(
    operate: Operate, account: Account, stacks: Callable[[], dict[str, str]]
) -> None:
    rds = account.client("rds", REGION)
    nested: dict[str, Any] = {
        "Type": "AWS::RDS::DBInstance",
        "Properties": {"Engine": "postgres", "DBInstanceClass": "db.t4g.micro",
                       "AllocatedStorage": 20, "MasterUsername": "owner", "MasterUserPassword": "not secret"},
    }  # fmt: skip
    s3 = account.client("s3", "us-east-1")
    s3.create_bucket(Bucket="templates")
    s3.put_object(Bucket="templates", Key="db", Body=json.dumps({"Resources": {"Instance": nested}}).encode())
    url = f"{account.endpoint}/templates/db"
    make_stack(account, Database={"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": url}})
    [instance] = rds.describe_db_instances()["DBInstances"]
    rds.modify_db_instance(DBInstanceIdentifier=instance["DBInstanceIdentifier"], DeletionProtection=True)
    teardown = ("--stack", "mine", "teardown", "--confirm", "mine")
    # A deployed one is refused
    said = operate(*teardown)
    assert f"--db-instance-identifier {instance['DBInstanceIdentifier']} --no-deletion-protection" in said
    # One of a first deployment that failed is not
    account.set_status(REGION, "mine", "ROLLBACK_FAILED")
    said = operate(*teardown)
    assert "deletion protection is off, it was never used\n" in said
    assert "mine is deleted" in said
    assert stacks() == {}
    assert rds.describe_db_instances()["DBInstances"] == []
