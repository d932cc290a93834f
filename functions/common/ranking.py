"""Ranking: most used, runner-up and ties of a segment, written once for publication, API, report and metrics."""

from collections.abc import Iterable, Sequence
from heapq import nlargest
from typing import Generic, TypeVar

import msgspec

Amount = TypeVar("Amount", int, float)


class Place(msgspec.Struct, Generic[Amount], frozen=True):
    """Amounts that were used equally often, lowest first, and how often each of them was."""

    voucher_amount: list[Amount]
    count: int


class Ranked(msgspec.Struct, Generic[Amount], frozen=True):
    """The amounts of a segment by how often they were used.

    Attributes
    ----------
    most_used : Place
        Those with the highest count; more than one amount when they are tied.
    runner_up : Place or None
        Those with the next lower count, if there are any.
    vouchers : int
        All vouchers in the segment.
    """

    most_used: Place[Amount]
    runner_up: Place[Amount] | None
    vouchers: int


def rank(counts: Iterable[tuple[Amount, int]]) -> Ranked[Amount]:
    """Rank the amounts of a segment; there has to be one.

    Examples
    --------
    >>> ranked = rank([(4400, 2), (2640, 3), (3520, 2)])
    >>> ranked.most_used
    Place(voucher_amount=[2640], count=3)
    >>> ranked.runner_up
    Place(voucher_amount=[3520, 4400], count=2)
    """
    ordered = sorted(counts)
    places = [
        Place([amount for amount, count in ordered if count == height], height)
        for height in nlargest(2, {count for _, count in ordered})
    ]
    return Ranked(places[0], places[1] if len(places) > 1 else None, sum(count for _, count in ordered))


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
