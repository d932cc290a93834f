"""Trial tables: what usage gives by some rules, for an answer, without publishing it."""

from collections.abc import Sequence
from typing import Any, TypeVar

from pg8000.native import Connection

from functions.common.families import SegmentOfCountry
from functions.common.ranking import Doubt, rank
from functions.refresh.publishing.unknowns import count_by_segment

MAX_CELLS = 1000
"""The most segments and amounts in an answer: Step Functions, which hands it on, takes 256 KB."""

_COUNT = f"""
    SELECT country_code, segment_name, segment_type, min_range, max_range,
           json_agg(json_build_array(voucher_amount, count) ORDER BY voucher_amount)
    FROM ({count_by_segment("%s")}) AS counted
    GROUP BY country_code, segment_name, segment_type, min_range, max_range
    ORDER BY country_code, segment_name, min_range
"""  # noqa: S608 - made of constants


class CountedSegment(SegmentOfCountry, frozen=True):
    """A segment with every amount and its count, the lowest amount first; the most used ones, and how sure they are."""

    min_range: int
    max_range: int
    amounts: list[tuple[int, int]]
    voucher_amount: list[int]
    vouchers: int
    doubt: Doubt


Counted = TypeVar("Counted", bound=CountedSegment)


def count_segments(connection: Connection, kind: type[Counted], used: str, **given: Any) -> list[Counted]:
    """Count usage by segment.

    Parameters
    ----------
    kind : type
        The class of the result for each segment.
    used : str
        A query of this code for the usage: `country_code`, `dimension`, `value`, `voucher_amount` and `count`.
    **given : object
        The parameters that `place_totals` returns, and others of the query.
    """
    return [_segment(kind, *row) for row in connection.run(_COUNT % used, **given)]


def describe_excess(segments: Sequence[CountedSegment]) -> str | None:
    """Return how many segments and amounts there are, if they are more than an answer holds."""
    cells = sum(1 + len(segment.amounts) for segment in segments)
    return f"{cells:,} segments and amounts, an answer holds {MAX_CELLS:,}" if cells > MAX_CELLS else None


def _segment(
    kind: type[Counted], country: str, name: str, label: str, low: int, high: int, amounts: list[list[int]]
) -> Counted:
    used = [(amount, count) for amount, count in amounts]
    ranked = rank(used)
    most_used = ranked.most_used.voucher_amount
    return kind(country, name, label, low, high, used, most_used, ranked.vouchers, ranked.doubt)
