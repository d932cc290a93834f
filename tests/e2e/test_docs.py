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
[UNDELETE] = [text for _, reason, _, text in BLOCKS if "test_docs.py" in reason]
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


def test_deleted_objects_come_back_from_their_versions(stack: RunningStack) -> None:
    bucket, keys = "keeps-versions", ["vouchers/a.parquet", "vouchers/b c+d.parquet"]
    stack.s3.create_bucket(Bucket=bucket)
    stack.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for key in keys:
        stack.s3.put_object(Bucket=bucket, Key=key, Body=b"good")
        stack.s3.delete_object(Bucket=bucket, Key=key)
    for since, back in (("2999-01-01", []), ("2020-01-01", keys)):
        operate(stack, "set -e\n" + re.sub(r"'[\d-]+T03:00'", f"'{since}'", UNDELETE).replace("BUCKET", bucket))
        found = stack.s3.list_objects_v2(Bucket=bucket)
        assert [listed["Key"] for listed in found.get("Contents", [])] == back
