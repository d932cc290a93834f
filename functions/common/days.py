"""Calendar days in UTC, the only unit of time that segments know."""

import re
from datetime import UTC, date, datetime

_EPOCH = date(1970, 1, 1).toordinal()
_MINUTES_PER_DAY = 1440

# The grammar of text dates; docs/data-rules.md has it as a table. It is written out because Python's own
# `datetime.fromisoformat` differs between versions: 24:00 is an error before 3.14 and the next day since.
_DATE = "(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})"
_TIME = "(?P<hour>[01][0-9]|2[0-3]):(?P<minute>[0-5][0-9])(?::[0-5][0-9](?:[.,][0-9]+)?)?"
_OFFSET = "(?P<sign>[+-])(?P<hours>[01][0-9]|2[0-3])(?::?(?P<minutes>[0-5][0-9]))?"
_NO_OFFSET = "Z|z|UTC|[+-]00(?::?00)?"

OWN_DAY_PATTERN = f"{_DATE}(?:[Tt ]{_TIME}(?: ?(?:{_NO_OFFSET}))?)?"
"""Texts that name their UTC day."""

OFFSET_PATTERN = f"{_DATE}[Tt ]{_TIME} ?{_OFFSET}"
"""Texts of another zone, whose UTC day may be the one before or after."""

WHITE_SPACE = " \t\n\v\f\r"
"""White space that may surround a text date."""

_own_day = re.compile(OWN_DAY_PATTERN)
_offset = re.compile(OFFSET_PATTERN)


def utc_day(moment: datetime) -> date:
    """Return the UTC day of a moment; one without a zone is taken as UTC."""
    return moment.astimezone(UTC).date() if moment.tzinfo else moment.date()


def find_day(text: str) -> date | None:
    """Read the UTC day out of a date or timestamp, with or without a zone.

    Returns
    -------
    date or None
        None when the text is not a date by the grammar of docs/data-rules.md, or its UTC day lies outside the years 1
        to 9999.

    Examples
    --------
    >>> find_day("2020-01-05 23:30:00-05:00")
    datetime.date(2020, 1, 6)
    """
    text = text.strip(WHITE_SPACE)
    found = _own_day.fullmatch(text) or _offset.fullmatch(text)
    if not found:
        return None
    try:
        day = date.fromisoformat(found["date"])
        return day if found.re is _own_day else _shifted(day, found)
    except ValueError:
        return None


def _shifted(day: date, found: re.Match[str]) -> date:
    """Return the UTC day of a moment with an offset."""
    offset = int(found["hours"]) * 60 + int(found["minutes"] or 0)
    local = int(found["hour"]) * 60 + int(found["minute"])
    in_utc = local - offset if found["sign"] == "+" else local + offset
    return date.fromordinal(day.toordinal() + in_utc // _MINUTES_PER_DAY)


def parse_day(text: str) -> date:
    """Read a day as `find_day` does.

    Raises
    ------
    ValueError
        When there is none.
    """
    day = find_day(text)
    if day is None:
        raise ValueError(f"no date or timestamp: {text!r}")
    return day


def day_number(day: date) -> int:
    """Return the days from 1970-01-01 to a day, the form in which usage holds days."""
    return day.toordinal() - _EPOCH


def days_since(day: int, as_of: date) -> int:
    """Count whole calendar days in UTC from a day number to the as-of day; negative when the day comes after it."""
    return day_number(as_of) - day
