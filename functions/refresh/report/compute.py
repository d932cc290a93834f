"""Compute the page's figures from the facts, by the rules of the publication."""

from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

import numpy as np

from functions.common.families import Family, SegmentKey
from functions.common.ranking import Place, Ranked, rank
from functions.refresh.report.facts import CountryUsage, Facts, Integers, PublishedRow
from functions.refresh.report.history import find_since, follow_trends, texts
from functions.refresh.report.model import (
    HORIZONS,
    MAX_AMOUNTS,
    MAX_BINS,
    MAX_COLOURS,
    MAX_COUNTRIES,
    Change,
    CountryFigures,
    Distribution,
    FamilyFigures,
    Figures,
    MostUsed,
    Outlook,
    RankedAmounts,
    SegmentFigures,
    Since,
    Totals,
    Trend,
    Unknown,
)  # fmt: skip

# Weeks, quarters and years, then ten times as much each time.
_STEPS_OF_DAYS = (1, 7, 28, 91, 364, 3640, 36_400, 364_000)
# Segments are narrow where numbers are low: single numbers first, then bins that widen.
_EDGES_OF_NUMBERS = np.array(
    [*range(10), *(part * 10**power for power in range(1, 19) for part in (1, 1.5, 2, 3, 4, 5, 7))], np.int64
)
_EXTREMES = 0.005


def compute_figures(facts: Facts) -> Figures:
    """Compute the figures of the report."""
    by_country = {country: list(rows) for country, rows in groupby(facts.table, key=attrgetter("country_code"))}
    places = {
        family.segment_name: _Places(family, facts)
        for family in facts.families
        if family.dimension.kind == "days_since"
    }
    trends = follow_trends(facts)
    by_segment = _BySegment(
        find_since(facts),
        {found.segment_key: Unknown(found.vouchers, found.amounts, found.numbers) for found in facts.unknowns},
    )
    return Figures(
        facts.refresh_id,
        facts.as_of,
        facts.as_of_before,
        facts.published_at,
        [
            _country(country, by_country.get(country, []), facts, places, by_segment, trends.get(country, []))
            for country in facts.countries[:MAX_COUNTRIES]
        ],
        max(len(facts.countries) - MAX_COUNTRIES, 0),
        facts.others,
        [_family(family, facts) for family in facts.families],
        [day.as_of for day in reversed(facts.rankings)],
        [
            Change(*change.segment_key, texts(change.before), texts(change.after), list(change.causes), change.objects)
            for change in facts.changes
        ],
        facts.ledger,
        facts.rejected,
        facts.refused,
        facts.runs,
    )


class _BySegment(NamedTuple):
    """What the report shows of segments in addition to their counts, by country, family and label."""

    since: dict[SegmentKey, Since]
    unknown: dict[SegmentKey, Unknown]


class _Places:
    """The segment of every day of a date, at each of the horizons."""

    def __init__(self, family: Family, facts: Facts) -> None:
        days = [usage.value for (_, dimension), usage in facts.usage.items() if dimension == str(family.dimension)]
        self._days = np.unique(np.concatenate([*days, np.array([], np.int64)]))
        numbers = {rule: number for number, rule in enumerate(family.segments)}
        numbers_now = [family.dimension.number(day, facts.as_of) for day in self._days.tolist()]
        self.nowhere = len(family.segments)
        self._places = {
            horizon: np.array(
                [
                    numbers[rule] if (rule := family.covering(number + horizon)) else self.nowhere
                    for number in numbers_now
                ],
                np.int64,
            )
            for horizon in HORIZONS
        }

    def of(self, days: Integers, horizon: int) -> Integers:
        return self._places[horizon][np.searchsorted(self._days, days)]


_NO_USAGE = CountryUsage(*(np.array([], np.int64) for _ in CountryUsage._fields))


def _country(
    country: str,
    table: list[PublishedRow],
    facts: Facts,
    places: dict[str, _Places],
    by_segment: _BySegment,
    trends: list[Trend],
) -> CountryFigures:
    usages = [(family, facts.usage.get((country, str(family.dimension)), _NO_USAGE)) for family in facts.families]
    segments = [list(rows) for _, rows in groupby(table, key=attrgetter("segment_name", "min_range"))]
    columns, others = _columns(segments)
    all_rows = max((usage for _, usage in usages), key=lambda usage: int(usage.rows.sum()), default=_NO_USAGE)
    colours = _most_frequent(all_rows, MAX_COLOURS)
    return CountryFigures(
        country,
        [str(amount) for amount in columns],
        others,
        [str(amount) for amount in colours],
        [_segment(rows, columns, by_segment) for rows in segments],
        [_totals(family.segment_name, usage, table) for family, usage in usages],
        {
            str(family.dimension): _distribution(usage, colours, is_number=family.dimension.kind == "number")
            for family, usage in usages
            if len(usage.rows)
        },
        {
            family.segment_name: _outlook(usage, places[family.segment_name])
            for family, usage in usages
            if family.segment_name in places
        },
        trends,
    )


def _family(family: Family, facts: Facts) -> FamilyFigures:
    """Describe a family in words that follow from its dimension."""
    labels = family.dimension.labels
    title, unit, values = {
        "number": (f"By number of {labels[0]}", labels[0], labels[0].capitalize()),
        "days_since": (f"By days since the {labels[0]}", "days", f"Day of the {labels[0]}"),
        "days_between": (f"By {_span(labels)}", "days", _span(labels).capitalize()),
    }[family.dimension.kind]
    return FamilyFigures(
        family.segment_name,
        str(family.dimension),
        family.dimension.kind,
        family.dimension.field,
        labels[0],
        title,
        unit,
        values,
        family.segments,
        facts.families_partial.get(family.segment_name, 0),
    )


