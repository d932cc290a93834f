"""What if the rules were others: today's totals placed by them, beside what is published; nothing is written."""

from collections.abc import Sequence
from datetime import date
from typing import Annotated

import msgspec
from pg8000.native import Connection

from functions.common.database import Database
from functions.common.dimensions import combine
from functions.common.families import Family, Segment, check_families
from functions.common.ranking import Doubt, Ranking, RankingChange, changed_rankings, rank
from functions.refresh.ledger.completeness import count_lacking
from functions.refresh.publishing.causes import read_basis
from functions.refresh.publishing.cuts import Cuts, suggest_cuts
from functions.refresh.publishing.placing import place
from functions.refresh.publishing.rankings import read_rankings
from functions.refresh.publishing.unknowns import UnknownRules

MAX_CELLS = 1000
"""Segments and amounts in an answer: the state machine that brings it takes 256 KB."""

MAX_COUNTRIES = 10
"""Countries of which cuts are suggested, those with the most records."""

_OCCURRING = """
    SELECT dimension, value, CAST(sum(count) AS bigint) FROM voucher_customer.usage_totals
    WHERE country_code = ANY (CAST(:countries AS text[])) AND dimension = ANY (CAST(:dimensions AS text[]))
    GROUP BY dimension, value
"""

_TABLE = """
    SELECT country_code, segment_name, segment_type, min_range, max_range,
           json_agg(json_build_array(voucher_amount, count) ORDER BY voucher_amount)
    FROM (
        SELECT country_code, segment_name, segment_type, min_range, max_range, voucher_amount, sum(count) AS count
        FROM (
            SELECT country_code, dimension, value, greatest(voucher_amount, 0) AS voucher_amount, count
            FROM voucher_customer.usage_totals WHERE :amount_is_used OR voucher_amount >= 0
        ) AS used JOIN unnest(
            CAST(:dimension AS text[]), CAST(:value AS bigint[]), CAST(:segment_name AS text[]),
            CAST(:segment_type AS text[]), CAST(:min_range AS integer[]), CAST(:max_range AS integer[])
        ) AS placed (dimension, value, segment_name, segment_type, min_range, max_range) USING (dimension, value)
        WHERE country_code = ANY (CAST(:countries AS text[]))
        GROUP BY country_code, segment_name, segment_type, min_range, max_range, voucher_amount
    ) AS counted
    GROUP BY country_code, segment_name, segment_type, min_range, max_range
    ORDER BY country_code, segment_name, min_range
"""

_USAGE = """
    SELECT json_agg(json_build_array(value, greatest(voucher_amount, 0), count)) FROM voucher_customer.usage_totals
    WHERE country_code = :country_code AND dimension = :dimension AND (:amount_is_used OR voucher_amount >= 0)
"""

_LARGEST = """
    SELECT country_code FROM voucher_customer.usage_totals WHERE country_code = ANY (CAST(:countries AS text[]))
    GROUP BY country_code ORDER BY sum(count) DESC, country_code LIMIT :at_most
"""


class WhatIfError(Exception):
    """The question cannot be answered; the message says what to ask instead."""


_Number = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Families and ranges, as rows of `segment_families` and `customer_segments`."""

    families: list[tuple[str, str]]
    segments: list[tuple[str, str, _Number, _Number]]


class WhatIfRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rules to try, as of a day, for some countries; without these as of the day and for the countries published."""

    what_if: Rules
    as_of: date | None = None
    countries: list[str] = []


class WouldBe(msgspec.Struct, frozen=True):
    """A segment as it would be published: every amount with its count, the most used ones, and how sure they are."""

    country_code: str
    segment_name: str
    segment_type: str
    min_range: int
    max_range: int
    amounts: list[tuple[int, int]]
    voucher_amount: list[int]
    vouchers: int
    doubt: Doubt


class Suggestion(msgspec.Struct, frozen=True):
    """Where to cut a family's dimension in a country, into as many segments as the family has at most."""

    country_code: str
    segment_name: str
    cuts: Cuts


