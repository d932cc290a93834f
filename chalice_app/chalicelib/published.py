"""What the refresh function has published, kept in memory."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime
from typing import Any, NamedTuple

from pg8000.exceptions import DatabaseError
from pg8000.exceptions import Error as PostgresError
from pg8000.native import Connection

from chalicelib.answers import AmountUse
from chalicelib.customers import Customer, customer_of
from functions.common.database import Database, DatabaseUnreachableError
from functions.common.families import Family, Segment, check_families
from functions.common.ranking import Ranked, Unknown, measure_unknown, rank

# One statement, so that everything comes from one publication.
_READ = """
    SELECT refresh_id, as_of, published_at, countries,
           (SELECT json_agg(json_build_array(segment_name, dimension)) FROM voucher_customer.segment_families),
           (SELECT json_agg(json_build_array(segment_name, segment_type, min_range, max_range))
            FROM voucher_customer.customer_segments),
           (SELECT coalesce(json_agg(json_build_array(country_code, segment_name, segment_type, min_range, max_range,
                                                      voucher_amount, count) ORDER BY voucher_amount), '[]')
            FROM voucher_customer.voucher_segments),
           (SELECT coalesce(json_agg(json_build_array(country_code, segment_name, segment_type, vouchers,
                                                      unknown_amounts, unknown_numbers)), '[]')
            FROM voucher_customer.segment_unknowns WHERE unknown_amounts IS NOT NULL)
    FROM voucher_customer.publication JOIN voucher_customer.refreshes USING (refresh_id)
"""

# With the time, because every new database numbers its refreshes from 1.
_CURRENT = """
    SELECT refresh_id, published_at FROM voucher_customer.publication JOIN voucher_customer.refreshes USING (refresh_id)
