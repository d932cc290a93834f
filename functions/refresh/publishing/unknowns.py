"""Unknown amounts and numbers: what they count as in the published table, and how many each segment has."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pg8000.native import Connection

from functions.common.families import Family
from functions.common.ranking import Unknown, measure_unknown
from functions.refresh.ledger.schema import count_wrong_rows

USED_TOTALS = """
    SELECT country_code, dimension, value, greatest(voucher_amount, 0) AS voucher_amount, count
    FROM voucher_customer.usage_totals WHERE :amount_is_used OR voucher_amount >= 0
"""
"""The totals as they are published: unknown amounts are 0, or left out."""

PLACED = """unnest(
    CAST(:dimension AS text[]), CAST(:value AS bigint[]), CAST(:segment_name AS text[]),
    CAST(:segment_type AS text[]), CAST(:min_range AS integer[]), CAST(:max_range AS integer[])
) AS placed (dimension, value, segment_name, segment_type, min_range, max_range)"""
"""SQL for the values of dimensions that are in a segment, each with its segment. See `placing.place`."""


def count_by_segment(used: str = USED_TOTALS) -> str:
    """Return a query for how often each amount was used in each segment, of a query for usage."""
    return f"""
        SELECT country_code, segment_name, segment_type, min_range, max_range, voucher_amount,
               CAST(sum(count) AS bigint) AS count
        FROM ({used}) AS used JOIN {PLACED} USING (dimension, value)
        WHERE country_code = ANY (CAST(:countries AS text[]))
        GROUP BY country_code, segment_name, segment_type, min_range, max_range, voucher_amount
    """  # noqa: S608 - made of constants


_DUE = f"""
    WITH due AS (
        SELECT country_code, segment_name, segment_type, CAST(sum(count) AS bigint) AS vouchers,
               CASE WHEN :is_apart THEN
                   coalesce(CAST(sum(count) FILTER (WHERE voucher_amount < 0) AS bigint), 0)
               END AS unknown_amounts,
               CASE WHEN :is_apart THEN
                   coalesce(CAST(sum(count) FILTER (
                       WHERE value < 0 AND dimension = ANY (CAST(:numbers AS text[]))
                   ) AS bigint), 0)
               END AS unknown_numbers
        FROM voucher_customer.usage_totals
        JOIN {PLACED} USING (dimension, value)
        WHERE country_code = ANY (CAST(:countries AS text[]))
        GROUP BY country_code, segment_name, segment_type
    )
"""  # noqa: S608 - made of constants

_PUBLISH = """
    , published AS (INSERT INTO voucher_customer.segment_unknowns TABLE due)
    SELECT segment_name, CAST(sum(vouchers) AS bigint), CAST(sum(unknown_amounts) AS bigint),
           CAST(sum(unknown_numbers) AS bigint)
    FROM due WHERE unknown_amounts IS NOT NULL GROUP BY segment_name ORDER BY segment_name
"""


class UnknownRules(NamedTuple):
    """What unknown amounts and numbers count as. By default as 0, as in the source system.

    Attributes
    ----------
    amount_is_used : bool
        Whether an unknown amount is published as the amount 0, and so may be the most used one; else such vouchers
        are not in the published table.
    number_has_segment : bool
        Whether an unknown number is 0, and so belongs to a segment; else such vouchers are in none of the family.
    """

    amount_is_used: bool = True
    number_has_segment: bool = True


AS_ZERO = UnknownRules()
"""As in the source system."""


def publish_unknowns(
    connection: Connection, families: Sequence[Family], placed: Mapping[str, Any], *, is_apart: bool
) -> dict[str, Unknown]:
    """Replace the counts of unknown amounts and numbers; they are null while objects are to be counted again.

    Returns
    -------
    dict of str to Unknown
        Their shares by family; empty while they are null.
    """
    connection.run("DELETE FROM voucher_customer.segment_unknowns")
    rows = connection.run(_DUE + _PUBLISH, **placed, numbers=_numbers(families), is_apart=is_apart)
    return {family: measure_unknown(*counts) for family, *counts in rows}


def count_wrong_unknowns(connection: Connection, families: Sequence[Family], placed: Mapping[str, Any]) -> int:
    """Return how many rows of `segment_unknowns` differ from what the totals give."""
    [[is_apart]] = connection.run(
        "SELECT NOT EXISTS (SELECT FROM voucher_customer.segment_unknowns WHERE unknown_amounts IS NULL)"
    )
    wrong = _DUE + count_wrong_rows("segment_unknowns")
    [[rows]] = connection.run(wrong, **placed, numbers=_numbers(families), is_apart=is_apart)
    return int(rows)


def _numbers(families: Sequence[Family]) -> list[str]:
    return [str(family.dimension) for family in families if family.dimension.kind == "number"]