class WhatIf(msgspec.Struct, frozen=True):
    """What would be published.

    Attributes
    ----------
    rows_in_no_segment : dict of str to int
        Records that no segment would cover, by family.
    not_counted : dict of str to int
        Families that could not be published, because so many counted objects lack their dimension.
    changes : list of RankingChange
        Segments whose most used amounts would be others than those that are published.
    suggestions : list of Suggestion
        Cut points of the countries with the most records.
    """

    as_of: str
    countries: list[str]
    segments: list[WouldBe]
    rows_in_no_segment: dict[str, int]
    not_counted: dict[str, int]
    changes: list[RankingChange]
    suggestions: list[Suggestion]


def tell_what_if(database: Database, request: WhatIfRequest) -> WhatIf:
    """Return the table that other rules would give, and how it differs from what is published; nothing is written.

    Raises
    ------
    SegmentRulesError
        When the rules contradict themselves.
    WhatIfError
        When nothing is published, or the table is too large for an answer.
    """
    families = check_families(request.what_if.families, (Segment(*row) for row in request.what_if.segments))
    with database.transaction() as connection:
        connection.run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        basis = read_basis(connection)
        if basis is None:
            raise WhatIfError("nothing is published to compare with: run make refresh first")
        as_of, countries = request.as_of or basis.as_of, request.countries or list(basis.countries)
        not_counted = _not_counted(connection, families)
        families = [family for family in families if family.segment_name not in not_counted]
        dimensions = list({str(family.dimension) for family in families})
        occurring = connection.run(_OCCURRING, countries=countries, dimensions=dimensions)
        placed, unplaced = place(families, occurring, as_of, basis.unknowns)
        given = {"countries": countries, "amount_is_used": basis.unknowns.amount_is_used, **placed._asdict()}
        segments = [_would_be(*row) for row in connection.run(_TABLE, **given)]
        if (cells := sum(1 + len(segment.amounts) for segment in segments)) > MAX_CELLS:
            what = f"there would be {cells:,} segments and amounts, an answer holds {MAX_CELLS:,}"
            raise WhatIfError(f"{what}: name fewer countries")
        changes = _changes(read_rankings(connection), segments, countries, not_counted)
        suggestions = _suggestions(connection, families, countries, as_of, basis.unknowns)
    return WhatIf(as_of.isoformat(), countries, segments, unplaced, not_counted, changes, suggestions)


def _not_counted(connection: Connection, families: Sequence[Family]) -> dict[str, int]:
    lacking = count_lacking(connection, combine(family.dimension for family in families))
    waiting = {family.segment_name: lacking.get(str(family.dimension), (0, 0))[0] for family in families}
    return {name: objects for name, objects in waiting.items() if objects}


def _would_be(country: str, name: str, kind: str, low: int, high: int, amounts: list[list[int]]) -> WouldBe:
    used = [(amount, count) for amount, count in amounts]
    ranked = rank(used)
    most_used = ranked.most_used.voucher_amount
    return WouldBe(country, name, kind, low, high, used, most_used, ranked.vouchers, ranked.doubt)


def _changes(
    published: Sequence[Ranking], segments: Sequence[WouldBe], countries: Sequence[str], not_counted: dict[str, int]
) -> list[RankingChange]:
    asked = [one for one in published if one.country_code in countries and one.segment_name not in not_counted]
    would_be = [
        Ranking(one.country_code, one.segment_name, one.segment_type, one.voucher_amount, one.vouchers, one.vouchers)
        for one in segments
    ]
    return changed_rankings(asked, would_be)


def _suggestions(
    connection: Connection, families: Sequence[Family], countries: Sequence[str], as_of: date, unknowns: UnknownRules
) -> list[Suggestion]:
    largest = [name for (name,) in connection.run(_LARGEST, countries=list(countries), at_most=MAX_COUNTRIES)]
    suggestions = []
    for country in largest:
        for family in families:
            dimension = family.dimension
            asked = {"country_code": country, "dimension": str(dimension), "amount_is_used": unknowns.amount_is_used}
            [[usage]] = connection.run(_USAGE, **asked)
            numbers = [
                (dimension.number(value, as_of), amount, count)
                for value, amount, count in usage or []
                if unknowns.number_has_segment or not dimension.is_unknown(value)
            ]
            if numbers:
                cuts = suggest_cuts(numbers, len(family.segments))
                suggestions.append(Suggestion(country, family.segment_name, cuts))
    return suggestions
