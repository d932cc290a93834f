"""Ranking: the most used amounts of each segment, and which of them a publication changes."""

from collections.abc import Sequence

import msgspec


class Winner(msgspec.Struct, frozen=True):
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


class WinnerChange(msgspec.Struct, frozen=True):
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


def changed_winners(before: Sequence[Winner], after: Sequence[Winner]) -> list[WinnerChange]:
    """Return the segments whose winners differ between two published tables.

    Examples
    --------
    >>> before = [Winner("Peru", "frequent_segment", "0-4", [2640], 3, 5)]
    >>> after = [Winner("Peru", "frequent_segment", "0-4", [2640, 4400], 4, 8)]
    >>> changed_winners(before, after)[0].after
    [2640, 4400]
    >>> changed_winners(after, after)
    []
    """
    old, new = _amounts(before), _amounts(after)
    return [
        WinnerChange(*segment, before=old.get(segment, []), after=new.get(segment, []))
        for segment in {**new, **old}
        if old.get(segment) != new.get(segment)
    ]


def _amounts(winners: Sequence[Winner]) -> dict[tuple[str, str, str], list[int]]:
    return {
        (winner.country_code, winner.segment_name, winner.segment_type): winner.voucher_amount for winner in winners
    }
