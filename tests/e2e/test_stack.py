"""The deployed stack: from an S3 drop to an answer over HTTP, through the emulator and the built packages."""

import json
import subprocess
import urllib.error
import urllib.request
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from infra.local.postgres import read_address
from infra.local.processes import wait_for
from tests.checkout import clean_environment
from tests.e2e.conftest import EMULATOR, PATIENCE, RunningStack
from tests.support import ROOT, parquet, record, recount

COUNTRIES = ["Peru", "China", "Australia", "Latvia"]


def today() -> date:
    return datetime.now(UTC).date()


def ask(stack: RunningStack, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """Send a request through the emulated API Gateway."""
    request = urllib.request.Request(
        stack.variables["API_URL"] + path,
        data=None if body is None else json.dumps(body).encode(),
        method=method,
        headers={"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def wait_for_answer(stack: RunningStack, method: str, customer: dict[str, Any], expected: tuple[int, Any]) -> None:
    """Ask until the API has seen the publication, which it looks for every few seconds."""
    wait_for(
        f"the answer {expected}",
        lambda: ask(stack, method, "/voucher_amount", customer) == expected or None,
        seconds=PATIENCE,
        every=0.5,
    )


def test_puts_overwrites_and_deletes_change_the_table_and_the_answers(stack: RunningStack) -> None:
    first = [record(), record(country_code="Latvia", total_orders="40.0"), record(total_orders="")]
    second = [record(voucher_amount=4400.0)] * 4
    # In containers LocalStack's events have such keys url-encoded.
    name = "abc.parquet" if EMULATOR == "containers" else "a b+c.parquet"
    key = stack.put(name, parquet(first))
    stack.wait_until_published(recount(first, today(), COUNTRIES))
    stack.put("second.parquet.gzip", parquet(second, compression="gzip"))
    stack.wait_until_published(recount(first + second, today(), COUNTRIES))
    customer = {"country_code": "Peru", "segment_name": "recency_segment", "last_order_ts": "2019-05-03"}
    wait_for_answer(stack, "GET", customer, (200, '{"voucher_amount":[4400.0]}'))

    changed = [record()] * 9
    stack.put(name, parquet(changed))
    stack.wait_until_published(recount(changed + second, today(), COUNTRIES))
    wait_for_answer(stack, "POST", customer, (200, '{"voucher_amount":[2640.0]}'))

    stack.delete(key)
    stack.wait_until_published(recount(second, today(), COUNTRIES))
    stack.delete("vouchers/second.parquet.gzip")
    stack.wait_until_published({})
    nothing = {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "no voucher was used in recency_segment 180+",
        "reason": "no_voucher",
    }
    wait_for_answer(stack, "POST", customer, (404, nothing))


def test_the_api_answers_on_every_route(stack: RunningStack) -> None:
    assert ask(stack, "GET", "/") == (200, "OK")
    status, health = ask(stack, "GET", "/health")
    assert (status, json.loads(health)["status"]) == (200, "ok")
    status, problem = ask(stack, "GET", "/voucher_amount?country_code=Peru&segment_name=frequent_segment")
    assert status == 422
    assert problem["errors"] == [{"field": "total_orders", "detail": "is missing"}]
    customer = {"customer_id": 7, "country_code": "Chile", "segment_name": "frequent_segment", "total_orders": 1}
    status, batch = ask(stack, "POST", "/voucher_amounts", {"customers": [customer] * 3})
    assert (status, [result["customer_id"] for result in json.loads(batch)["results"]]) == (200, [7] * 3)
    status, segments = ask(stack, "GET", "/segments?country_code=Latvia")
    assert (status, set(json.loads(segments)["families"])) == (200, {"recency_segment", "frequent_segment"})
    status, refreshes = ask(stack, "GET", "/refreshes?limit=1")
    assert (status, len(json.loads(refreshes)["refreshes"])) == (200, 1)
    status, description = ask(stack, "GET", "/openapi.json")
    assert (status, json.loads(description)["openapi"]) == (200, "3.1.0")
    assert ask(stack, "HEAD", "/health") == (200, "")


@pytest.mark.skipif(EMULATOR != "ministack", reason="LocalStack has a form of its own")
def test_the_emulator_refuses_unknown_routes_and_verbs_as_the_page_says(stack: RunningStack) -> None:
    # On AWS the template's gateway responses would make it a problem document, which ministack does not read.
    for method, path in (("GET", "/nowhere"), ("DELETE", "/voucher_amount"), ("GET", "/voucher_amounts")):
        assert ask(stack, method, path) == (403, {"message": "Missing Authentication Token"})


def test_the_api_asks_the_database_as_a_user_of_its_own(stack: RunningStack) -> None:
    assert ask(stack, "GET", "/refreshes")[0] == 200
    signed_in = stack.rows("SELECT usename FROM pg_stat_activity WHERE application_name = 'voucher-segmenter'")
    assert ["voucher_reader"] in signed_in


def test_a_refresh_by_hand_names_its_day(stack: RunningStack) -> None:
    summary, log = stack.invoke_refresh({"as_of": "2018-08-05"})
    assert summary["as_of"] == "2018-08-05"
    assert '"message":"refreshed"' in log


@pytest.mark.skipif(EMULATOR == "containers", reason="it logs to a group that it names itself there")
def test_the_log_of_a_refresh_is_in_the_group_of_the_template(stack: RunningStack) -> None:
    stack.invoke_refresh({"as_of": "2019-02-03"})
    group = stack.resource("RefreshLogs")

    def line() -> dict[str, Any] | None:
        events = stack.client("logs").filter_log_events(logGroupName=group)["events"]
        lines = [json.loads(event["message"]) for event in events if '"message":"refreshed"' in event["message"]]
        return next((line for line in lines if line["summary"]["as_of"] == "2019-02-03"), None)

    assert wait_for("the line in the log", line, seconds=PATIENCE)["trigger"] == "manual"


@pytest.mark.skipif(EMULATOR == "containers", reason="AWS's image runs it there")
def test_what_runs_is_the_built_package(stack: RunningStack) -> None:
    """Functions see what their Python has installed: it must have nothing of what they use."""
    # ministack runs them on its own.
    tool = {"ministack": "emulator", "localstack": "lambda"}[EMULATOR]
    python = ROOT / ".local" / "tools" / tool / "bin" / "python"
    for module in (
        "awswrangler",
        "pandas",
        "pyarrow",
        "pg8000",
        "aws_lambda_powertools",
        "chalice",
        "msgspec",
        "functions",
    ):
        done = subprocess.run(
            [str(python), "-c", f"import {module}"], cwd="/", env=clean_environment(), check=False, capture_output=True
        )
        assert b"ModuleNotFoundError" in done.stderr, module


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="reads Linux's list of sockets")
@pytest.mark.skipif(
    EMULATOR == "containers", reason="the engine listens for containers: localstack-compose.yml says where"
)
def test_nothing_listens_beyond_this_machine(stack: RunningStack) -> None:
    state = json.loads((stack.checkout / ".local" / "state.json").read_text())
    stack.invoke_refresh({})  # functions may listen too
    processes = [pid for pid in Path("/proc").glob("[0-9]*") if _session(pid) == state["emulator_pid"]]
    assert len(processes) >= 2
    inodes = {_inode(link) for pid in processes for link in (pid / "fd").iterdir()}
    addresses = set()
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:  # listening
                addresses.add(fields[1].partition(":")[0])
    assert addresses == {"0100007F"}  # 127.0.0.1


def _session(pid: Path) -> int:
    try:
        return int((pid / "stat").read_text().rpartition(")")[2].split()[3])
    except OSError:
        return 0


def _inode(link: Path) -> str:
    try:
        return str(link.readlink()).removeprefix("socket:[").removesuffix("]")
    except OSError:
        return ""


def all_processes_of_postgresql(stack: RunningStack) -> list[psutil.Process]:
    """Return the process that takes connections, and those that answer them."""
    answering = read_address(stack.variables["DATABASE_URL"]).connect()
    try:
        [[pid]] = answering.run("SELECT pg_backend_pid()")
        server = psutil.Process(pid).parent()
    finally:
        answering.close()
    assert server
    return [server, *(process for process in server.children() if process.pid != pid)]


@pytest.mark.skipif(EMULATOR == "containers", reason="PostgreSQL runs in a container of its own")
def test_while_the_database_is_silent_the_api_answers_from_memory(stack: RunningStack) -> None:
    def health() -> str:
        status, body = ask(stack, "GET", "/health")
        assert status == 200, body
        return str(json.loads(body)["status"])

    # Given a process that has read the publication
    wait_for("the publication", lambda: health() == "ok" or None, seconds=PATIENCE, every=0.5)
    # When PostgreSQL still takes connections, but answers nothing
    frozen = all_processes_of_postgresql(stack)
    for process in frozen:
        process.suspend()
    try:
        # Then the function waits for it for less time than Lambda gives it, and then answers from memory
        wait_for("an answer from memory", lambda: health() == "stale" or None, seconds=PATIENCE, every=0.5)
        assert health() == "stale"
    finally:
        for process in frozen:
            process.resume()
    wait_for("the database", lambda: health() == "ok" or None, seconds=PATIENCE, every=0.5)
