"""`make deploy` and `make teardown` with the SAM command line, against moto's CloudFormation."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.checkout import copy_checkout, run
from tests.functional.account import Account, serving_account

pytestmark = pytest.mark.filterwarnings("ignore:Tried to parse")

HOME, ABROAD = "eu-west-1", "eu-central-1"
NAME = "voucher-segmenter"
WHY = f"{NAME} is ROLLBACK_COMPLETE: LookupFunction (AWS::Lambda::Function): The function is not allowed here"


@pytest.fixture(scope="module")
def account() -> Iterator[Account]:
    with pytest.MonkeyPatch.context() as patch, serving_account(patch) as served:
        yield served


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the checkout, with packages of one line: what is in them makes no difference to a deployment."""
    copy = copy_checkout(tmp_path_factory.mktemp("checkout"))
    for folder, functions in (
        ("functions", ("RefreshFunction", "MigrateFunction")),
        ("chalice_app", ("LookupFunction",)),
    ):
        targets = [f"build-{function}:\n\techo 'x = 1' > $(ARTIFACTS_DIR)/x.py\n" for function in functions]
        (copy / folder / "Makefile").write_text("".join(targets))
    return copy


def operate(account: Account, checkout: Path, command: str, typed: str = "", status: int = 0) -> str:
    """Run a command with the profile of one region and AWS_REGION set to another; return all that it printed."""
    config = checkout / "config"
    config.write_text(
        f"[profile home]\nregion = {HOME}\nendpoint_url = {account.endpoint}\n"
        "aws_access_key_id = testing\naws_secret_access_key = testing\n"
    )
    done = run(
        command, checkout, typed=typed, status=status,
        AWS_CONFIG_FILE=str(config), AWS_PROFILE="home", AWS_REGION=ABROAD, AWS_EC2_METADATA_DISABLED="true",
        SAM_CLI_POLL_DELAY="0.2",
    )  # fmt: skip
    return done.stdout + done.stderr


def stacks(account: Account, region: str) -> dict[str, str]:
    found = account.client("cloudformation", region).describe_stacks()["Stacks"]
    return {stack["StackName"]: stack["StackStatus"] for stack in found}


def test_a_stack_is_deployed_after_a_first_attempt_that_failed_and_torn_down(account: Account, checkout: Path) -> None:
    # Given an account with room that refuses one function, half-way through the first deployment
    account.refused["LookupFunction"] = "The function is not allowed here"
    said = operate(account, checkout, "make deploy", "y\n", status=2)
    assert said.startswith(f"stack {NAME}, account 123456789012, region {ABROAD}\n")
    assert "sam deploy ended with status 1" in said
    assert stacks(account, ABROAD)[NAME] == "ROLLBACK_COMPLETE"
    assert [name for name in buckets(account) if NAME in name] == []

    # When it is deployed again with the cause removed, of a commit, then the remains go first
    author = "-c user.name=A -c user.email=a@example.com"
    run(f"git init --quiet && git add README.md && git {author} commit --quiet --message Begin", checkout)
    commit = run("git rev-parse --short=12 HEAD", checkout).stdout.strip()
    account.refused.clear()
    said = operate(account, checkout, "make deploy", "y\n")
    assert f"OK   stack: {WHY}. make deploy deletes it" in said
    assert f"deleting what is left of {NAME}" in said
    assert "schema migrated" in said
    assert "deployed; the API answers at https://" in said
    assert stacks(account, ABROAD)[NAME] == "CREATE_COMPLETE"
    functions = account.client("lambda", ABROAD)
    reserved = [
        functions.get_function_concurrency(FunctionName=found["FunctionName"]).get("ReservedConcurrentExecutions")
        for found in functions.list_functions()["Functions"]
    ]
    assert sorted(filter(None, reserved)) == [5, 40]
    # And the refresh and the lookup know the commit
    configured = [found.get("Environment", {"Variables": {}}) for found in functions.list_functions()["Functions"]]
    assert [found["Variables"]["COMMIT"] for found in configured if "COMMIT" in found["Variables"]] == [commit, commit]

    # And a change set that is declined is reported as such
    said = operate(account, checkout, "make deploy PARAMETERS=Countries=China", "n\n", status=2)
    assert f"OK   stack: {NAME} is CREATE_COMPLETE and is updated, so far of commit {commit}\n" in said
    assert "not committed" not in said
    # Nor are changes that nobody else has deployed without a word
    (checkout / "README.md").write_text("changed\n")
    said = operate(account, checkout, "make deploy", "n\n", status=2)
    assert "deploying changes that are not committed: nobody else can deploy them again" in said
    assert f"{commit}-dirty" in said
    assert f"failed: nothing was deployed: the change set of {NAME} was not confirmed" in said

    # And teardown names what stays, all in the region of AWS_REGION
    [bucket] = [name for name in buckets(account) if NAME in name]
    said = operate(account, checkout, f"make teardown CONFIRM={NAME}")
    assert f"{NAME} is deleted. Kept: the bucket {bucket}; the role {NAME}-ApiLogRoleOfAccount" in said
    assert "; a last snapshot of the database" in said
    assert "; the bucket with SAM's packages" in said
    assert list(stacks(account, ABROAD)) == ["aws-sam-cli-managed-default"]
    assert bucket in buckets(account)
    assert stacks(account, HOME) == {}


def buckets(account: Account) -> list[str]:
    return [bucket["Name"] for bucket in account.client("s3", ABROAD).list_buckets()["Buckets"]]


def test_a_first_change_set_that_is_declined_makes_no_stack(account: Account, checkout: Path) -> None:
    said = operate(account, checkout, "make deploy STACK=declined", "n\n", status=2)
    assert "failed: nothing was deployed: the change set of declined was not confirmed" in said
    assert stacks(account, ABROAD)["declined"] == "REVIEW_IN_PROGRESS"
    assert "there is no stack declined" in operate(account, checkout, "make refresh STACK=declined", status=2)
    operate(account, checkout, "make teardown STACK=declined CONFIRM=declined")
    assert "declined" not in stacks(account, ABROAD)


def test_sam_deploys_the_defaults_by_hand(account: Account, checkout: Path) -> None:
    sam = ".local/tools/sam/bin/sam"
    operate(account, checkout, f"export AWS_DEFAULT_REGION={HOME}; {sam} build && {sam} deploy", "y\n")
    assert stacks(account, HOME)[NAME] == "CREATE_COMPLETE"
