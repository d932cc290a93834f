"""What if: today's totals placed by other rules, compared with what is published; nothing is written."""

from collections.abc import Sequence
from datetime import date
from typing import Annotated

import msgspec
from pg8000.native import Connection

from functions.common.database import Database
from functions.common.dimensions import combine
from functions.common.families import Family, Segment, check_families
from functions.common.ranking import Ranking, RankingChange, changed_rankings
from functions.refresh.ledger.completeness import count_lacking
from functions.refresh.publishing.causes import read_basis
from functions.refresh.publishing.cuts import Cuts, suggest_cuts
from functions.refresh.publishing.placing import place_totals
from functions.refresh.publishing.rankings import read_rankings
from functions.refresh.publishing.trial import CountedSegment, count_segments, describe_excess
from functions.refresh.publishing.unknowns import USED_TOTALS, UnknownRules
from functions.refresh.usecases.events import QuestionError

MAX_COUNTRIES = 10
"""Countries of which cuts are suggested, those with the most records."""

_USAGE = f"""
    SELECT json_agg(json_build_array(value, voucher_amount, count)) FROM ({USED_TOTALS}) AS used
    WHERE country_code = :country_code AND dimension = :dimension
"""  # noqa: S608 - made of constants

_LARGEST = """
    SELECT country_code FROM voucher_customer.usage_totals WHERE country_code = ANY (CAST(:countries AS text[]))
    GROUP BY country_code ORDER BY sum(count) DESC, country_code LIMIT :at_most
"""


_Number = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Families and ranges, as rows of `segment_families` and `customer_segments`."""

    families: list[tuple[str, str]]
    segments: list[tuple[str, str, _Number, _Number]]


class WhatIfRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rules to try, as of a day and for some countries; by default the published day and countries."""

    what_if: Rules
    as_of: date | None = None
    countries: list[str] = []


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
        Families that could not be published, and how many counted objects lack their dimension.
    changes : list of RankingChange
        Segments whose most used amounts would differ from the published ones.
    suggestions : list of Suggestion
        Cut points of the countries with the most records.
    """

    as_of: str
    countries: list[str]
    segments: list[CountedSegment]
    rows_in_no_segment: dict[str, int]
    not_counted: dict[str, int]
    changes: list[RankingChange]
    suggestions: list[Suggestion]


def answer_what_if(database: Database, request: WhatIfRequest) -> WhatIf:
    """Return the table that other rules would give, and how it differs from what is published; nothing is written.

    Raises
    ------
    SegmentRulesError
        When the rules contradict themselves.
    QuestionError
        When nothing is published, or the table is too large for an answer.
    """
    families = check_families(request.what_if.families, (Segment(*row) for row in request.what_if.segments))
    with database.transaction() as connection:
        connection.run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        basis = read_basis(connection)
        if basis is None:
            raise QuestionError("nothing is published to compare with: run make refresh first")
        as_of, countries = request.as_of or basis.as_of, request.countries or list(basis.countries)
        not_counted = _not_counted(connection, families)
        families = [family for family in families if family.segment_name not in not_counted]
        placed, unplaced = place_totals(connection, families, countries, as_of, basis.unknowns)
        segments = count_segments(connection, CountedSegment, USED_TOTALS, **placed)
        if excess := describe_excess(segments):
            raise QuestionError(f"there would be {excess}: name fewer countries")
        changes = _changes(read_rankings(connection), segments, countries, not_counted)
        suggestions = _suggestions(connection, families, countries, as_of, basis.unknowns)
    return WhatIf(as_of.isoformat(), countries, segments, unplaced, not_counted, changes, suggestions)


def _not_counted(connection: Connection, families: Sequence[Family]) -> dict[str, int]:
    lacking = count_lacking(connection, combine(family.dimension for family in families))
    waiting = {family.segment_name: lacking.get(str(family.dimension), (0, 0))[0] for family in families}
    return {name: objects for name, objects in waiting.items() if objects}


def _changes(
    published: Sequence[Ranking],
    segments: Sequence[CountedSegment],
    countries: Sequence[str],
    not_counted: dict[str, int],
) -> list[RankingChange]:
    asked = [one for one in published if one.country_code in countries and one.segment_name not in not_counted]
    would_be = [Ranking(*one.segment_key, one.voucher_amount, one.vouchers, one.vouchers) for one in segments]
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
