"""A backlog: the state machine of the template, which the emulator interprets, and the faults that it has to bear."""

import json
import os
import random
import re
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from infra.local.processes import wait_for
from tests.checkout import MINUTES
from tests.e2e.conftest import EMULATOR, PATIENCE, RunningStack
from tests.e2e.test_operations import operate
from tests.e2e.test_stack import COUNTRIES, today
from tests.support import daily, parquet, record, recount

MIB = 2**20
ITEM_BYTES = 16 * MIB  # fifteen small objects, or a part of the large one

A_PART_CANNOT_BE_WRITTEN = """
    CREATE FUNCTION voucher_customer.refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'disk full'; END $$;
    CREATE TRIGGER refuse BEFORE INSERT ON voucher_customer.partial_counts
        FOR EACH ROW WHEN (NEW.part = 0) EXECUTE FUNCTION voucher_customer.refuse()
"""

Rows = list[dict[str, Any]]


def configure(stack: RunningStack, **settings: str) -> None:
    client, name = stack.client("lambda"), stack.variables["REFRESH_FUNCTION"]
    variables = client.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    client.update_function_configuration(FunctionName=name, Environment={"Variables": {**variables, **settings}})
    client.get_waiter("function_updated_v2").wait(FunctionName=name)


@pytest.fixture(scope="module")
def small_items(stack: RunningStack) -> Iterator[RunningStack]:
    """Return the stack in a state in which everything is a backlog, and no S3 event is delivered."""
    events = stack.client("events")
    rule = stack.resource("ObjectChanged", stack.resource("Events")).rpartition("|")[2]
    events.disable_rule(Name=rule)
    configure(stack, INLINE_BYTES="0", ITEM_BYTES=str(ITEM_BYTES))
    yield stack
    configure(stack, INLINE_BYTES=str(10 * 2**30), ITEM_BYTES=str(256 * MIB))
    events.enable_rule(Name=rule)


@pytest.fixture
def backlog(small_items: RunningStack) -> Iterator[RunningStack]:
    """Return that stack, which ends without objects."""
    yield small_items
    small_items.delete_all("vouchers/backlog/")
    small_items.invoke_refresh({})
    small_items.wait_until_published({})


def some_rows(dice: random.Random, count: int) -> Rows:
    return [
        record(
            country_code=dice.choice(COUNTRIES),
            voucher_amount=dice.choice([0.0, 2640.0, 4400.0]),
            total_orders=dice.choice(["", "3.0", "9.0", "40.0"]),
        )
        for _ in range(count)
    ]


