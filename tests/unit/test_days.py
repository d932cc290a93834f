"""Days: read in UTC, counted whole."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.common.days import day_number, days_since_last_order, parse_day, utc_day


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2018-05-03", date(2018, 5, 3)),
        ("2018-05-03 00:00:00", date(2018, 5, 3)),
        (" 2018-05-03T23:59:59.999999 ", date(2018, 5, 3)),
        ("2018-05-03T23:30:00-01:00", date(2018, 5, 4)),
        ("2018-05-03T00:30:00+01:00", date(2018, 5, 2)),
        ("2018-05-03T00:30:00Z", date(2018, 5, 3)),
    ],
)
def test_a_day_is_read_in_utc(text: str, day: date) -> None:
    assert parse_day(text) == day


@pytest.mark.parametrize("text", ["", "soon", "2018-02-30", "2018-05", "9999-12-31T23:00:00-05:00", "03/05/2018"])
def test_what_is_no_day_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_day(text)


@given(day=st.dates(), hours=st.integers(-23, 23), as_of=st.dates())
def test_days_are_whole_calendar_days_whatever_the_zone(day: date, hours: int, as_of: date) -> None:
    zone = timezone(timedelta(hours=hours))
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    try:
        elsewhere = noon.astimezone(zone)
    except OverflowError:
        return  # no such moment in that zone: outside the years 1 to 9999
    assert utc_day(elsewhere) == day
    assert days_since_last_order(as_of, day_number(day)) == (as_of - day).days


def test_days_are_numbered_from_1970() -> None:
    assert day_number(date(1970, 1, 1)) == 0
    assert day_number(date(1969, 12, 31)) == -1
