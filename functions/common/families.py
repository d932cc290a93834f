"""Segments: ranges of a dimension that divide customers into groups."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from datetime import date
from itertools import pairwise
from operator import attrgetter
from typing import NamedTuple

from functions.common.days import days_since_last_order

FREQUENT = "frequent_segment"
RECENCY = "recency_segment"

DIMENSION_OF_FAMILY = {FREQUENT: "total_orders", RECENCY: "last_order_day"}
"""The dimension that each segment family is a range of."""


class Segment(NamedTuple):
    """One rule: customers whose number lies in `min_range`..`max_range`, both included."""

    segment_name: str
    segment_type: str
    min_range: int
    max_range: int

    def __str__(self) -> str:
        return f"{self.segment_name} {self.segment_type} ({self.min_range}-{self.max_range})"


class SegmentRulesError(Exception):
    """The segment rules contradict themselves; the message names the rules."""


def check_segments(segments: Iterable[Segment]) -> list[Segment]:
    """Return the rules ordered by family and range, or refuse them.

    Raises
    ------
    SegmentRulesError
        When there is no rule, a family is unknown, a range runs backwards or two ranges of a family overlap.
    """
    ordered = sorted(segments, key=lambda segment: (segment.segment_name, segment.min_range, segment.max_range))
    if not ordered:
        raise SegmentRulesError("there is no segment rule: customer_segments is empty")
    for segment in ordered:
        if segment.segment_name not in DIMENSION_OF_FAMILY:
            known = ", ".join(DIMENSION_OF_FAMILY)
            raise SegmentRulesError(f"{segment} is of no known family: segment_name is one of {known}")
        if segment.min_range > segment.max_range:
            raise SegmentRulesError(f"{segment} runs backwards: min_range is above max_range")
    for first, second in pairwise(ordered):
        if first.segment_name == second.segment_name and second.min_range <= first.max_range:
            raise SegmentRulesError(f"{first} and {second} overlap")
    return ordered


def segment_number(segment_name: str, value: int, as_of: date) -> int:
    """Return the number that a family's ranges speak of.

    Parameters
    ----------
    segment_name : str
        The segment family.
    value : int
        The family's dimension: orders, or the day number of the last order.
    as_of : date
        The as-of day.
    """
    return days_since_last_order(as_of, value) if segment_name == RECENCY else value


def covering_segment(family: Sequence[Segment], number: int) -> Segment | None:
    """Find the one segment that covers a number, if there is one.

    Parameters
    ----------
    family : sequence of Segment
        The rules of one family as `check_segments` orders them.
    number : int
        Days since last order, or orders.
    """
    at = bisect_right(family, number, key=attrgetter("min_range")) - 1
    return family[at] if at >= 0 and number <= family[at].max_range else None
