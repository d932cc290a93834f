"""Segment families as a user changes them: two are added in the SQL file, deployed, counted and taken away again."""

import json
import urllib.parse
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from infra.local.processes import wait_for
from tests.checkout import run
from tests.e2e.conftest import EMULATOR, PATIENCE, RunningStack
from tests.e2e.test_operations import operate
from tests.e2e.test_stack import COUNTRIES, today
from tests.families import SILENCE, SQL, TENURE, append_example, recount_added
from tests.support import parquet, record, recount

pytestmark = pytest.mark.skipif(
    EMULATOR != "ministack", reason="LocalStack cannot change the API of a stack that exists"
)

ROWS = [
    record(first_order_ts="2019-03-11", timestamp="2020-02-20 12:00:00", voucher_amount=amount)
    for amount in (2640.0, 2640.0, 4400.0)
]
OLD = [record(country_code="China")]


@pytest.fixture
def shipped(stack: RunningStack) -> Iterator[RunningStack]:
    """Give the stack, which ends with the families that are shipped and without objects."""
    yield stack
    if (rules := stack.checkout / "infra" / "sql" / SQL.name).read_text() != SQL.read_text():
        rules.write_text(SQL.read_text())
        deploy(stack)
    runs = "SELECT count(*) FROM voucher_customer.refreshes WHERE trigger = 'object_deleted'"
    [[before]] = stack.rows(runs)
    deleted = stack.delete_all(stack.variables["PREFIX"])
    # Each has an event, whose run would publish while the next test looks.
    wait_for("the runs", lambda: stack.rows(runs)[0][0] >= before + deleted or None, seconds=PATIENCE, every=0.2)


def deploy(stack: RunningStack) -> str:
    """Deploy the stack as it stands in the checkout, and return where its API answers now."""
    said = operate(stack, "make deploy")
    assert said.endswith("the next run publishes by the new parameters and segments; make refresh does it now\n")
    return said.split("the API answers at ")[1].split()[0]


def amounts(url: str, **fields: str) -> Any:
    query = urllib.parse.urlencode({"country_code": "Peru", **fields})
    with urllib.request.urlopen(f"{url}/voucher_amount?{query}", timeout=60) as response:
        return json.loads(response.read())["voucher_amount"]


def test_families_are_added_and_removed_in_the_sql_file(shipped: RunningStack) -> None:
    stack = shipped
    # Given two counted objects, one of which is of a time without a column that a new family needs
    stack.put("families/new.parquet", parquet(ROWS))
    old = stack.put("families/old.parquet", parquet(OLD))
    stack.wait_until_published(before := recount([*ROWS, *OLD], today(), COUNTRIES))
    # When two families are added to the file, and the stack is deployed
    append_example(stack.checkout / "infra" / "sql" / SQL.name)
    env = stack.checkout / ".local" / "env"
    env.write_text(env.read_text().replace(stack.variables["API_URL"], "http://127.0.0.1:1/moved"))
    url = deploy(stack)
    # Then `.local/env` has the address where the API answers now
    assert f"export API_URL={url}\n" in env.read_text()
    # Then the families that were there stay published
    assert stack.published() == before
    # And the next run counts what it can by the new ones, refuses the old object by name, and publishes all four
    done = run("source .local/env && make refresh", stack.checkout, status=2)
    assert f"{old}: needed column missing: ['first_order_ts', 'timestamp']" in done.stderr
    added = recount_added(ROWS, today(), COUNTRIES)
    assert {name for _, name, *_ in added} == {TENURE, SILENCE}
    assert stack.published() == {**before, **added}
    # And the API answers for each of them
    assert amounts(url, segment_name=TENURE, first_order_ts="2019-03-11") == [2640]
    silent_as_then = today() - timedelta(days=45)
    assert amounts(url, segment_name=SILENCE, last_order_ts=str(silent_as_then)) == [2640]
    assert amounts(url, segment_name="frequent_segment", total_orders="2") == [2640]
    # When they are taken away again, then nothing has to be counted again
    (stack.checkout / "infra" / "sql" / SQL.name).write_text(SQL.read_text())
    deploy(stack)
    assert "objects: 0 counted, 2 unchanged" in operate(stack, "make refresh")
    assert stack.published() == before