"""

_UNDEFINED_TABLE = "42P01"


class NothingPublishedError(Exception):
    """No refresh has published yet."""


class SegmentUse(NamedTuple):
    """What was used in a segment of a country.

    Attributes
    ----------
    amounts : list of AmountUse
        Every amount with its count, lowest amount first.
    ranked : Ranked
        The same amounts, ranked by how often they were used.
    """

    amounts: list[AmountUse]
    ranked: Ranked[float]


class Publication(NamedTuple):
    """The published table, the rules behind it, and when it was published.

    Attributes
    ----------
    refresh_id : int
        The refresh that published.
    as_of : date
        The day that days are counted to.
    published_at : datetime
        When it was published, in UTC.
    countries : list of str
        Every country that is served.
    families : dict of str to Family
        The published families, by name.
    customers : dict of str to type
        The model of each family's customers, by its name.
    uses : dict
        What was used, by country and segment; a segment without vouchers is absent.
    uses_of_countries : dict of str to SegmentUse
        What was used in a country in all, by the family that counts most of it.
    unknowns : dict
        The shares of unknown values, by country, family and segment type; empty until all objects have them counted
        apart.
    """

    refresh_id: int
    as_of: date
    published_at: datetime
    countries: list[str]
    families: dict[str, Family]
    customers: dict[str, type[Customer]]
    uses: dict[tuple[str, Segment], SegmentUse]
    uses_of_countries: dict[str, SegmentUse]
    unknowns: dict[tuple[str, str, str], Unknown]

    @property
    def etag(self) -> str:
        """The ETag of what is answered from it, which no other publication has, of whatever database."""
        return f'"refresh-{self.refresh_id}-{self.published_at.timestamp():.6f}"'

    def unknown(self, country_code: str, segment: Segment) -> Unknown | None:
        """Return the shares of unknown values in a segment; None if it holds no voucher or they are not recorded."""
        return self.unknowns.get((country_code, segment.segment_name, segment.segment_type))


class PublicationCache:
    """The current publication, read again only when there is another.

    Safe for threads. While the database is unreachable, the publication comes from memory, for a limited time.

    Parameters
    ----------
    database : Database
        The connection.
    check_seconds : float
        How long after an answer the database is asked again whether there is another publication. Without an answer
        it is asked again after as many seconds as it was waited for, if that is longer.
    stale_seconds : float
        For how long after the database's last answer the publication may come from memory.
    monotonic : callable
        Gives seconds that never run backwards.
    """

    def __init__(
        self, database: Database, *, check_seconds: float, stale_seconds: float, monotonic: Callable[[], float]
    ) -> None:
        self._database = database
        self._check_seconds = check_seconds
        self._stale_seconds = stale_seconds
        self._monotonic = monotonic
        self._publication: Publication | None = None
        self._asked = self._answered = self._ask_again = float("-inf")
        self._asking = threading.Lock()

    @property
    def is_stale(self) -> bool:
        """Whether the database did not answer when it was last asked."""
        return self._answered < self._asked

    @property
    def known(self) -> Publication | None:
        """What is in memory, if anything is."""
        return self._publication

    def get(self) -> Publication:
        """Return the current publication.

        Raises
        ------
        NothingPublishedError
            Before the first publication.
        DatabaseUnreachableError, pg8000.exceptions.Error
            When the database is unreachable and nothing fresh enough is in memory.
        """
        known = self._publication
        if known is not None and self._monotonic() < self._ask_again:
            return self._unless_too_old(known)
        # One thread asks the database; the others answer from memory, and wait only while it is empty.
        if known is None:
            self._asking.acquire()
        elif not self._asking.acquire(blocking=False):
            return self._unless_too_old(known)
        try:
            return self._ask()
        finally:
            self._asking.release()

    def _ask(self) -> Publication:
        known = self._publication
        now = self._monotonic()
        if known is not None and now < self._ask_again:
            return self._unless_too_old(known)  # another thread asked meanwhile
        try:
            current = self._read_if_changed(known)
        except (DatabaseUnreachableError, PostgresError):
            self._asked = now
            # A server that is silent instead of gone would else hold up every request.
            waited = self._monotonic() - now
            self._ask_again = now + waited + max(waited, self._check_seconds)
            if known is None or now - self._answered >= self._stale_seconds:
                raise
            return known
        self._publication = current
        self._asked = self._answered = now
        self._ask_again = now + self._check_seconds
        return current

    def _unless_too_old(self, known: Publication) -> Publication:
        # A publication that was checked in time holds until the next check, hence the check's seconds on top.
        if self._monotonic() - self._answered >= self._stale_seconds + self._check_seconds:
            raise DatabaseUnreachableError("the database has been away for too long")
        return known

    def _read_if_changed(self, known: Publication | None) -> Publication:
        with reading(self._database) as connection:
            rows = connection.run(_CURRENT)
            if known is not None and rows == [[known.refresh_id, known.published_at]]:
                return known
            rows = connection.run(_READ)
        return _publication(rows)


@contextmanager
def reading(database: Database) -> Iterator[Connection]:
    """Read in one transaction; before the first migration nothing is published.

    Raises
    ------
    NothingPublishedError
        When a table does not exist.
    """
    try:
        with database.transaction() as connection:
            yield connection
    except DatabaseError as error:
        if error.args[0].get("C") == _UNDEFINED_TABLE:
            raise NothingPublishedError from error
        raise


def _publication(rows: list[list[Any]]) -> Publication:
    if not rows:
        raise NothingPublishedError
    refresh_id, as_of, published_at, countries, dimensions, ranges, counts, unknowns = rows[0]
    families = check_families(dimensions, (Segment(*row) for row in ranges))
    amounts: dict[tuple[str, Segment], list[tuple[float, int]]] = {}
    for country_code, *segment, voucher_amount, count in counts:
        amounts.setdefault((country_code, Segment(*segment)), []).append((float(voucher_amount), count))
    uses = {place: _use(used) for place, used in amounts.items()}
    by_name = {family.segment_name: family for family in families}
    customers = {name: customer_of(family) for name, family in by_name.items()}
    of_countries = _uses_of_countries(amounts)
    shares = {(country_code, name, label): measure_unknown(*counts) for country_code, name, label, *counts in unknowns}
    return Publication(refresh_id, as_of, published_at, countries, by_name, customers, uses, of_countries, shares)


def _use(amounts: list[tuple[float, int]]) -> SegmentUse:
    return SegmentUse([AmountUse(*one) for one in amounts], rank(amounts))


def _uses_of_countries(amounts: Mapping[tuple[str, Segment], list[tuple[float, int]]]) -> dict[str, SegmentUse]:
    """Add up the segments of each family, and choose the family with most vouchers: each counts the same vouchers."""
    sums: dict[tuple[str, str], Counter[float]] = {}
    for (country_code, segment), used in amounts.items():
        sums.setdefault((country_code, segment.segment_name), Counter()).update(dict(used))
    most: dict[str, Counter[float]] = {}
    for (country_code, _), found in sorted(sums.items()):
        most[country_code] = max(most.get(country_code, Counter()), found, key=Counter.total)
    return {country_code: _use(sorted(found.items())) for country_code, found in most.items()}
