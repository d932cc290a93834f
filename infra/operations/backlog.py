"""Have a backlog counted by the stack's state machine, and follow it."""

import json
import time
from typing import Any

from infra.operations.deployed import Deployed, OperationError
from infra.progress import Progress

_SECONDS_BETWEEN_LOOKS = 2
_MOST_OTHERS = 10


def count_backlog(stack: Deployed, event: dict[str, Any]) -> dict[str, Any]:
    """Start the state machine, print how it gets on, and return the summary of its publication.

    While another execution runs, a new one ends at once; then this waits for the other and starts again.

    Parameters
    ----------
    stack : Deployed
        The stack.
    event : dict
        What the refresh function would be invoked with.

    Raises
    ------
    OperationError
        When not everything was counted; the message says what is left.
    """
    client, machine = stack.client("stepfunctions"), stack.output("BacklogStateMachine")
    for _ in range(_MOST_OTHERS):
        started = client.start_execution(stateMachineArn=machine, input=json.dumps(event))["executionArn"]
        print(f"counting the backlog: {started}", flush=True)
        ended = _follow(client, started)
        if ended["status"] != "SUCCEEDED":
            raise OperationError(f"the backlog is not counted: {ended.get('error')}: {ended.get('cause')}")
        output: dict[str, Any] = json.loads(ended["output"])
        if "oldest" not in output:
            return output
        other = output["oldest"]["execution"]["ExecutionArn"]
        print(f"another execution is at work, waiting for its end: {other}", flush=True)
        _follow(client, other)
    raise OperationError("others were at work all the time: try again later")


def _follow(client: Any, execution: str) -> dict[str, Any]:
    """Show the progress of an execution, and return its description when it has ended."""
    with Progress(f"follow {execution}") as progress:
        while True:
            # First, because LocalStack cannot list the map runs of an execution that has just started.
            time.sleep(_SECONDS_BETWEEN_LOOKS)
            found: dict[str, Any] = client.describe_execution(executionArn=execution)
            progress.show(_progress(client, execution))
            if found["status"] != "RUNNING":
                return found


def _progress(client: Any, execution: str) -> str:
    """Say how far the items of the latest plan are."""
    runs = client.list_map_runs(executionArn=execution)["mapRuns"]
    if not runs:
        return ""
    latest = max(runs, key=lambda run: run["startDate"])
    counts = client.describe_map_run(mapRunArn=latest["mapRunArn"])["itemCounts"]
    failed = f", {counts['failed']} failed" if counts["failed"] else ""
    return f"items: {counts['succeeded']} of {counts['total']} counted{failed}"
