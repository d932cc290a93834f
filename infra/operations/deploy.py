"""Build and deploy the stack with the SAM command line."""

import os
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from infra import ROOT
from infra.operations.commands import migrate
from infra.operations.deployed import NOT_MADE, Deployed, OperationError
from infra.operations.preflight import planned, preflight
from infra.operations.teardown import ONLY_DELETABLE, delete, why_it_failed
from infra.packaging.build import LAMBDA_SYSTEM
from infra.packaging.errors import BuildError
from infra.packaging.sam import parameter_override, sam_command, sam_environment
from infra.packaging.template import packaged_template


def check(stack: Deployed, given: Mapping[str, str]) -> None:
    """Run the checks of a deployment, and nothing else.

    Raises
    ------
    OperationError
        When something has to be corrected first.
    """
    preflight(planned(stack, given, os.environ.get("RDS_CA", "")))
    print("ready to deploy: make deploy. What only an account can settle: docs/aws-unproven.md")


def deploy(stack: Deployed, given: Mapping[str, str]) -> None:
    """Check account and region, build the functions, deploy the template, bring the schema up to date.

    Parameters
    ----------
    stack : Deployed
        The stack; it need not exist yet. Remains of a failed first deployment are deleted.
    given : mapping of str to str
        Parameters to change; the others keep the values that they have.

    Raises
    ------
    OperationError
        When a step fails, nobody confirmed the change set, or the emulator cannot update a stack.
    """
    if stack.exists and _is_localstack(stack.endpoint):
        raise OperationError(
            "LocalStack cannot change the API of a stack that exists:"
            " run make down and make up-localstack, or name another stack with STACK=name"
        )
    plan = planned(stack, given, os.environ.get("RDS_CA", ""))
    parameters = {**preflight(plan), "Commit": _commit(), **given}
    if parameters["Commit"].endswith("-dirty"):
        print("deploying changes that are not committed: nobody else can deploy them again, or go back to them")
    if stack.status in ONLY_DELETABLE:
        print(f"deleting what is left of {stack.name}, with its parameters", flush=True)
        kept = delete(stack)
        print(f"deleted. Kept: {'; '.join(kept) or 'nothing'}", flush=True)
        stack = stack.asked_again()
    overrides = [parameter_override(name, value) for name, value in parameters.items()]
    options = ["--stack-name", stack.name, "--parameter-overrides", *overrides]
    is_update, before = stack.exists, _latest_event(stack)
    runtime, architecture = plan.known["Runtime"], plan.known["Architecture"]
    if stack.endpoint:
        _deploy_archives(stack.endpoint, options, runtime, architecture)
    else:
        # SAM does not pass parameters to the build.
        environment = sam_environment(os.environ, on_emulator=False, RUNTIME=runtime, ARCHITECTURE=architecture)
        _sam("build", environment, on_emulator=False)
        _sam("deploy", environment, *options, on_emulator=False)
    deployed = stack.asked_again()
    _check_deployed(deployed, before)
    migrate(deployed)
    not_there = " (on an emulator, nothing answers at the ApiUrl above)" if stack.endpoint else ""
    print(f"deployed; the API answers at {deployed.api_url}{not_there}")
    if is_update:
        print("the next run publishes by the new parameters and segments; make refresh does it now")


def _commit() -> str:
    """Return the commit of the checkout, with -dirty if files differ from it; empty without git."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
            cwd=ROOT, check=True, capture_output=True, text=True,
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


def _deploy_archives(endpoint: str, options: Sequence[str], runtime: str, architecture: str) -> None:
    """Deploy to an emulator the archives that `make up` deploys: they are built only if something changed."""
    system = LAMBDA_SYSTEM if _is_localstack(endpoint) else sys.platform  # ministack runs functions on this machine's
    try:
        template = packaged_template(runtime=runtime, architecture=architecture, system=system)
    except BuildError as error:
        raise OperationError(str(error)) from error
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "template.yaml")
        path.write_text(template)
        environment = sam_environment(os.environ, on_emulator=True)
        _sam("deploy", environment, "--template-file", str(path), *options, on_emulator=True)


def _latest_event(stack: Deployed) -> str:
    """Return the id of the latest event of the stack: only what changes the stack makes one."""
    if not stack.exists:
        return ""
    events: list[Any] = stack.client("cloudformation").describe_stack_events(StackName=stack.name)["StackEvents"]
    return str(events[0]["EventId"])


def _check_deployed(stack: Deployed, before: str) -> None:
    """Check the stack itself: SAM exits with 0 even if somebody declines the change set."""
    if stack.status in NOT_MADE or _latest_event(stack) == before:
        raise OperationError(f"nothing was deployed: the change set of {stack.name} was not confirmed")
    if not stack.status.endswith("_COMPLETE") or "ROLLBACK" in stack.status:
        raise OperationError(f"{stack.name} is {stack.status}: {why_it_failed(stack)}")


def _is_localstack(endpoint: str | None) -> bool:
    # Ministack answers on LocalStack's path too.
    return (
        bool(endpoint) and _answers(f"{endpoint}/_localstack/health") and not _answers(f"{endpoint}/_ministack/health")
    )


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=10):
            return True
    except OSError:
        return False


def _sam(name: str, environment: Mapping[str, str], *options: str, on_emulator: bool) -> None:
    command = sam_command(name, *options, on_emulator=on_emulator)
    with tempfile.TemporaryDirectory() as temporary:  # SAM leaves folders behind
        done = subprocess.run(command, cwd=ROOT, env={**environment, "TMPDIR": temporary}, check=False)
    if done.returncode != 0:
        raise OperationError(f"sam {name} ended with status {done.returncode}; its output above says why")
