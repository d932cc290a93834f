"""Count a backlog by the stack's state machine, and follow it."""

import json
import time
from collections.abc import Iterable
from typing import Any

from botocore.exceptions import ClientError

from infra.operations.deployed import Deployed, OperationError
from infra.progress import Progress

_SECONDS_BETWEEN_LOOKS = 2
_MOST_OTHERS = 10

# How much later than its time a line of log may appear.
_LOG_DELAY_SECONDS = 60

_COUNTED = "took step count"


def count_backlog(stack: Deployed, event: dict[str, Any]) -> dict[str, Any]:
    """Start the state machine, print its progress, and return the summary of its publication.

    While another execution runs, a new one ends at once; then this waits for the end of the other and starts again.

    Parameters
    ----------
    stack : Deployed
        The stack.
    event : dict
        The event of the refresh, as the refresh function takes it.

    Raises
    ------
    OperationError
        When not everything was counted; the message says what is left.
    """
    client, machine = stack.client("stepfunctions"), stack.output("BacklogStateMachine")
    for _ in range(_MOST_OTHERS):
        started = client.start_execution(stateMachineArn=machine, input=json.dumps(event))["executionArn"]
        print(f"counting the backlog: {started}", flush=True)
        ended = _follow(stack, started)
        if ended["status"] != "SUCCEEDED":
            raise OperationError(f"the backlog is not counted: {ended.get('error')}: {ended.get('cause')}")
        output: dict[str, Any] = json.loads(ended["output"])
        if "oldest" not in output:
            return output
        other = output["oldest"]["execution"]["ExecutionArn"]
        print(f"another execution is at work, waiting for its end: {other}", flush=True)
        _follow(stack, other)
    raise OperationError("other executions ran all the time: try again later")


def _follow(stack: Deployed, execution: str) -> dict[str, Any]:
    """Show the progress of an execution, and return its description when it has ended."""
    client = stack.client("stepfunctions")
    rows: dict[str, int] = {}
    since: float | None = None
    with Progress(f"follow {execution}") as progress:
        while True:
            # First, because LocalStack cannot list the map runs of an execution that has just started.
            time.sleep(_SECONDS_BETWEEN_LOOKS)
            looked = time.time()
            found: dict[str, Any] = client.describe_execution(executionArn=execution)
            rows_read = read_rows(stack, since or found["startDate"].timestamp(), rows)
            since = looked - _LOG_DELAY_SECONDS
            if items := _items(client, execution):
                progress.show(f"{items}; {rows_read}")
            if found["status"] != "RUNNING":
                return found


def read_rows(stack: Deployed, since: float, rows: dict[str, int]) -> str:
    """Add the rows in the log since a moment to those of each invocation, and return a text with their sum.

    If the log cannot be read, the text says why: the execution goes on without it.
    """
    try:
        rows.update(rows_of_items(line for _, _, line in stack.log_events(since, ["refresh"])))
    except ClientError as error:
        return f"rows: the refresh function's log cannot be read ({error.response['Error']['Code']})"
    return f"rows: {sum(rows.values()):,} read"


def rows_of_items(lines: Iterable[str]) -> dict[str, int]:
    """Return how many rows each invocation read that counted a work item, from the refresh function's log.

    Returns
    -------
    dict of str to int
        Rows by the invocation's id, so that a line may be read twice.
    """
    rows = {}
    for line in lines:
        if _COUNTED in line and line.startswith("{"):
            entry = json.loads(line)
            rows[entry["function_request_id"]] = entry["summary"]["rows_read"]
    return rows


def _items(client: Any, execution: str) -> str:
    """Return how many items of the latest plan are counted, in words; empty before the first plan."""
    runs = client.list_map_runs(executionArn=execution)["mapRuns"]
    if not runs:
        return ""
    latest = max(runs, key=lambda run: run["startDate"])
    counts = client.describe_map_run(mapRunArn=latest["mapRunArn"])["itemCounts"]
    failed = f", {counts['failed']} failed" if counts["failed"] else ""
    return f"items: {counts['succeeded']} of {counts['total']} counted{failed}"
