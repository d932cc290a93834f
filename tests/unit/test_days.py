"""Days: read in UTC, counted whole."""

import json
import os
import re
import subprocess
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.common.days import day_number, days_since, parse_day, utc_day
from tests import text_dates
from tests.support import ROOT


@pytest.mark.parametrize(("text", "day"), text_dates.READ.items(), ids=ascii)
def test_a_text_date_is_read_in_utc(text: str, day: str) -> None:
    assert parse_day(text) == date.fromisoformat(day)


@pytest.mark.parametrize("text", text_dates.REJECTED, ids=ascii)
def test_what_is_not_a_text_date_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_day(text)


def test_the_table_of_the_docs_is_true() -> None:
    page = (ROOT / "docs" / "data-rules.md").read_text()
    section = re.search(r"## Text dates\n(.*?)\n## ", page, re.DOTALL)
    assert section
    rows = re.findall(r"^\| ([^|]+?) +\| ([^|]+?) +\| ([^|]+?) +\|$", section[1], re.MULTILINE)[1:]
    assert len(rows) > 20
    for form, examples, read_as in rows[1:]:
        for text in re.findall(r"`([^`]+)`", examples):
            days = [read_as] if read_as != "rejected" else []
            assert [day.isoformat() for day in _days(text)] == days, (form, text)


def _days(text: str) -> list[date]:
    try:
        return [parse_day(text)]
    except ValueError:
        return []


_READ_ALL = """
import json
from functions.common.days import parse_day
from tests.text_dates import READ, REJECTED

def day(text):
    try:
        return parse_day(text).isoformat()
    except ValueError:
        return None

print(json.dumps([(text, day(text)) for text in [*READ, *REJECTED]]))
"""


def _other_pythons() -> dict[str, Path]:
    """Find the Pythons of this machine from 3.11 on, one of each version."""
    folders = [Path(name) for name in os.environ["PATH"].split(os.pathsep)]
    folders += [Path("/usr/local/bin"), *Path.home().glob(".pyenv/versions/*/bin")]
    found = {}
    for path in (path for folder in folders for path in folder.glob("python3.[1-9][0-9]")):
        asked = subprocess.run(
            [path, "-c", "import sys; print(*sys.version_info[:2])"], check=False, capture_output=True
        )
        if asked.returncode == 0 and tuple(map(int, asked.stdout.split())) >= (3, 11):
            found[path.name] = path
    return found


@pytest.mark.parametrize("python", (pythons := _other_pythons()).values(), ids=list(pythons))
def test_every_python_of_this_machine_reads_the_same(python: Path) -> None:
    done = subprocess.run([python, "-c", _READ_ALL], cwd=ROOT, check=True, capture_output=True)
    assert dict(json.loads(done.stdout)) == {**text_dates.READ, **dict.fromkeys(text_dates.REJECTED)}


@given(day=st.dates(), hours=st.integers(-23, 23), as_of=st.dates())
def test_days_are_whole_calendar_days_whatever_the_zone(day: date, hours: int, as_of: date) -> None:
    zone = timezone(timedelta(hours=hours))
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    try:
        elsewhere = noon.astimezone(zone)
    except OverflowError:
        return  # no such moment in that zone: outside the years 1 to 9999
    assert utc_day(elsewhere) == day
    assert days_since(day_number(day), as_of) == (as_of - day).days


def test_days_are_numbered_from_1970() -> None:
    assert day_number(date(1970, 1, 1)) == 0
    assert day_number(date(1969, 12, 31)) == -1
