"""Segment families: a dimension, and the ranges of it that divide customers into segments."""

from bisect import bisect_right
from collections.abc import Iterable
from operator import attrgetter
from typing import NamedTuple

import msgspec

from functions.common.dimensions import Dimension, DimensionError, combine, parse_dimension


class Segment(NamedTuple):
    """One rule: customers whose number is in `min_range`..`max_range`, both included."""

    segment_name: str
    segment_type: str
    min_range: int
    max_range: int

    def __str__(self) -> str:
        return f"{self.segment_name} {self.segment_type} ({self.min_range}-{self.max_range})"


SegmentKey = tuple[str, str, str]
"""The country, the family and the label of a segment."""


class SegmentOfCountry(msgspec.Struct, frozen=True):
    """A segment in a country, by its names."""

    country_code: str
    segment_name: str
    segment_type: str

    @property
    def segment_key(self) -> SegmentKey:
        """The three names, to look it up by."""
        return self.country_code, self.segment_name, self.segment_type


class Family(NamedTuple):
    """A family with its segments, ordered by range."""

    segment_name: str
    dimension: Dimension
    segments: list[Segment]

    def covering(self, number: int) -> Segment | None:
        """Return the one segment that covers a number of the dimension, if there is one."""
        at = bisect_right(self.segments, number, key=attrgetter("min_range")) - 1
        return self.segments[at] if at >= 0 and number <= self.segments[at].max_range else None


class SegmentRulesError(Exception):
    """The segment rules contradict themselves; the message names the rules."""


def check_families(dimensions: Iterable[tuple[str, str]], segments: Iterable[Segment]) -> list[Family]:
    """Return the families with their ranges, sorted by name, or refuse them.

    Parameters
    ----------
    dimensions : iterable of (str, str)
        The rows of `segment_families`: names and dimensions.
    segments : iterable of Segment
        The rows of `customer_segments`.

    Raises
    ------
    SegmentRulesError
        When a family is listed twice, has no range or an unusable dimension; when a range runs backwards, has no
        family, overlaps another range of its family or has its label.
    """
    families: dict[str, Family] = {}
    for name, text in sorted(dimensions):
        if name in families:
            raise SegmentRulesError(f"{name} is twice in segment_families")
        try:
            families[name] = Family(name, parse_dimension(text), [])
            combine(family.dimension for family in families.values())
        except DimensionError as error:
            raise SegmentRulesError(f"{name}: {error}") from error
    for segment in sorted(segments, key=attrgetter("segment_name", "min_range", "max_range")):
        _add(segment, families)
    for name, family in families.items():
        if not family.segments:
            raise SegmentRulesError(f"{name} has no range in customer_segments")
    return list(families.values())


def _add(segment: Segment, families: dict[str, Family]) -> None:
    """Add a range to its family; the ranges of a family have to come in ascending order."""
    if segment.segment_name not in families:
        raise SegmentRulesError(f"{segment} belongs to no family: segment_families has {', '.join(families)}")
    if segment.min_range > segment.max_range:
        raise SegmentRulesError(f"{segment} runs backwards: min_range is above max_range")
    ranges = families[segment.segment_name].segments
    if ranges and segment.min_range <= ranges[-1].max_range:
        raise SegmentRulesError(f"{ranges[-1]} and {segment} overlap")
    if segment.segment_type in {other.segment_type for other in ranges}:
        raise SegmentRulesError(
            f"{segment.segment_name} has two ranges with the label {segment.segment_type}: give each its own"
        )
    ranges.append(segment)
