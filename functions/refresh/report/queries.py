"""Facts: all that the report is made from, read as of one moment and never from parquet."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import NamedTuple, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt
from pg8000.native import Connection

from functions.common.database import Database
from functions.common.families import Family
from functions.common.ranking import Ranking, RankingChange
from functions.refresh.ledger.schema import read_families
from functions.refresh.publishing.unknowns import UnknownRules
from functions.refresh.results import Run

MAX_OTHER_COUNTRIES = 40
MAX_DAYS_OF_RANKINGS = 30
MAX_RUNS = 30
MAX_OBJECTS_REFUSED = 30

# A statement that takes longer meets totals that are no voucher records': then there is no page.
_STATEMENT_TIMEOUT = "2s"

_READ_PUBLICATION = """
    SELECT refresh_id, as_of, published_at, refreshes.countries, families_partial, coalesce(rankings.changes, '[]'),
           unknown_amount_is_used, unknown_number_has_segment
    FROM voucher_customer.publication
    JOIN voucher_customer.refreshes USING (refresh_id)
    LEFT JOIN voucher_customer.rankings USING (refresh_id, as_of)
"""

_READ_TABLE = """
    SELECT country_code, segment_name, segment_type, min_range, max_range, voucher_amount, count
    FROM voucher_customer.voucher_segments
    ORDER BY country_code, segment_name, min_range, voucher_amount
"""

# As text that numpy reads at once: hundreds of thousands of rows one by one would take seconds.
_READ_USAGE = """
    SELECT country_code, dimension, string_agg(CAST(value AS text), ','),
           string_agg(CAST(voucher_amount AS text), ','), string_agg(CAST(count AS text), ',')
    FROM voucher_customer.usage_totals
    WHERE country_code = ANY (CAST(:countries AS text[])) AND dimension = ANY (CAST(:dimensions AS text[]))
    GROUP BY country_code, dimension
"""

_READ_OTHERS = """
    SELECT country_code, rows, count(*) OVER () AS countries, CAST(sum(rows) OVER () AS bigint) AS rows_in_all
    FROM (
        SELECT country_code, CAST(sum(count) AS bigint) AS rows
        FROM voucher_customer.usage_totals
        WHERE dimension = :dimension AND country_code <> ALL (CAST(:countries AS text[]))
        GROUP BY country_code
    ) AS counted
    ORDER BY rows DESC, country_code LIMIT :at_most
"""

_READ_LEDGER = """
    SELECT count(etag) AS objects, coalesce(sum(size), 0) AS size, coalesce(sum(rows_read), 0) AS rows_read,
           coalesce(sum(rows_counted), 0) AS rows_counted,
           (
               SELECT coalesce(json_object_agg(name, rows ORDER BY name), '{}') FROM (
                   SELECT name, sum(CAST(rows AS bigint)) AS rows
                   FROM voucher_customer.ledger, jsonb_each_text(values_defaulted) AS filled (name, rows) GROUP BY name
               ) AS filled
           ) AS values_defaulted,
           count(*) FILTER (WHERE etag IS NOT NULL AND values_defaulted IS NULL) AS objects_not_told,
           count(error) AS objects_refused
    FROM voucher_customer.ledger
"""

_READ_REJECTED = """
    SELECT reason, sum(CAST(rows AS bigint)) AS rows
    FROM voucher_customer.ledger, jsonb_each_text(rows_rejected) AS rejected (reason, rows)
    GROUP BY reason ORDER BY 2 DESC, 1
"""

_READ_REFUSED = """
    SELECT key, left(error, 500) AS error, changed_at FROM voucher_customer.ledger
    WHERE error IS NOT NULL ORDER BY changed_at DESC, key LIMIT :at_most
"""

_READ_RUNS = f"""
    SELECT {", ".join(name for name in Run.__struct_fields__ if name != "errors")},
           coalesce(string_to_array(left(error, 1000), chr(10)), '{{}}') AS errors
    FROM voucher_customer.refreshes ORDER BY refresh_id DESC LIMIT :at_most
"""  # noqa: S608 - of names in this code

_READ_RANKINGS = """
    SELECT as_of, rankings FROM voucher_customer.rankings
    WHERE as_of <= :as_of ORDER BY as_of DESC LIMIT :at_most
