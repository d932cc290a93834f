"""History: the kept most used amounts of each segment by as-of day, and since when they have been the same."""

from collections.abc import Sequence
from datetime import date

from functions.common.families import SegmentKey
from functions.common.ranking import Ranking, since_when
from functions.refresh.report.facts import Facts
from functions.refresh.report.model import MAX_TIED, Since, Stretch, Trend


def texts(amounts: Sequence[int]) -> list[str]:
    """Return the first amounts as text, because a browser's numbers are not exact beyond 2^53."""
    return [str(amount) for amount in amounts[:MAX_TIED]]


def find_since(facts: Facts) -> dict[SegmentKey, Since]:
    """Find the as-of day since which the most used amounts of each segment have been the same.

    If they are the same on all days that are read, the change before the first day says since when; without such a
    change it may be longer.
    """
    if not facts.rankings:
        return {}
    days = [(day.as_of, {kept.segment_key: kept.voucher_amount for kept in day.rankings}) for day in facts.rankings]
    first_day, _ = days[-1]
    _, now = days[0]
    changed: dict[SegmentKey, date] = {
        change.segment_key: change.as_of
        for change in facts.changes_before
        if change.after == now.get(change.segment_key)
    }
    return {
        place: Since(changed.get(place, day), place in changed) if day == first_day else Since(day, is_exact=True)
        for place, day in since_when(days).items()
    }


def follow_trends(facts: Facts) -> dict[str, list[Trend]]:
    """Turn the rankings of each day into the days of each segment, by country, in the order of the rules."""
    trends: dict[str, dict[SegmentKey, Trend]] = {}
    latest: dict[SegmentKey, Ranking] = {}
    for number, day in enumerate(reversed(facts.rankings)):
        for kept in day.rankings:
            place = kept.segment_key
            trend = trends.setdefault(kept.country_code, {}).setdefault(
                place, Trend(kept.segment_name, kept.segment_type, [])
            )
            decided = _is_decided(kept)
            last = trend.stretches[-1] if trend.stretches else None
            goes_on = last and last.first_day + len(last.permille) == number and last.decided == decided
            if not (last and goes_on and latest[place].voucher_amount == kept.voucher_amount):
                last = Stretch(number, texts(kept.voucher_amount), decided, [])
                trend.stretches.append(last)
            last.permille.append(round(1000 * kept.count / kept.vouchers))
            latest[place] = kept
    rules = [rule for family in facts.families for rule in family.segments]
    order = {(rule.segment_name, rule.segment_type): number for number, rule in enumerate(rules)}
    return {
        country: sorted(
            found.values(),
            key=lambda trend: order.get((trend.segment_name, trend.segment_type), len(order)),
        )
        for country, found in trends.items()
    }


def _is_decided(kept: Ranking) -> bool | None:
    doubt = kept.doubt
    return None if doubt is None else doubt.decided
