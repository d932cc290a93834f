"""Ranking: the most used amounts of each segment, and which of them a publication changes."""

from collections.abc import Sequence

import msgspec


class Ranking(msgspec.Struct, frozen=True):
    """The most used amounts of a segment in a country.

    Attributes
    ----------
    voucher_amount : list of int
        Those with the highest count, lowest first; more than one when they are tied.
    count : int
        How often each of them was used.
    vouchers : int
        All vouchers in the segment.
    """

    country_code: str
    segment_name: str
    segment_type: str
    voucher_amount: list[int]
    count: int
    vouchers: int


class RankingChange(msgspec.Struct, frozen=True):
    """A segment whose most used amounts are others than before.

    Attributes
    ----------
    before, after : list of int
        The most used amounts, lowest first; empty where no voucher was or is in the segment.
    """

    country_code: str
    segment_name: str
    segment_type: str
    before: list[int]
    after: list[int]


def changed_rankings(before: Sequence[Ranking], after: Sequence[Ranking]) -> list[RankingChange]:
    """Return the segments whose rankings differ between two published tables.

    Examples
    --------
    >>> before = [Ranking("Peru", "frequent_segment", "0-4", [2640], 3, 5)]
    >>> after = [Ranking("Peru", "frequent_segment", "0-4", [2640, 4400], 4, 8)]
    >>> changed_rankings(before, after)[0].after
    [2640, 4400]
    >>> changed_rankings(after, after)
    []
    """
    old, new = _amounts(before), _amounts(after)
    return [
        RankingChange(*segment, before=old.get(segment, []), after=new.get(segment, []))
        for segment in {**new, **old}
        if old.get(segment) != new.get(segment)
    ]


def _amounts(rankings: Sequence[Ranking]) -> dict[tuple[str, str, str], list[int]]:
    return {
        (ranking.country_code, ranking.segment_name, ranking.segment_type): ranking.voucher_amount
        for ranking in rankings
    }