"""

Integers = npt.NDArray[np.int64]


class PublishedRow(msgspec.Struct, frozen=True):
    """A row of the published table."""

    country_code: str
    segment_name: str
    segment_type: str
    min_range: int
    max_range: int
    voucher_amount: int
    count: int


class CountryUsage(NamedTuple):
    """The usage of a country by one dimension: in how many rows each value came with each amount."""

    value: Integers
    voucher_amount: Integers
    rows: Integers


class OtherCountry(msgspec.Struct, frozen=True):
    """The rows counted of a country that is not published; how many such there are, and their rows in all."""

    country_code: str
    rows: int
    countries: int
    rows_in_all: int


class LedgerTotals(msgspec.Struct, frozen=True):
    """The ledger's sums over all objects.

    Attributes
    ----------
    objects : int
        Those that are counted.
    size : int
        Their bytes.
    rows_read, rows_counted : int
        Their rows.
    values_defaulted : dict of str to int
        Values of the rows counted that were not there and count as 0, by column.
    objects_not_told : int
        Objects whose defaulted values are not known, because they were counted before that was recorded.
    objects_refused : int
        Objects that cannot be counted as they are now.
    """

    objects: int
    size: int
    rows_read: int
    rows_counted: int
    values_defaulted: dict[str, int]
    objects_not_told: int
    objects_refused: int


class RefusedObject(msgspec.Struct, frozen=True):
    """An object that cannot be counted, and why."""

    key: str
    error: str
    changed_at: datetime


class RejectedForReason(msgspec.Struct, frozen=True):
    """How many rows were rejected for a reason."""

    reason: str
    rows: int


class DayOfRankings(msgspec.Struct, frozen=True):
    """The rankings as they were last published as of a day."""

    as_of: date
    rankings: list[Ranking]


class Facts(NamedTuple):
    """All that the report is made from.

    Attributes
    ----------
    refresh_id : int
        The refresh that published.
    families_partial : dict of str to int
        Families whose dimension refused objects lack, and how many.
    usage : mapping of (str, str) to CountryUsage
        Of the published countries, by country and dimension.
    others : list of OtherCountry
        Those with the most rows.
    rejected : list of RejectedForReason
        The most frequent reason first.
    runs, refused, rankings
        The latest first.
    """

    refresh_id: int
    as_of: date
    published_at: datetime
    countries: list[str]
    families_partial: dict[str, int]
    changes: list[RankingChange]
    table: list[PublishedRow]
    families: list[Family]
    usage: Mapping[tuple[str, str], CountryUsage]
    others: list[OtherCountry]
    ledger: LedgerTotals
    rejected: list[RejectedForReason]
    refused: list[RefusedObject]
    runs: list[Run]
    rankings: list[DayOfRankings]


def published_refresh(connection: Connection) -> int | None:
    """Return the refresh that made the published table as it is now; None when nothing is published."""
    rows = connection.run("SELECT refresh_id FROM voucher_customer.publication")
    return rows[0][0] if rows else None


def read_facts(database: Database) -> Facts | None:
    """Read everything as of one moment; None when nothing is published.

    Raises
    ------
    pg8000.exceptions.DatabaseError
        When a statement takes too long.
    SegmentRulesError
        When the rules contradict themselves.
    """
    with database.transaction() as connection:
        connection.run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        connection.run(f"SET LOCAL statement_timeout = '{_STATEMENT_TIMEOUT}'")
        publication = connection.run(_READ_PUBLICATION)
        if not publication:
            return None
        refresh_id, as_of, published_at, countries, partial, changes, *rules = publication[0]
        families = read_families(connection)
        # By any of them each country has the same rows, unless refused objects lack it.
        dimension = next((str(family.dimension) for family in families if family.segment_name not in partial), "")
        return Facts(
            refresh_id,
            as_of,
            published_at,
            countries,
            partial,
            msgspec.convert(changes, list[RankingChange]),
            _rows(connection, _READ_TABLE, PublishedRow),
            families,
            _read_usage(connection, families, countries, UnknownRules(*rules)),
            _rows(
                connection,
                _READ_OTHERS,
                OtherCountry,
                countries=countries,
                dimension=dimension,
                at_most=MAX_OTHER_COUNTRIES,
            ),
            _rows(connection, _READ_LEDGER, LedgerTotals)[0],
            _rows(connection, _READ_REJECTED, RejectedForReason),
            _rows(connection, _READ_REFUSED, RefusedObject, at_most=MAX_OBJECTS_REFUSED),
            _rows(connection, _READ_RUNS, Run, at_most=MAX_RUNS),
            _rows(connection, _READ_RANKINGS, DayOfRankings, as_of=as_of, at_most=MAX_DAYS_OF_RANKINGS),
        )


def _read_usage(
    connection: Connection, families: Sequence[Family], countries: Sequence[str], unknowns: UnknownRules
) -> dict[tuple[str, str], CountryUsage]:
    """Read the usage by each family's dimension, in which unknown amounts and numbers are 0 or left out."""
    dimensions = {str(family.dimension): family.dimension for family in families}
    usage = {}
    for country, name, *columns in connection.run(_READ_USAGE, countries=list(countries), dimensions=list(dimensions)):
        value, amount, rows = (np.fromstring(column, np.int64, sep=",") for column in columns)
        is_number = dimensions[name].kind == "number"
        kept = (amount >= 0) | unknowns.amount_is_used
        kept &= (value >= 0) | unknowns.number_has_segment | (not is_number)
        known = np.maximum(value, 0) if is_number else value
        usage[country, name] = CountryUsage(known[kept], np.maximum(amount, 0)[kept], rows[kept])
    return usage


Row = TypeVar("Row", bound=msgspec.Struct)


def _rows(connection: Connection, query: str, kind: type[Row], **values: object) -> list[Row]:
    """Run a query whose rows come as one value: pg8000 takes rows apart field by field, which is slow."""
    statement = f"SELECT CAST(json_agg(found) AS text) FROM ({query}) AS found"  # noqa: S608 - a query of this module
    [[rows]] = connection.run(statement, **values)
    return msgspec.json.decode(rows or "[]", type=list[kind])  # type: ignore[valid-type]
