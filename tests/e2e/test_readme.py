"""The README runs: its commands in its order, and what it says they print is what they print."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.checkout import copy_checkout, run
from tests.e2e.conftest import EMULATOR
from tests.e2e.test_commands import printed_table
from tests.e2e.test_stack import today
from tests.support import ROOT, published_table_of_peru

pytestmark = pytest.mark.skipif(EMULATOR != "ministack", reason="it shows the default emulator")

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"(<!-- not run by the tests: [^>]+ -->\n+)?```(\w+)\n(.*?)```", README, re.DOTALL)


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the checkout once more: the README starts a stack of its own."""
    return copy_checkout(tmp_path_factory.mktemp("newcomer"))


# Before the last block, the stack loses its processes, and the next one is started from the same shell.
LOSE_AND_START_AGAIN = """
kill -KILL $(.venv/bin/python -c 'import json; print(json.load(open(".local/state.json"))["emulator_pid"])')
make up
source .local/env
"""


@pytest.fixture(scope="module")
def done(newcomer: Path) -> subprocess.CompletedProcess[str]:
    """Run every block of commands in one shell, but for those that say why they cannot be run."""
    *commands, last = [text for reason, language, text in BLOCKS if language == "sh" and not reason]
    assert len(commands) == 3
    assert last.endswith("make down\n")
    return run("\n".join([*commands, LOSE_AND_START_AGAIN, last]), newcomer)


@pytest.fixture(scope="module")
def output(done: subprocess.CompletedProcess[str]) -> str:
    return done.stdout


@pytest.mark.parametrize("text", [text for _, language, text in BLOCKS if language == "text"])
def test_the_commands_print_what_the_readme_shows(output: str, text: str) -> None:
    assert [line.rstrip() for line in text.splitlines()] == [
        line.rstrip() for line in _found(output, text.splitlines()[0], len(text.splitlines()))
    ]


def test_the_demo_prints_the_published_table_of_the_source(output: str, newcomer: Path) -> None:
    demo = output[: output.index("make up")]  # how the demo ends: with what to try next
    assert printed_table(demo) == published_table_of_peru()
    assert not (newcomer / ".local" / "state.json").exists()


def test_the_demo_ends_with_the_verdict_on_that_table(output: str) -> None:
    demo = output[: output.index("The stack is up.")].splitlines()
    assert demo[-1] == (
        f"all 511,427 records counted; as of {today()} undecided: 0 of 5 segments;"
        " unknown in all counted records: 7.9% of total_orders, 5.8% of voucher_amount"
    )


def test_a_shell_with_the_variables_of_a_stack_starts_the_next_one(
    done: subprocess.CompletedProcess[str], newcomer: Path
) -> None:
    """The sourced DATABASE_URL is the stack's own, also when that lost its processes."""
    removed = "removing what is left of a stack that does not run any more: the stack's bucket and database are gone"
    assert removed in done.stderr
    assert done.stdout.count("The stack is up.") == 2
    assert "stopped: the stack's bucket and database are gone" in done.stdout.splitlines()[-1]
    assert not (newcomer / ".local" / "state.json").exists()


def test_every_command_says_why_if_it_is_not_run() -> None:
    assert {language for _, language, _ in BLOCKS} == {"sh", "text"}
    assert README.count("```") == 2 * (len(BLOCKS) + 1)  # and the diagram


def _found(output: str, first: str, lines: int) -> list[str]:
    """Return as many lines of the output as are shown, from the first that is shown on."""
    printed = output.splitlines()
    start = [line.rstrip() for line in printed].index(first.rstrip())
    return printed[start : start + lines]
