"""Placing: the segment of every value of a dimension, by the rules and as of a day."""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

from pg8000.native import Connection

from functions.common.families import Family
from functions.refresh.publishing.unknowns import UnknownRules

Placed = dict[str, Any]
"""The parameters of statements that count by segment: values with segments, countries, use of unknown amounts."""

_COLUMNS = ("dimension", "value", "segment_name", "segment_type", "min_range", "max_range")

_OCCURRING = """
    SELECT dimension, value, CAST(sum(count) AS bigint) FROM voucher_customer.usage_totals
    WHERE country_code = ANY (CAST(:countries AS text[])) AND dimension = ANY (CAST(:dimensions AS text[]))
    GROUP BY dimension, value
"""


def place_totals(
    connection: Connection, families: Sequence[Family], countries: Sequence[str], as_of: date, unknowns: UnknownRules
) -> tuple[Placed, dict[str, int]]:
    """Find the segment of every value of the totals of countries, and count the records that none covers, by family."""
    dimensions = list({str(family.dimension) for family in families})
    occurring = connection.run(_OCCURRING, countries=list(countries), dimensions=dimensions)
    return place(families, occurring, countries, as_of, unknowns)


def place(
    families: Sequence[Family],
    occurring: Iterable[Sequence[Any]],
    countries: Sequence[str],
    as_of: date,
    unknowns: UnknownRules,
) -> tuple[Placed, dict[str, int]]:
    """Find the segment of every value of a dimension that occurs, and count the records that none covers, by family.

    Parameters
    ----------
    occurring : iterable of (str, int, int)
        Dimensions, their values, and how many records have each.
    """
    by_dimension: dict[str, list[tuple[int, int]]] = {}
    for dimension, value, count in occurring:
        by_dimension.setdefault(dimension, []).append((value, count))
    rows: list[tuple[object, ...]] = []
    unplaced = {family.segment_name: 0 for family in families}
    for family in families:
        for value, count in by_dimension.get(str(family.dimension), []):
            has_number = unknowns.number_has_segment or not family.dimension.is_unknown(value)
            segment = family.covering(family.dimension.number(value, as_of)) if has_number else None
            if segment is None:
                unplaced[family.segment_name] += count
            else:
                rows.append((str(family.dimension), value, *segment))
    columns = {name: [row[number] for row in rows] for number, name in enumerate(_COLUMNS)}
    return {**columns, "countries": list(countries), "amount_is_used": unknowns.amount_is_used}, unplaced