def _span(labels: Sequence[str]) -> str:
    return f"days from the {' to the '.join(labels)}"


def _columns(segments: list[list[PublishedRow]]) -> tuple[list[int], int]:
    """Choose the amounts with a column of their own: every segment's most used, then those used most of all."""
    used: dict[int, int] = {}
    most_used: set[int] = set()
    for rows in segments:
        most_used.update(rank((row.voucher_amount, row.count) for row in rows).most_used.voucher_amount)
        for row in rows:
            used[row.voucher_amount] = used.get(row.voucher_amount, 0) + row.count
    ranked = sorted(used, key=lambda amount: (amount not in most_used, -used[amount], amount))
    return sorted(ranked[:MAX_AMOUNTS]), max(len(ranked) - MAX_AMOUNTS, 0)


def _segment(rows: list[PublishedRow], columns: Sequence[int], by_segment: _BySegment) -> SegmentFigures:
    counts = {row.voucher_amount: row.count for row in rows}
    own = [counts.get(amount, 0) for amount in columns]
    ranked = rank(counts.items())
    first = rows[0]
    return SegmentFigures(
        first.segment_name,
        first.segment_type,
        first.min_range,
        first.max_range,
        [*own, ranked.vouchers - sum(own)],
        _most_used(ranked),
        RankedAmounts(*_place(ranked.runner_up)) if ranked.runner_up else None,
        ranked.doubt,
        by_segment.since.get(first.segment_key),
        by_segment.unknown.get(first.segment_key),
    )


def _most_used(ranked: Ranked[int]) -> MostUsed:
    return MostUsed(*_place(ranked.most_used), ranked.vouchers, ranked.doubt.decided)


def _place(place: Place[int]) -> tuple[list[str], int, int]:
    return texts(place.voucher_amount), len(place.voucher_amount), place.count


def _totals(family: str, usage: CountryUsage, table: list[PublishedRow]) -> Totals:
    in_segments = sum(row.count for row in table if row.segment_name == family)
    values, amounts = (len(np.unique(column)) for column in (usage.value, usage.voucher_amount))
    return Totals(family, int(usage.rows.sum()), in_segments, values, amounts, len(usage.rows))


def _most_frequent(usage: CountryUsage, at_most: int) -> list[int]:
    amounts, places = np.unique(usage.voucher_amount, return_inverse=True)
    rows = np.bincount(places, usage.rows)
    chosen: list[int] = amounts[np.argsort(-rows, kind="stable")[:at_most]].tolist()
    return chosen


def _distribution(usage: CountryUsage, colours: list[int], *, is_number: bool) -> Distribution:
    """Spread a country's rows over bins; a few extreme values do not stretch them."""
    order = np.argsort(usage.value, kind="stable")
    values, below = usage.value[order], np.cumsum(usage.rows[order])
    first, last = (int(values[np.searchsorted(below, part * below[-1])]) for part in (_EXTREMES, 1 - _EXTREMES))
    edges = _edges_of_numbers(last) if is_number else _edges_of_days(first, last)
    bins = len(edges) - 1
    at = np.clip(np.searchsorted(edges, usage.value, side="right") - 1, 0, bins - 1)
    of_colours = np.full(len(at), len(colours))
    for number, amount in enumerate(colours):
        of_colours[usage.voucher_amount == amount] = number
    width = len(colours) + 1
    counts = np.bincount(at * width + of_colours, usage.rows, minlength=bins * width).astype(np.int64)
    return Distribution(
        edges.tolist(),
        bool(values[0] < edges[0]),
        bool(values[-1] >= edges[-1]),
        counts.reshape(bins, width).tolist(),
    )


def _edges_of_days(first: int, last: int) -> Integers:
    """Return bins of equal width, the narrowest of which `MAX_BINS` reach from the first day to the last."""
    step = next(step for step in _STEPS_OF_DAYS if (last - first) // step < MAX_BINS)
    return np.arange(first, last + step + 1, step)


def _edges_of_numbers(last: int) -> Integers:
    """Return bins that widen, from 0 on until the last number is in one, `MAX_BINS` at most."""
    needed = int(np.searchsorted(_EDGES_OF_NUMBERS, last, side="right"))
    return _EDGES_OF_NUMBERS[: min(needed, MAX_BINS) + 1]


def _outlook(usage: CountryUsage, places: _Places) -> list[Outlook]:
    amounts, of_amounts = np.unique(usage.voucher_amount, return_inverse=True)
    width = len(amounts)
    outlook = []
    for horizon in HORIZONS:
        at = places.of(usage.value, horizon)
        counts = np.bincount(at * width + of_amounts, usage.rows, minlength=(places.nowhere + 1) * width)
        *by_segment, nowhere = counts.astype(np.int64).reshape(places.nowhere + 1, width)
        segments = [
            _most_used(rank(zip(amounts[row > 0].tolist(), row[row > 0].tolist(), strict=True))) if row.any() else None
            for row in by_segment
        ]
        outlook.append(Outlook(horizon, segments, int(nowhere.sum())))
    return outlook
