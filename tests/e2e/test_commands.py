"""The commands of a newcomer: make demo with and without the user's own data, and how they fail."""

import re
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from infra.local.postgres import DatabaseAddress
from tests.checkout import run
from tests.e2e.conftest import EMULATOR, RunningStack
from tests.support import REAL_FILE, WHY_SKIPPED, Published, parquet, record, recount

pytestmark = pytest.mark.skipif(EMULATOR == "containers", reason="they start none")


def printed_table(output: str) -> Published:
    """Read the published table back from what psql printed."""
    table: Published = {}
    for line in output.splitlines():
        fields = [field.strip() for field in line.split("|")]
        if len(fields) == 8 and fields[0].isdigit():
            _, low, high, family, amount, count, country, label = fields
            table[(country, family, label, int(low), int(high), int(amount))] = int(count)
    return table


@pytest.mark.skipif(not REAL_FILE.exists(), reason=WHY_SKIPPED)
def test_make_demo_does_the_same_with_the_users_own_data(checkout: Path) -> None:
    output = run(f"make demo DATA={REAL_FILE} AS_OF=2018-08-05 COUNTRIES=Peru,China FULL=1", checkout).stdout
    rows = pq.read_table(REAL_FILE).to_pylist()
    assert printed_table(output) == recount(rows, date(2018, 8, 5), ["Peru", "China"])
    assert not list((checkout / ".local").glob("demo-*"))
    # And the report is there to be looked at
    assert f"The report, to open in a browser: {checkout}/.local/report.html\n" in output
    assert (checkout / ".local" / "api.html").read_bytes() == (checkout / "docs" / "api.html").read_bytes()
    assert '"country_code":"China"' in (checkout / ".local" / "report.html").read_text()


def test_a_demo_that_cannot_work_says_so_in_one_line(checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    (tmp_path / "notes.csv").write_text("a,b")
    (tmp_path / "cut.parquet").write_bytes(parquet([record()])[:-9])
    (tmp_path / "other.parquet").write_bytes(parquet([{k: v for k, v in record().items() if k != "total_orders"}]))
    for options, says in (
        ("DATA=/no/such/file", "there is no /no/such/file"),
        (f"DATA={tmp_path}/nothing", "no *.parquet file"),
        (f"DATA={tmp_path}/notes.csv", "not named *.parquet,"),
        ("AS_OF=05.08.2018", "AS_OF: '05.08.2018' is not a day like 2018-08-05"),
        (f"DATA={tmp_path}/cut.parquet", f"DATA: {tmp_path}/cut.parquet: is not readable parquet"),
        (f"DATA={tmp_path}/other.parquet", "other.parquet: needed column missing: ['total_orders']"),
    ):
        done = run(f"make demo {options}", checkout, status=2)
        assert says in done.stderr
        assert "Traceback" not in done.stderr


def test_make_explore_says_whether_a_file_would_be_counted(checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "good.parquet").write_bytes(parquet([record()]))
    (tmp_path / "bad.parquet").write_bytes(b"garbage")
    said = run(f"make explore DATA={tmp_path}/good.parquet AS_OF=2020-12-22", checkout).stdout
    assert printed_table(said) == recount([record()], date(2020, 12, 22), ["Peru"])
    assert said.endswith("\nACCEPTED: 1 file; 1 of 1 rows counted, 0 rejected\n")
    assert (checkout / ".local" / "explored.html").exists()
    said = run(f"make explore DATA={tmp_path}", checkout, status=2).stdout
    assert f"REFUSED {tmp_path}/bad.parquet: is not readable parquet" in said
    assert said.endswith("\nREFUSED: 1 of 2 files; of the others 1 of 1 rows counted, 0 rejected\n")


def test_a_demo_with_broken_parquet_fails_with_its_name_and_leaves_nothing(
    checkout: Path, tmp_path: Path, postgres: DatabaseAddress
) -> None:
    """On the user's own database, from which the schema and the roles that the stack made are removed too."""
    ask(postgres, "DROP SCHEMA IF EXISTS voucher_customer CASCADE")
    (tmp_path / "good.parquet").write_bytes(parquet([record()]))
    damaged = bytearray(parquet([record()]))
    damaged[4:60] = bytes(56)  # the first pages; its footer is whole
    (tmp_path / "bad.parquet").write_bytes(damaged)
    done = run(f"make demo DATA={tmp_path}", checkout, status=2, DATABASE_URL=postgres.url)
    assert re.search(r"^failed: wait for the event.*vouchers/bad\.parquet: is not readable parquet", done.stderr, re.M)
    [folder] = (checkout / ".local").glob("demo-*")  # kept, because it holds the logs
    assert (folder / "emulator.log").exists()
    assert not (folder / "state.json").exists()
    assert ask(postgres, "SELECT to_regnamespace('voucher_customer')") == [[None]]
    assert ask(postgres, "SELECT to_regrole('voucher_writer'), to_regrole('voucher_reader')") == [[None, None]]


def test_a_database_that_holds_the_schema_already_is_left_alone(checkout: Path, postgres: DatabaseAddress) -> None:
    ask(postgres, "CREATE SCHEMA IF NOT EXISTS voucher_customer")
    done = run("make demo", checkout, status=2, DATABASE_URL=postgres.url)
    assert "it holds the schema voucher_customer already" in done.stderr
    assert ask(postgres, "SELECT to_regnamespace('voucher_customer') IS NOT NULL") == [[True]]
    ask(postgres, "DROP SCHEMA voucher_customer")


def test_a_server_that_has_the_role_already_is_left_alone(checkout: Path, postgres: DatabaseAddress) -> None:
    ask(postgres, "CREATE ROLE voucher_reader")
    done = run("make demo", checkout, status=2, DATABASE_URL=postgres.url)
    assert "its server has the role voucher_reader already" in done.stderr
    assert ask(postgres, "SELECT to_regrole('voucher_writer'), to_regrole('voucher_reader') IS NULL") == [[None, False]]
    ask(postgres, "DROP ROLE voucher_reader")


def ask(address: DatabaseAddress, query: str) -> list[list[Any]]:
    connection = address.connect()
    try:
        return list(connection.run(query) or [])
    finally:
        connection.close()


def test_a_second_make_up_says_that_the_stack_runs_already(stack: RunningStack) -> None:
    assert "a stack runs already" in run("make up", stack.checkout, status=2).stderr


def test_make_help_lists_the_targets(checkout: Path) -> None:
    output = run("make help", checkout).stdout
    for target in (
        "setup",
        "demo",
        "up",
        "up-localstack",
        "down",
        "clean",
        "test",
        "e2e-localstack",
        "lint",
        "fix",
        "lock",
    ):
        assert f"make {target} " in output
    assert [line for line in output.splitlines() if not line.startswith("  ") and line] == [
        "Try it on this machine",
        "Operate a deployed stack: on AWS, or after `source .local/env` on this machine",
        "Develop",
    ]
    assert max(map(len, output.splitlines())) <= 80
