"""Facts: the rows of the tables that the report is made from."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from functions.common.families import Family, SegmentOfCountry
from functions.common.ranking import KeptChange, Ranking, RankingChange
from functions.refresh.results import Run

Integers = npt.NDArray[np.int64]


class PublishedRow(SegmentOfCountry, frozen=True):
    """A row of the published table."""

    min_range: int
    max_range: int
    voucher_amount: int
    count: int


class CountryUsage(NamedTuple):
    """The usage of a country by one dimension: in how many rows each value came with each amount."""

    value: Integers
    voucher_amount: Integers
    rows: Integers


class OtherCountry(msgspec.Struct, frozen=True):
    """The counted rows of a country that is not published, with the number of such countries and all their rows."""

    country_code: str
    rows: int
    countries: int
    rows_in_all: int


class LedgerTotals(msgspec.Struct, frozen=True):
    """The ledger's sums over all objects.

    Attributes
    ----------
    objects : int
        How many objects are counted.
    size : int
        Their bytes.
    rows_read, rows_counted : int
        Their rows.
    values_defaulted : dict of str to int
        Null or blank values of the counted rows, which count as 0, by column.
    objects_without_unknown : int
        Objects whose defaulted values are not known, because they were counted before that was recorded.
    objects_refused : int
        Objects that cannot be counted as they are now.
    """

    objects: int
    size: int
    rows_read: int
    rows_counted: int
    values_defaulted: dict[str, int]
    objects_without_unknown: int
    objects_refused: int


class RefusedObject(msgspec.Struct, frozen=True):
    """An object that cannot be counted, why, and since when."""

    key: str
    error: str
    since: datetime


class RejectedForReason(msgspec.Struct, frozen=True):
    """How many rows were rejected for a reason."""

    reason: str
    rows: int


class UnknownOfSegment(SegmentOfCountry, frozen=True):
    """The vouchers of a segment, and how many of them have an unknown amount or number."""

    vouchers: int
    amounts: int
    numbers: int


class DayOfRankings(msgspec.Struct, frozen=True):
    """The rankings as they were last published as of a day."""

    as_of: date
    rankings: list[Ranking]


class Facts(NamedTuple):
    """All that the report is made from.

    Attributes
    ----------
    refresh_id : int
        The refresh that published.
    families_partial : dict of str to int
        Families whose dimension refused objects lack, and how many.
    usage : mapping of (str, str) to CountryUsage
        The usage of the published countries, by country and dimension.
    others : list of OtherCountry
        The countries with the most rows that are not published.
    rejected : list of RejectedForReason
        The most frequent reason first.
    as_of_before : date or None
        The as-of day of the previous publication; None at the first.
    unknowns : list of UnknownOfSegment
        Empty until unknown values are counted apart in every object.
    runs, refused, rankings
        The latest first.
    changes_before : list of KeptChange
        The latest change of each segment until the first day of `rankings`.
    """

    refresh_id: int
    as_of: date
    published_at: datetime
    countries: list[str]
    families_partial: dict[str, int]
    changes: list[RankingChange]
    as_of_before: date | None
    table: list[PublishedRow]
    families: list[Family]
    usage: Mapping[tuple[str, str], CountryUsage]
    others: list[OtherCountry]
    ledger: LedgerTotals
    rejected: list[RejectedForReason]
    refused: list[RefusedObject]
    runs: list[Run]
    rankings: list[DayOfRankings]
    changes_before: list[KeptChange]
    unknowns: list[UnknownOfSegment]
