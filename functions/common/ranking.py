"""Ranking: most used, runner-up and ties of a segment, written once for publication, API, report and metrics."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from datetime import date
from heapq import nlargest
from math import isqrt
from typing import Annotated, Generic, Literal, TypeVar

import msgspec

from functions.common.families import SegmentKey, SegmentOfCountry

Amount = TypeVar("Amount", int, float)
Key = TypeVar("Key", bound=Hashable)

Count = Annotated[int, msgspec.Meta(ge=0)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]

# If both amounts are equally popular, a lead with z of 1.96 comes by chance once in twenty times. Below thirty
# vouchers the normal distribution does not hold.
_DECIDED_AT_HUNDREDTHS = 196
_DECIDED_AT_VOUCHERS = 30


def share(part: int, whole: int) -> float:
    """Return a part as a share of the whole, to four decimals: the form of every share in an answer."""
    return round(part / whole, 4)


class Doubt(msgspec.Struct, frozen=True):
    """How sure the most used amount of a segment is, judged by the counts.

    Attributes
    ----------
    lead : int
        How many vouchers the most used amount has more than the second; 0 when amounts are tied.
    lead_share : float
        The lead as a share of the segment's vouchers, to four decimals.
    z : float
        The lead divided by its standard error, rounded down to two decimals.
    decided : bool
        Whether z is 1.96 or more, and the two amounts have 30 vouchers or more.
    """

    lead: Count
    lead_share: Share
    z: Annotated[float, msgspec.Meta(ge=0)]
    decided: bool


def measure_doubt(first: int, second: int, vouchers: int) -> Doubt:
    """Measure how sure the first place of a segment is.

    The sign test on the two leading categories of a multinomial: z = (n1 - n2) / sqrt(n1 + n2). In whole numbers
    throughout, so that z and its limit agree however large the counts are.

    Parameters
    ----------
    first, second : int
        The highest count, which is above 0, and the next: the same when amounts are tied, 0 when there is no other.
    vouchers : int
        All vouchers in the segment.

    Examples
    --------
    >>> measure_doubt(16681, 8559, 41407)
    Doubt(lead=8122, lead_share=0.1962, z=51.12, decided=True)
    >>> measure_doubt(3, 2, 5)
    Doubt(lead=1, lead_share=0.2, z=0.44, decided=False)
    """
    lead, both = first - second, first + second
    hundredths = isqrt(10_000 * lead * lead // both)
    decided = hundredths >= _DECIDED_AT_HUNDREDTHS and both >= _DECIDED_AT_VOUCHERS
    return Doubt(lead, share(lead, vouchers), hundredths / 100, decided)


class Unknown(msgspec.Struct, frozen=True):
    """Which shares of vouchers have an unknown amount or number; as shipped both count as 0.

    Attributes
    ----------
    amount_share : float
        The share of vouchers whose amount is null, NaN or blank, to four decimals.
    number_share : float
        The share of vouchers whose number, such as `total_orders`, is null, NaN or blank; 0 in families of days.
    """

    amount_share: Share
    number_share: Share


def measure_unknown(vouchers: int, unknown_amounts: int, unknown_numbers: int) -> Unknown:
    """Return the shares of unknown amounts and numbers among vouchers, of which there has to be at least one.

    Examples
    --------
    >>> measure_unknown(7, 3, 4)
    Unknown(amount_share=0.4286, number_share=0.5714)
    """
    return Unknown(share(unknown_amounts, vouchers), share(unknown_numbers, vouchers))


class Place(msgspec.Struct, Generic[Amount], frozen=True):
    """Amounts that were used equally often.

    Attributes
    ----------
    voucher_amount : list of int or float
        The amounts, lowest first.
    count : int
        How often each of them was used.
    """

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
    doubt : Doubt
        How sure the first place is.
    """

    most_used: Place[Amount]
    runner_up: Place[Amount] | None
    vouchers: int
    doubt: Doubt