def put_large(stack: RunningStack, name: str, parts: int) -> Rows:
    """Put an object of so many parts, most of which is a column that nobody needs."""
    rows = some_rows(random.Random(name), 4000)
    padding = pa.array([os.urandom(parts * ITEM_BYTES // len(rows) + 64) for _ in rows])
    table = pa.Table.from_pylist(rows).append_column("padding", padding)
    stack.put(name, parquet(table, row_group_size=200, compression="NONE"))
    return rows


def state_machine(stack: RunningStack) -> str:
    """Return the one that counts a backlog; another runs the function for a person."""
    [found] = stack.client("cloudformation").describe_stacks(StackName="voucher-segmenter")["Stacks"]
    [arn] = [output["OutputValue"] for output in found["Outputs"] if output["OutputKey"] == "BacklogStateMachine"]
    return str(arn)


def start(stack: RunningStack) -> str:
    client = stack.client("stepfunctions")
    return str(client.start_execution(stateMachineArn=state_machine(stack), input="{}")["executionArn"])


def ended(stack: RunningStack, execution: str) -> dict[str, Any]:
    def end() -> dict[str, Any] | None:
        found: dict[str, Any] = stack.client("stepfunctions").describe_execution(executionArn=execution)
        return None if found["status"] == "RUNNING" else found

    return wait_for("its end", end, seconds=PATIENCE, every=0.2)


def executions(stack: RunningStack, status: str) -> list[str]:
    client = stack.client("stepfunctions")
    found = client.list_executions(stateMachineArn=state_machine(stack), statusFilter=status)
    return [entry["executionArn"] for entry in found["executions"]]


def kill_a_function(stack: RunningStack) -> int:
    """Kill a process that counts, as running out of memory would."""
    state = json.loads((stack.checkout / ".local" / "state.json").read_text())
    for process in Path("/proc").glob("[0-9]*"):
        try:
            session = int((process / "stat").read_text().rpartition(")")[2].split()[3])
            uses_parquet = "libparquet" in (process / "maps").read_text()
        except OSError:
            continue
        if session == state["emulator_pid"] and uses_parquet:
            os.kill(int(process.name), signal.SIGKILL)
            return int(process.name)
    raise AssertionError("no function runs")


@pytest.mark.skipif(EMULATOR != "ministack", reason="LocalStack goes on sending events of rules that are disabled")
def test_a_backlog_is_counted_while_objects_change_and_a_function_dies(backlog: RunningStack) -> None:
    # Given a first load
    dice = random.Random(7)
    rows = {f"backlog/{number:02}.parquet": some_rows(dice, 3) for number in range(100)}
    for name, of_object in rows.items():
        backlog.put(name, parquet(of_object))
    rows["backlog/large.parquet"] = put_large(backlog, "backlog/large.parquet", parts=3)
    said: list[str] = []
    operator = threading.Thread(
        target=lambda: said.append(operate(backlog, "make backfill PREFIX=vouchers/backlog/ 2>&1"))
    )
    # When it is backfilled, and objects vanish and change and a function dies while its items are counted
    operator.start()
    client = backlog.client("stepfunctions")
    [execution] = wait_for("an execution", lambda: executions(backlog, "RUNNING") or None, seconds=PATIENCE, every=0.1)
    wait_for(
        "its items",
        lambda: client.list_map_runs(executionArn=execution)["mapRuns"] or None,
        seconds=PATIENCE,
        every=0.1,
    )
    kill_a_function(backlog)
    for name in ("backlog/01.parquet", "backlog/98.parquet"):
        backlog.delete(backlog.variables["PREFIX"] + name)
        del rows[name]
    for name in ("backlog/02.parquet", "backlog/99.parquet"):
        rows[name] = some_rows(dice, 5)
        backlog.put(name, parquet(rows[name]))
    operator.join(3 * MINUTES)
    # Then the command reports all of it
    [printed] = said
    assert "101 left for the state machine, too much for one run" in printed
    assert re.search(r"items: \d+ of 10 counted; rows: [1-9][\d,]* read", printed)
    # And the table is a recount of the bucket
    everything = [row for of_object in rows.values() for row in of_object]
    ended(backlog, start(backlog))  # for what changed after the end's look, of which no event told
    assert backlog.published() == recount(everything, today(), COUNTRIES)
    assert backlog.rows("SELECT count(*) FROM voucher_customer.partial_counts") == [[0]]


def test_a_backlog_with_too_many_failures_fails_and_can_be_started_again(backlog: RunningStack) -> None:
    # Given an object of which one part in two cannot be written, and others that were counted before
    small = some_rows(random.Random(1), 10)
    backlog.put("backlog/small.parquet", parquet(small))
    ended(backlog, start(backlog))
    large = put_large(backlog, "backlog/large.parquet", parts=2)
    change(backlog, A_PART_CANNOT_BE_WRITTEN)
    try:
        # When it is tried, then the command fails, and what is counted is published
        said = operate(backlog, "make backlog AS_OF=2018-08-05", status=2)
        why = "ExceedToleratedFailureThreshold" if EMULATOR == "ministack" else "ObjectsDeferred"
        assert f"the backlog is not counted: {why}" in said.replace("States.", "")
    finally:
        change(backlog, "DROP FUNCTION voucher_customer.refuse CASCADE")
    [[as_of, left]] = backlog.rows(
        "SELECT as_of, objects_deferred FROM voucher_customer.refreshes ORDER BY refresh_id DESC LIMIT 1"
    )
    assert (str(as_of), left) == ("2018-08-05", 1)
    # When the cause is repaired and two are started, then the second leaves the work to the first
    first, second = start(backlog), start(backlog)
    assert json.loads(ended(backlog, second)["output"])["oldest"]["execution"]["ExecutionArn"] == first
    assert json.loads(ended(backlog, first)["output"])["objects_counted"] == 1
    assert backlog.published() == recount(small + large, today(), COUNTRIES)


def change(stack: RunningStack, statements: str) -> None:
    stack.rows(f"DO $do$ BEGIN {statements}; END $do$")


@pytest.mark.skipif(EMULATOR == "ministack", reason="ministack sends no results to the event bus")
def test_a_run_that_finds_a_backlog_starts_the_state_machine_by_its_result(backlog: RunningStack) -> None:
    rows = some_rows(random.Random(3), 20)
    backlog.put("backlog/a.parquet", parquet(rows))
    backlog.send(daily(str(today())))
    backlog.wait_until_published(recount(rows, today(), COUNTRIES))
    [[kind]] = backlog.rows("SELECT trigger FROM voucher_customer.refreshes ORDER BY refresh_id DESC LIMIT 1")
    assert kind == "backlog"
