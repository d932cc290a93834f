"""Calendar days in UTC, the only unit of time that segments know."""

from datetime import UTC, date, datetime

_EPOCH = date(1970, 1, 1).toordinal()


def utc_day(moment: datetime) -> date:
    """Return the UTC day of a moment; one without a zone is taken as UTC."""
    return moment.astimezone(UTC).date() if moment.tzinfo else moment.date()


def parse_day(text: str) -> date:
    """Read the UTC day out of a date or timestamp in ISO 8601, with or without a zone.

    Raises
    ------
    ValueError
        When the text is no such date, or its UTC day lies outside the years 1 to 9999.

    Examples
    --------
    >>> parse_day("2020-01-05 23:30:00-05:00")
    datetime.date(2020, 1, 6)
    """
    try:
        return utc_day(datetime.fromisoformat(text.strip()))
    except OverflowError as error:
        raise ValueError(f"day out of range: {text!r}") from error


def day_number(day: date) -> int:
    """Return the days from 1970-01-01 to a day, the form in which `last_order_day` is stored."""
    return day.toordinal() - _EPOCH


def days_since_last_order(as_of: date, last_order_day: int) -> int:
    """Count whole calendar days in UTC from the last order to the as-of day.

    Parameters
    ----------
    as_of : date
        The day that the count is made for.
    last_order_day : int
        The day of the last order as `day_number` gives it.

    Returns
    -------
    int
        Negative when the last order comes after the as-of day.
    """
    return day_number(as_of) - last_order_day
