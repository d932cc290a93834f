"""Figures: the data of the report's page, limited in size however many values there are."""

from datetime import date, datetime

import msgspec

from functions.common.families import Segment
from functions.common.ranking import ChangedObject, Doubt
from functions.refresh.report.facts import LedgerTotals, OtherCountry, RefusedObject, RejectedForReason
from functions.refresh.results import Run

MAX_COUNTRIES = 100
MAX_AMOUNTS = 12
"""The most amounts of a country with a column of their own; the others are counted together."""

MAX_COLOURS = 6
"""The most amounts with a colour in its charts."""

MAX_TIED = 12
MAX_BINS = 40
HORIZONS = (0, 7, 30, 90)
"""Days after the as-of day for which the outlook shows the segments."""


class RankedAmounts(msgspec.Struct, frozen=True):
    """Amounts of a segment that were used equally often.

    Attributes
    ----------
    amounts : list of str
        The amounts, lowest first, `MAX_TIED` at most. Text, because a browser's numbers are not exact beyond 2^53.
    tied : int
        How many amounts have the count, including those beyond `MAX_TIED`.
    count : int
        How often each was used.
    """

    amounts: list[str]
    tied: int
    count: int


class MostUsed(RankedAmounts, frozen=True):
    """The amounts of a segment with the highest count, all its vouchers, and whether the first place is decided."""

    vouchers: int
    decided: bool


class Since(msgspec.Struct, frozen=True):
    """The as-of day since which amounts have been the most used ones; if it is not exact, perhaps for longer."""

    as_of: date
    is_exact: bool


class Unknown(msgspec.Struct, frozen=True):
    """All vouchers of a segment, and how many of them have an unknown amount and an unknown number."""

    vouchers: int
    amounts: int
    numbers: int


class SegmentFigures(msgspec.Struct, frozen=True):
    """A segment of the published table.

    Attributes
    ----------
    counts : list of int
        By amount, as `CountryFigures.amounts`, then of all others together.
    runner_up : RankedAmounts or None
        The amounts with the next lower count.
    since : Since or None
        Since when the most used amounts have been the same; None where no ranking is kept.
    unknown : Unknown or None
        None until unknown values are counted apart in every object.
    """

    segment_name: str
    segment_type: str
    min_range: int
    max_range: int
    counts: list[int]
    most_used: MostUsed
    runner_up: RankedAmounts | None
    doubt: Doubt
    since: Since | None
    unknown: Unknown | None


class Distribution(msgspec.Struct, frozen=True):
    """How the rows of a country spread over the values of a dimension.

    Attributes
    ----------
    edges : list of int
        The lowest value of each bin, then the one after the last.
    open_start, open_end : bool
        Whether the first and the last bin also hold all values beyond them.
    counts : list of list of int
        By bin, then by amount as `CountryFigures.colours`, then of all others together.
    """

    edges: list[int]
    open_start: bool
    open_end: bool
    counts: list[list[int]]


class Outlook(msgspec.Struct, frozen=True):
    """The segments of a family of days since a date, some days after the as-of day.

    Attributes
    ----------
    segments : list of MostUsed or None
        By rule, in the order of `FamilyFigures.rules`; None where no voucher would be.
    in_no_segment : int
        Rows that no segment would cover.
    """

    days: int
    segments: list[MostUsed | None]
    in_no_segment: int


class Totals(msgspec.Struct, frozen=True):
    """Numbers of a family by which a reader can check what is published of a country.

    Attributes
    ----------
    rows, in_segments : int
        Rows counted, and those of them that the published table counts.
    values, amounts, pairs : int
        How many values, amounts and pairs of both occur: a row that is there twice changes none of them.
    """

    segment_name: str
    rows: int
    in_segments: int
    values: int
    amounts: int
    pairs: int


class Stretch(msgspec.Struct, frozen=True, array_like=True):
    """Days one after the other on which a segment has the same most used amounts.

    Attributes
    ----------
    first_day : int
        The index of the first day in `Figures.days`.
    decided : bool or None
        The same on all of them; None in rankings that were kept before it was recorded.
    permille : list of int
        For each day, the share of the segment's vouchers that each of the amounts had, in thousandths.
    """

    first_day: int
    amounts: list[str]
    decided: bool | None
    permille: list[int]


class Trend(msgspec.Struct, frozen=True):
    """The most used amounts of a segment over the as-of days, in their order."""

    segment_name: str
    segment_type: str
    stretches: list[Stretch]


class Change(msgspec.Struct, frozen=True):
    """A segment whose most used amounts changed since the previous publication, at most `MAX_TIED` of each.

    Attributes
    ----------
    causes, objects
        As in `functions.common.ranking.RankingChange`.
    """

    country_code: str
    segment_name: str
    segment_type: str
    before: list[str]
    after: list[str]
    causes: list[str]
    objects: list[ChangedObject]


class CountryFigures(msgspec.Struct, frozen=True):
    """A published country.

    Attributes
    ----------
    amounts, other_amounts : list of str, int
        The amounts with a column of their own, lowest first, and how many amounts have none.
    colours : list of str
        The amounts with a colour, the most used first.
    distributions : dict of str to Distribution
        By dimension.
    outlook : dict of str to list of Outlook
        By segment family.
    """

    country_code: str
    amounts: list[str]
    other_amounts: int
    colours: list[str]
    segments: list[SegmentFigures]
    totals: list[Totals]
    distributions: dict[str, Distribution]
    outlook: dict[str, list[Outlook]]
    trends: list[Trend]


class FamilyFigures(msgspec.Struct, frozen=True):
    """A published segment family.

    Attributes
    ----------
    kind : str
        The kind of its dimension.
    field, label : str
        What a lookup needs, and its name for people.
    title, unit, values : str
        What the family, the numbers of its ranges and the values of its dimension are called.
    rules : list of Segment
        Its segments, by range.
    objects_lacking : int
        Refused objects that are not in its counts.
    """

    segment_name: str
    dimension: str
    kind: str
    field: str
    label: str
    title: str
    unit: str
    values: str
    rules: list[Segment]
    objects_lacking: int


class Figures(msgspec.Struct, frozen=True):
    """All figures of the report.

    Attributes
    ----------
    as_of_before : date or None
        The as-of day of the previous publication; None at the first.
    countries_left_out : int
        Published countries beyond the first `MAX_COUNTRIES`.
    families : list of FamilyFigures
        The families by which the table was published.
    days : list of date
        The as-of days of the trends.
    """

    refresh_id: int
    as_of: date
    as_of_before: date | None
    published_at: datetime
    countries: list[CountryFigures]
    countries_left_out: int
    others: list[OtherCountry]
    families: list[FamilyFigures]
    days: list[date]
    changes: list[Change]
    ledger: LedgerTotals
    rejected: list[RejectedForReason]
    refused: list[RefusedObject]
    runs: list[Run]
