"""Deleting a stack, whatever state it is in, and naming what stays."""

from typing import Any

from botocore.exceptions import ClientError, WaiterError

from infra.operations.deployed import Deployed, OperationError

NEVER_MADE = ("CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED")
"""Statuses of a stack whose first deployment failed: it never held data, and CloudFormation cannot update it."""

ONLY_DELETABLE = (*NEVER_MADE, "DELETE_FAILED")
"""Statuses from which only a deletion helps."""

# An earlier deletion failed. What fails again is left behind, or the stack would stay for ever.
_TRIED_BEFORE = ("ROLLBACK_FAILED", "DELETE_FAILED")

# What the template retains, for people.
_RETAINED = {
    "VoucherBucket": "the bucket {}",
    "ApiLogRoleOfAccount": "the role {}, with which API Gateway writes the logs of the whole account and region",
}


def teardown(stack: Deployed, confirmed: str) -> None:
    """Delete the stack and name what stays.

    Raises
    ------
    OperationError
        When there is no stack, its name was not repeated, its database is protected, or CloudFormation cannot
        delete it.
    """
    if not stack.status:
        raise OperationError(f"there is no {stack.place}: nothing to delete")
    if confirmed != stack.name:
        raise OperationError(
            f"this deletes {stack.place} for good: repeat its name, make teardown CONFIRM={stack.name}"
        )
    if stack.status in ONLY_DELETABLE:
        print(f"{stack.name} is {stack.status}: {why_it_failed(stack)}", flush=True)
    kept = delete(stack)
    print(f"{stack.name} is deleted. Kept: {'; '.join(kept) or 'nothing'}")


def delete(stack: Deployed) -> list[str]:
    """Delete the stack, wait for the end, and return what stays, for people.

    Raises
    ------
    OperationError
        When its database is protected, or CloudFormation cannot delete it.
    """
    _unprotect(stack)
    kept = _kept(stack)
    failed = _try_to_delete(stack)
    if failed and stack.status in _TRIED_BEFORE:
        print(f"cannot be deleted and is left behind: {_in_words(failed)}", flush=True)
        kept += [f"{name} ({kind} {identity})" for name, kind, identity, _ in failed]
        failed = _try_to_delete(stack, [name for name, *_ in failed])
    if failed:
        raise OperationError(
            f"{stack.name} could not be deleted: {_in_words(failed)}. Remove the cause and repeat the command;"
            " what still cannot be deleted then is left behind"
        )
    return kept


def why_it_failed(stack: Deployed, identity: str = "", status: str = "") -> str:
    """Return the first failure of the stack's last operation and its reason, out of a nested stack if it is there."""
    status = status or ("DELETE_FAILED" if stack.status == "DELETE_FAILED" else "CREATE_FAILED")
    failures = [event for event in _last_events(stack, identity or stack.name) if event["ResourceStatus"] == status]
    reasons = [event for event in failures if "cancelled" not in event.get("ResourceStatusReason", "")]
    if not reasons:
        return "its events give no reason"
    first = reasons[-1]
    nested = first["ResourceType"] == "AWS::CloudFormation::Stack" and first.get("PhysicalResourceId")
    if nested and nested != first["StackId"]:
        return f"{first['LogicalResourceId']}: {why_it_failed(stack, nested, status)}"
    return f"{first['LogicalResourceId']} ({first['ResourceType']}): {first.get('ResourceStatusReason', 'no reason')}"


def _last_events(stack: Deployed, identity: str) -> list[dict[str, Any]]:
    """Return the events of the stack's resources, the latest first, back to the beginning of the last operation."""
    events: list[dict[str, Any]] = []
    for page in stack.client("cloudformation").get_paginator("describe_stack_events").paginate(StackName=identity):
        for event in page["StackEvents"]:
            is_of_stack = event.get("PhysicalResourceId") == event["StackId"]
            if is_of_stack and event["ResourceStatus"] in ("CREATE_IN_PROGRESS", "DELETE_IN_PROGRESS"):
                return events
            if not is_of_stack:
                events.append(event)
    return events


def _resources(stack: Deployed, identity: str) -> list[dict[str, Any]]:
    """Return what the stack is made of; empty when it is gone."""
    try:
        found = stack.client("cloudformation").describe_stack_resources(StackName=identity)
    except ClientError as error:
        if "does not exist" in str(error):
            return []
        raise
    return [entry for entry in found["StackResources"] if entry["ResourceStatus"] != "DELETE_COMPLETE"]


def _unprotect(stack: Deployed) -> None:
    """Switch deletion protection off if the database never held data; refuse otherwise."""
    nested = [entry for entry in _resources(stack, stack.name) if entry["LogicalResourceId"] == "Database"]
    parts = [part for entry in nested for part in _resources(stack, entry["PhysicalResourceId"])]
    for part in parts:
        if part["ResourceType"] != "AWS::RDS::DBInstance":
            continue
        rds, instance = stack.client("rds"), part["PhysicalResourceId"]
        [found] = rds.describe_db_instances(DBInstanceIdentifier=instance)["DBInstances"]
        if not found["DeletionProtection"]:
            continue
        if stack.status not in NEVER_MADE:
            raise OperationError(
                f"the database refuses to be deleted. First: aws rds modify-db-instance --region {stack.region}"
                f" --db-instance-identifier {instance} --no-deletion-protection --apply-immediately"
            )
        rds.modify_db_instance(DBInstanceIdentifier=instance, DeletionProtection=False, ApplyImmediately=True)
        print(f"database {instance}: deletion protection is off, it was never used", flush=True)


def _kept(stack: Deployed) -> list[str]:
    """Return what a deletion leaves, for people."""
    resources = {entry["LogicalResourceId"]: entry for entry in _resources(stack, stack.name)}
    kept = [text.format(resources[name]["PhysicalResourceId"]) for name, text in _RETAINED.items() if name in resources]
    if stack.status in NEVER_MADE:
        return kept
    if stack.parameters.get("DatabaseHost"):
        kept.append("the schema voucher_customer in your database")
    elif "Database" in resources:
        kept.append("a last snapshot of the database (aws rds describe-db-snapshots)")
    if stack.endpoint is None:
        kept.append("the bucket with SAM's packages (stack aws-sam-cli-managed-default), which other stacks share")
    return kept


def _try_to_delete(stack: Deployed, retained: list[str] | None = None) -> list[tuple[str, str, str, str]]:
    """Delete the stack; return name, type, id and reason of each resource that could not be deleted."""
    client, identity = stack.client("cloudformation"), stack.description["StackId"]
    client.delete_stack(StackName=identity, **({"RetainResources": retained} if retained else {}))
    try:
        # AWS takes up to 40 minutes to release the network interfaces of functions in a VPC.
        client.get_waiter("stack_delete_complete").wait(
            StackName=identity, WaiterConfig={"Delay": 5, "MaxAttempts": 720}
        )
    except WaiterError as error:
        failed = [event for event in _last_events(stack, identity) if event["ResourceStatus"] == "DELETE_FAILED"]
        if not failed:
            raise OperationError(f"{stack.name} is not deleted: {error}; see its events in CloudFormation") from error
        return [
            (
                event["LogicalResourceId"],
                event["ResourceType"],
                event.get("PhysicalResourceId", ""),
                event.get("ResourceStatusReason", "no reason"),
            )
            for event in failed
        ]
    return []


def _in_words(failed: list[tuple[str, str, str, str]]) -> str:
    return "; ".join(f"{name} ({kind}): {reason}" for name, kind, _, reason in failed)