def rank(counts: Iterable[tuple[Amount, int]]) -> Ranked[Amount]:
    """Rank the amounts of a segment, of which there has to be at least one.

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
    most_used, runner_up = places[0], places[1] if len(places) > 1 else None
    vouchers = sum(count for _, count in ordered)
    is_tied = len(most_used.voucher_amount) > 1
    second = most_used.count if is_tied else runner_up.count if runner_up else 0
    return Ranked(most_used, runner_up, vouchers, measure_doubt(most_used.count, second, vouchers))


def drift(counts: Mapping[int, int], others: Mapping[int, int]) -> float:
    """Return by how much the shares of amounts differ, from 0 for the same shares to 1 for no amount in common.

    The total variation distance, to four decimals: the smallest share of vouchers that would need other amounts.

    Parameters
    ----------
    counts, others : mapping of int to int
        How often each amount was used, of one set of vouchers and of the other; there has to be a voucher in each.

    Examples
    --------
    >>> drift({2640: 3, 4400: 1}, {2640: 1, 4400: 1})
    0.25
    """
    both = sum(counts.values()) * sum(others.values())
    apart = sum(
        abs(counts.get(amount, 0) * sum(others.values()) - others.get(amount, 0) * sum(counts.values()))
        for amount in counts.keys() | others.keys()
    )
    return share(apart, 2 * both)


class Ranking(SegmentOfCountry, frozen=True):
    """The most used amounts of a segment in a country.

    Attributes
    ----------
    voucher_amount : list of int
        Those with the highest count, lowest first; more than one when they are tied.
    count : int
        How often each of them was used.
    vouchers : int
        All vouchers in the segment.
    lead : int or None
        As in `Doubt`; None in rankings that were kept before it was recorded.
    """

    voucher_amount: list[int]
    count: int
    vouchers: int
    lead: int | None = None

    @property
    def doubt(self) -> Doubt | None:
        """How sure the first place is; None where the lead is not known."""
        return None if self.lead is None else measure_doubt(self.count, self.count - self.lead, self.vouchers)


def since_when(days: Iterable[tuple[date, Mapping[Key, list[int]]]]) -> dict[Key, date]:
    """Return for each segment since which day its most used amounts have been those of the latest day, without a break.

    Parameters
    ----------
    days : iterable of (date, mapping)
        As-of days with the most used amounts of their segments, the latest day first.

    Examples
    --------
    >>> monday, tuesday = date(2020, 6, 15), date(2020, 6, 16)
    >>> since_when([(tuesday, {"0-4": [2640], "5-13": [4400]}), (monday, {"0-4": [2640], "5-13": [3520]})])
    {'0-4': datetime.date(2020, 6, 15), '5-13': datetime.date(2020, 6, 16)}
    """
    since: dict[Key, date] = {}
    unbroken: Mapping[Key, list[int]] | None = None
    for day, amounts in days:
        latest = amounts if unbroken is None else unbroken
        unbroken = {segment: most for segment, most in latest.items() if amounts.get(segment) == most}
        since |= dict.fromkeys(unbroken, day)
    return since


Cause = Literal["first_publication", "countries", "rules", "as_of", "data"]
"""Why most used amounts changed: a first publication, or other countries, rules, as-of day or data."""


class ChangedObject(msgspec.Struct, frozen=True):
    """An object that contributed to a change.

    Attributes
    ----------
    key : str
        Its key.
    etag : str or None
        ETag of the version that is counted now; null if none is.
    etag_before : str or None
        ETag of the version that was counted at the previous publication; null if none was.
    vouchers : int
        How many vouchers it added to the new most used amounts and took from the old ones, together.
    """

    key: str
    etag: str | None
    etag_before: str | None
    vouchers: int


class RankingChange(SegmentOfCountry, frozen=True):
    """A segment whose most used amounts changed.

    Attributes
    ----------
    before, after : list of int
        The most used amounts, lowest first; empty where no voucher was or is in the segment.
    causes : list of str
        Why the amounts changed, in the order in which causes are examined.
    objects : list of ChangedObject
        Where data is a cause, the objects that contributed most.
    """

    before: list[int]
    after: list[int]
    causes: list[Cause] = msgspec.field(default_factory=list)
    objects: list[ChangedObject] = msgspec.field(default_factory=list)


class KeptChange(RankingChange, frozen=True, kw_only=True):
    """A change with the refresh that published it, and that refresh's as-of day."""

    refresh_id: int
    as_of: date


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


def _amounts(rankings: Sequence[Ranking]) -> dict[SegmentKey, list[int]]:
    return {ranking.segment_key: ranking.voucher_amount for ranking in rankings}
