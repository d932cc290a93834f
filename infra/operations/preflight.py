"""Checks of account and region before anything is built. They change nothing."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple

from infra.checks.transform import NESTED, TEMPLATE, read_template
from infra.operations.deployed import Deployed, OperationError
from infra.operations.teardown import ONLY_DELETABLE, why_it_failed
from infra.packaging.authorities import REGIONS

# AWS keeps this many executions unreserved: docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html
_UNRESERVED_AT_LEAST = 100

_RESERVATIONS = {"RefreshConcurrency": 5, "LookupConcurrency": 40}
"""What a new stack reserves where the account allows it."""


class Finding(NamedTuple):
    """What a check found.

    Attributes
    ----------
    text : str
        What the check found.
    remedy : str
        What to do before a deployment; empty if nothing has to be done.
    parameters : dict of str to str
        Parameters that the deployment is to be given.
    """

    text: str
    remedy: str = ""
    parameters: Mapping[str, str] = {}


class Deployment(NamedTuple):
    """The deployment that is checked.

    Attributes
    ----------
    stack : Deployed
        The stack, which need not exist yet.
    given : mapping of str to str
        Parameters that a person names.
    known : mapping of str to str
        All parameters: those named, then what the stack has, then the template's defaults.
    rds_ca : str
        The user's own file of certificate authorities; empty for Amazon's.
    """

    stack: Deployed
    given: Mapping[str, str]
    known: Mapping[str, str]
    rds_ca: str

    @property
    def is_new(self) -> bool:
        """Whether the stack will be made, not updated."""
        return not self.stack.exists or self.stack.status in ONLY_DELETABLE

    @property
    def makes_database(self) -> bool:
        """Whether the stack has a database of its own."""
        return not self.known["DatabaseHost"]


def planned(stack: Deployed, given: Mapping[str, str], rds_ca: str) -> Deployment:
    """Return the deployment that these parameters ask for.

    Raises
    ------
    OperationError
        When the template has no such parameter: SAM would ignore it.
    """
    if unknown := sorted(given.keys() - _defaults().keys()):
        raise OperationError(f"PARAMETERS: the template has no {', '.join(unknown)}. docs/settings.md lists them")
    is_there = stack.exists and stack.status not in ONLY_DELETABLE
    return Deployment(stack, given, {**_defaults(), **(stack.parameters if is_there else {}), **given}, rds_ca)


def preflight(plan: Deployment) -> dict[str, str]:
    """Check account and region, print what each check found, and return the parameters that they ask for.

    Raises
    ------
    OperationError
        When something has to be corrected first.
    """
    checks = {"credentials": _credentials, "stack": _state}
    if plan.stack.endpoint is None:  # an emulator has no limits
        checks |= _OF_AWS
    wrong: list[str] = []
    parameters: dict[str, str] = {}
    for name, check in checks.items():
        found = check(plan)
        print(f"{'STOP' if found.remedy else 'OK':4} {name}: {found.text}", flush=True)
        if found.remedy:
            print(f"     {found.remedy}", flush=True)
            wrong.append(name)
        parameters |= found.parameters
    if wrong:
        raise OperationError(f"not ready to deploy, see above: {', '.join(wrong)}. Nothing was changed")
    return parameters


def _credentials(plan: Deployment) -> Finding:
    return Finding(plan.stack.caller["Arn"])


def _state(plan: Deployment) -> Finding:
    name, status = plan.stack.name, plan.stack.status
    if not plan.stack.exists:
        return Finding(f"{name} does not exist yet")
    if status in ONLY_DELETABLE:
        return Finding(f"{name} is {status}: {why_it_failed(plan.stack)}. make deploy deletes it and starts afresh")
    if status.endswith("_IN_PROGRESS"):
        return Finding(f"{name} is {status}", "wait until CloudFormation is done")
    if status == "UPDATE_ROLLBACK_FAILED":
        go_on = f"aws cloudformation continue-update-rollback --region {plan.stack.region} --stack-name {name}"
        return Finding(
            f"{name} is {status}, in which CloudFormation takes no update",
            "on an emulator nothing leads out of that: make down, then make up" if plan.stack.endpoint else go_on,
        )
    commit = plan.stack.parameters.get("Commit")
    return Finding(f"{name} is {status} and is updated" + (f", so far of commit {commit}" if commit else ""))


def _runtime(plan: Deployment) -> Finding:
    runtime = plan.known["Runtime"]
    if runtime == "python3.11":
        return Finding(
            "python3.11 on Lambda has a C library older than the packages need",
            "PARAMETERS=Runtime=python3.13, or a newer one",
        )
    return Finding(runtime)


def _authorities(plan: Deployment) -> Finding:
    region = plan.stack.region
    if plan.rds_ca:
        return Finding(f"RDS_CA names {plan.rds_ca}")
    if plan.known["DatabaseSignIn"] != "iam" or plan.known["DatabaseCa"]:
        return Finding("those of DatabaseCa or of the system")
    if region not in REGIONS:
        return Finding(
            f"the package has none for RDS in {region}: every connection to the database would fail",
            f"download https://truststore.pki.rds.amazonaws.com/{region}/{region}-bundle.pem and name the file in"
            " RDS_CA, or deploy to another region",
        )
    return Finding(f"the package has those of RDS in {region}")


def _database(plan: Deployment) -> Finding:
    if not plan.makes_database:
        return Finding(f"{plan.known['DatabaseHost']} is an existing database")
    wanted, region = plan.known["DatabaseClass"], plan.stack.region
    engine, version = _engine()
    pages = plan.stack.client("rds").get_paginator("describe_orderable_db_instance_options")
    offered = [
        option["EngineVersion"]
        for page in pages.paginate(Engine=engine, DBInstanceClass=wanted)
        for option in page["OrderableDBInstanceOptions"]
        if option["DBInstanceClass"] == wanted and option["EngineVersion"].partition(".")[0] == version
    ]
    if not offered:
        return Finding(
            f"{region} does not offer {engine} {version} on {wanted}",
            "PARAMETERS=DatabaseClass=... names another: aws rds describe-orderable-db-instance-options"
            f" --region {region} --engine {engine}"
            " --query 'OrderableDBInstanceOptions[].[EngineVersion,DBInstanceClass]'",
        )
    return Finding(f"{region} offers {engine} {version} on {wanted}")


@cache
def _defaults() -> dict[str, str]:
    return {name: str(entry["Default"]) for name, entry in read_template(TEMPLATE)["Parameters"].items()}


@cache
def _engine() -> tuple[str, str]:
    """Return engine and major version of the database that the stack makes."""
    [template] = [path for path in NESTED if path.stem == "database"]
    resources: dict[str, Any] = read_template(template)["Resources"]
    [instance] = [entry for entry in resources.values() if entry["Type"] == "AWS::RDS::DBInstance"]
    return instance["Properties"]["Engine"], instance["Properties"]["EngineVersion"].partition(".")[0]


def _concurrency(plan: Deployment) -> Finding:
    limit = plan.stack.client("lambda").get_account_settings()["AccountLimit"]
    most, free = limit["ConcurrentExecutions"], limit["UnreservedConcurrentExecutions"] - _UNRESERVED_AT_LEAST
    if not plan.is_new:  # what the stack has reserved is its own
        free += sum(int(plan.stack.parameters.get(name, 0)) for name in _RESERVATIONS)
    asked = {name: int(plan.known[name]) for name in _RESERVATIONS}
    text = f"the account runs {most} functions at once and lets {max(free, 0)} be reserved"
    if plan.is_new and not any(name in plan.given for name in _RESERVATIONS) and free >= sum(_RESERVATIONS.values()):
        chosen = {name: str(value) for name, value in _RESERVATIONS.items()}
        return Finding(f"{text}; {_listed(chosen)} are passed on", parameters=chosen)
    if sum(asked.values()) > max(free, 0):
        return Finding(
            f"{text}, fewer than {_listed(asked)}",
            "PARAMETERS='RefreshConcurrency=0 LookupConcurrency=0' reserves none; Service Quotas raises the limit",
        )
    return Finding(f"{text}; {_listed(asked)}")


def _listed(parameters: Mapping[str, object]) -> str:
    return " ".join(f"{name}={value}" for name, value in parameters.items())


def _log_role(plan: Deployment) -> Finding:
    role = plan.stack.client("apigateway").get_account().get("cloudwatchRoleArn")
    if plan.is_new and role and "ApiLogRole" not in plan.given:
        return Finding(f"{role} is set for the account and stays: ApiLogRole=keep", parameters={"ApiLogRole": "keep"})
    if plan.known["ApiLogRole"] == "keep" and not role:
        return Finding("none is set for the account, so access logs would fail", "PARAMETERS=ApiLogRole=make makes one")
    return Finding(f"{role or 'none is set for the account'}; ApiLogRole={plan.known['ApiLogRole']}")


_OF_AWS: dict[str, Callable[[Deployment], Finding]] = {
    "runtime": _runtime,
    "authorities": _authorities,
    "database": _database,
    "concurrency": _concurrency,
    "log role of API Gateway": _log_role,
}
