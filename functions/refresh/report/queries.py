"""Queries: read the facts in one transaction, never from parquet."""

from collections.abc import Sequence
from typing import TypeVar

import msgspec
import numpy as np
from pg8000.native import Connection

from functions.common.database import Database
from functions.common.families import Family
from functions.common.ranking import KeptChange, RankingChange
from functions.refresh.ledger.schema import read_families
from functions.refresh.publishing.countries import RECORDS
from functions.refresh.publishing.unknowns import UnknownRules
from functions.refresh.report.facts import (
    CountryUsage,
    DayOfRankings,
    Facts,
    LedgerTotals,
    OtherCountry,
    PublishedRow,
    RefusedObject,
    RejectedForReason,
    UnknownOfSegment,
)
from functions.refresh.results import Run

MAX_OTHER_COUNTRIES = 40
MAX_DAYS_OF_RANKINGS = 30
MAX_RUNS = 30
MAX_OBJECTS_REFUSED = 30

# Totals of voucher records never take this long. If other data does, no page is written.
_STATEMENT_TIMEOUT = "2s"

_READ_PUBLICATION = """
    SELECT refresh_id, as_of, published_at, refreshes.countries, families_partial, coalesce(rankings.changes, '[]'),
           (
               SELECT runs.as_of FROM voucher_customer.refreshes AS runs
               WHERE runs.refresh_id <> refreshes.refresh_id AND runs.outcome = 'published'
               ORDER BY runs.refresh_id DESC LIMIT 1
           ),
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

# As text that numpy parses at once: decoding hundreds of thousands of rows one by one would take seconds.
_READ_USAGE = """
    SELECT country_code, dimension, string_agg(CAST(value AS text), ','),
           string_agg(CAST(voucher_amount AS text), ','), string_agg(CAST(count AS text), ',')
    FROM voucher_customer.usage_totals
    WHERE country_code = ANY (CAST(:countries AS text[])) AND dimension = ANY (CAST(:dimensions AS text[]))
    GROUP BY country_code, dimension
"""

_READ_OTHERS = f"""
    SELECT country_code, records AS rows, count(*) OVER () AS countries,
           CAST(sum(records) OVER () AS bigint) AS rows_in_all
    FROM ({RECORDS}) AS counted
    WHERE country_code <> ALL (CAST(:countries AS text[]))
    ORDER BY records DESC, country_code LIMIT :at_most
"""  # noqa: S608 - made of constants

_READ_LEDGER = """
    SELECT count(etag) AS objects, coalesce(sum(size), 0) AS size, coalesce(sum(rows_read), 0) AS rows_read,
           coalesce(sum(rows_counted), 0) AS rows_counted,
           (
               SELECT coalesce(json_object_agg(name, rows ORDER BY name), '{}') FROM (
                   SELECT name, sum(CAST(rows AS bigint)) AS rows
                   FROM voucher_customer.ledger, jsonb_each_text(values_defaulted) AS filled (name, rows) GROUP BY name
               ) AS filled
           ) AS values_defaulted,
           count(*) FILTER (WHERE etag IS NOT NULL AND values_defaulted IS NULL) AS objects_without_unknown,
           count(error) AS objects_refused
    FROM voucher_customer.ledger
"""

_READ_REJECTED = """
    SELECT reason, sum(CAST(rows AS bigint)) AS rows
    FROM voucher_customer.ledger, jsonb_each_text(rows_rejected) AS rejected (reason, rows)
    GROUP BY reason ORDER BY 2 DESC, 1
"""

_READ_REFUSED = """
    SELECT key, left(error, 500) AS error, refused_since AS since FROM voucher_customer.ledger
    WHERE error IS NOT NULL ORDER BY refused_since DESC, key LIMIT :at_most
"""

_READ_RUNS = f"""
    SELECT {", ".join(name for name in Run.__struct_fields__ if name != "errors")},
           coalesce(string_to_array(left(error, 1000), chr(10)), '{{}}') AS errors
    FROM voucher_customer.refreshes ORDER BY refresh_id DESC LIMIT :at_most
"""  # noqa: S608 - made of constants

_READ_RANKINGS = """
    SELECT as_of, rankings FROM voucher_customer.rankings
    WHERE as_of <= :as_of ORDER BY as_of DESC LIMIT :at_most
"""

# The latest change of each segment until the first day of the rankings, which made the most used amounts of that day.
_READ_CHANGES_BEFORE = """
    SELECT DISTINCT ON (country_code, segment_name, segment_type)
           refresh_id, as_of, country_code, segment_name, segment_type, before, after
    FROM voucher_customer.ranking_changes WHERE as_of <= :as_of
    ORDER BY country_code, segment_name, segment_type, as_of DESC, refresh_id DESC
"""

_READ_UNKNOWNS = """
    SELECT country_code, segment_name, segment_type, vouchers, unknown_amounts AS amounts, unknown_numbers AS numbers
    FROM voucher_customer.segment_unknowns WHERE unknown_amounts IS NOT NULL
"""


def published_refresh(connection: Connection) -> int | None:
    """Return the refresh that made the published table as it is now; None when nothing is published."""
    rows = connection.run("SELECT refresh_id FROM voucher_customer.publication")
    return rows[0][0] if rows else None


def read_facts(database: Database) -> Facts | None:
    """Read everything as of one moment; None when nothing is published.

    Raises
    ------
    functions.common.database.StatementError
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
        refresh_id, as_of, published_at, countries, partial, changes, as_of_before, *rules = publication[0]
        families = read_families(connection)
        rankings = _rows(connection, _READ_RANKINGS, DayOfRankings, as_of=as_of, at_most=MAX_DAYS_OF_RANKINGS)
        first_day = rankings[-1].as_of if rankings else as_of
        return Facts(
            refresh_id,
            as_of,
            published_at,
            countries,
            partial,
            msgspec.convert(changes, list[RankingChange]),
            as_of_before,
            _rows(connection, _READ_TABLE, PublishedRow),
            families,
            _read_usage(connection, families, countries, UnknownRules(*rules)),
            _rows(connection, _READ_OTHERS, OtherCountry, countries=countries, at_most=MAX_OTHER_COUNTRIES),
            _rows(connection, _READ_LEDGER, LedgerTotals)[0],
            _rows(connection, _READ_REJECTED, RejectedForReason),
            _rows(connection, _READ_REFUSED, RefusedObject, at_most=MAX_OBJECTS_REFUSED),
            _rows(connection, _READ_RUNS, Run, at_most=MAX_RUNS),
            rankings,
            _rows(connection, _READ_CHANGES_BEFORE, KeptChange, as_of=first_day),
            _rows(connection, _READ_UNKNOWNS, UnknownOfSegment),
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
    """Run a query whose rows come as one value, because pg8000 decodes rows field by field, which is slow."""
    statement = f"SELECT CAST(json_agg(found) AS text) FROM ({query}) AS found"  # noqa: S608 - a query of this module
    [[rows]] = connection.run(statement, **values)
    return msgspec.json.decode(rows or "[]", type=list[kind])  # type: ignore[valid-type]
