"""The docs run: their blocks of commands, and the queries that they tell to ask, on a running stack."""

import re

import pytest

from tests.e2e.conftest import EMULATOR, RunningStack
from tests.e2e.test_operations import operate
from tests.support import ROOT, parquet, record

pytestmark = pytest.mark.skipif(EMULATOR != "ministack", reason="they are the same on the other emulator")

# The README and the page of the API have tests of their own.
PAGES = [path for path in sorted((ROOT / "docs").rglob("*.md")) if path.name != "api.md"]
BLOCK = re.compile(r"(<!-- not run by the tests: [^>]+ -->\n+)?```(\w*)\n(.*?)```", re.DOTALL)
BLOCKS = [(path.stem, *found) for path in PAGES for found in BLOCK.findall(path.read_text())]
COMMANDS = [(page, text) for page, reason, language, text in BLOCKS if language == "sh" and not reason]
QUERIES = [query for path in PAGES for query in re.findall(r"`(SELECT [^`]+ FROM [^`]+)`", path.read_text())]


def test_every_block_is_a_command_or_a_diagram_or_says_why_it_is_not_run() -> None:
    assert COMMANDS
    assert [(page, text) for page, reason, language, text in BLOCKS if language not in {"sh", ""} and not reason] == []


@pytest.mark.parametrize(("page", "text"), COMMANDS, ids=[page for page, _ in COMMANDS])
def test_the_commands_of_the_docs_do_what_they_say(stack: RunningStack, page: str, text: str) -> None:
    file = stack.checkout / "path" / "to" / "vouchers.parquet"  # which stands for the reader's
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(parquet([record()]))
    operate(stack, f"set -e\n{text}")


def test_the_queries_of_the_docs_are_answered(stack: RunningStack) -> None:
    assert len(QUERIES) == 6
    for query in QUERIES:
        stack.rows(query)
