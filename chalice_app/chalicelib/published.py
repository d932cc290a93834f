"""Reading what the refresh function has published."""

from datetime import date, datetime
from typing import NamedTuple

from pg8000.exceptions import DatabaseError

from functions.common.database import Database
from functions.common.segments import Segment

# One statement, so that all of it is of one publication.
_READ = """
    SELECT refresh_id, as_of, published_at, countries,
           (SELECT json_agg(json_build_array(segment_name, segment_type, min_range, max_range))
            FROM voucher_customer.customer_segments),
           (SELECT coalesce(json_agg(json_build_array(segment_name, min_range, voucher_amount, count)), '[]')
            FROM voucher_customer.voucher_segments WHERE country_code = :country_code)
    FROM voucher_customer.publication JOIN voucher_customer.refreshes USING (refresh_id)
"""

_UNDEFINED_TABLE = "42P01"


class NothingPublishedError(Exception):
    """No refresh has published yet."""


class Publication(NamedTuple):
    """What is published for a country, and since when.

    Attributes
    ----------
    refresh_id : int
        The refresh that published.
    as_of : date
        The day that recency is counted to.
    published_at : datetime
        When it was published, in UTC.
    countries : list of str
        Every country that is served.
    segments : list of Segment
        The rules.
    amounts : dict
        Voucher amount and count pairs by segment family and `min_range`.
    """

    refresh_id: int
    as_of: date
    published_at: datetime
    countries: list[str]
    segments: list[Segment]
    amounts: dict[tuple[str, int], list[tuple[int, int]]]


def read_publication(database: Database, country_code: str) -> Publication:
    """Read what is published for a country; `amounts` is empty for one that is not served.

    Raises
    ------
    NothingPublishedError
        Before the first publication.
    DatabaseUnreachableError
        When the database is away.
    """
    try:
        with database.transaction() as connection:
            rows = connection.run(_READ, country_code=country_code)
    except DatabaseError as error:
        if error.args[0].get("C") == _UNDEFINED_TABLE:
            raise NothingPublishedError from error
        raise
    if not rows:
        raise NothingPublishedError
    refresh_id, as_of, published_at, countries, segments, counts = rows[0]
    amounts: dict[tuple[str, int], list[tuple[int, int]]] = {}
    for segment_name, min_range, voucher_amount, count in counts:
        amounts.setdefault((segment_name, min_range), []).append((voucher_amount, count))
    return Publication(refresh_id, as_of, published_at, countries, [Segment(*rule) for rule in segments], amounts)
