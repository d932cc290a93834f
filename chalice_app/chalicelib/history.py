"""Since when an amount has been the most used one: the rankings that were kept, by as-of day."""

from datetime import date
from typing import Any

import msgspec

from chalicelib.customers import HistoryOfFamily
from chalicelib.lookup import check_served
from chalicelib.published import Publication, reading
from functions.common.database import Database
from functions.common.fields import FieldProblem, FieldsError
from functions.common.ranking import KeptChange, Ranking

# As one value, filtered where it lies: a day has the segments of every country and family.
_READ = """
    SELECT CAST(coalesce(json_agg(json_build_object(
        'as_of', as_of, 'refresh_id', refresh_id, 'rankings', (
            SELECT coalesce(json_agg(ranking), '[]') FROM json_array_elements(rankings) AS ranking
            WHERE ranking ->> 'country_code' = :country_code AND ranking ->> 'segment_name' = :segment_name
        )
    ) ORDER BY as_of DESC), '[]') AS text)
    FROM (
        SELECT as_of, refresh_id, rankings FROM voucher_customer.rankings
        WHERE as_of <= :as_of ORDER BY as_of DESC LIMIT :limit
    ) AS kept
"""

_READ_CHANGES = """
    SELECT CAST(coalesce(json_agg(found), '[]') AS text) FROM (
        SELECT as_of, refresh_id, country_code, segment_name, segment_type, before, after, causes, objects
        FROM voucher_customer.ranking_changes
        WHERE country_code = :country_code AND segment_name = :segment_name
        ORDER BY refresh_id DESC, segment_type LIMIT :limit
    ) AS found
"""


class _Day(msgspec.Struct, frozen=True):
    as_of: date
    refresh_id: int
    rankings: list[Ranking]


def read_history(database: Database, publication: Publication, asked: HistoryOfFamily) -> dict[str, Any]:
    """Return the most used amounts of a family's segments by as-of day, the day that is published first.

    With them the latest changes of them, the last one first, and why they came.

    Raises
    ------
    FieldsError
        When no such family is published.
    NoAnswerError
        When the country is not served.
    """
    check_served(publication, asked.country_code)
    if asked.segment_name not in publication.families:
        detail = f"is unknown: must be one of {', '.join(publication.families)}"
        raise FieldsError([FieldProblem("segment_name", detail)])
    with reading(database) as connection:
        [[kept]] = connection.run(_READ, as_of=publication.as_of, **msgspec.structs.asdict(asked))
        [[changes]] = connection.run(_READ_CHANGES, **msgspec.structs.asdict(asked))
    days = msgspec.json.decode(kept, type=list[_Day])
    return {
        "country_code": asked.country_code,
        "segment_name": asked.segment_name,
        "since": _since(days),
        "days": [
            {
                "as_of": day.as_of.isoformat(),
                "refresh_id": day.refresh_id,
                "segments": [_segment(ranking) for ranking in day.rankings],
            }
            for day in days
        ],
        "changes": [_told(change) for change in msgspec.json.decode(changes, type=list[KeptChange])],
    }


def _told(change: KeptChange) -> dict[str, Any]:
    return {
        "as_of": change.as_of.isoformat(),
        "refresh_id": change.refresh_id,
        "segment_type": change.segment_type,
        "before": [float(amount) for amount in change.before],
        "after": [float(amount) for amount in change.after],
        "causes": change.causes,
        "objects": change.objects,
    }


def _segment(ranking: Ranking) -> dict[str, Any]:
    return {
        "segment_type": ranking.segment_type,
        "voucher_amount": [float(amount) for amount in ranking.voucher_amount],
        "count": ranking.count,
        "share": round(ranking.count / ranking.vouchers, 4),
        "doubt": ranking.doubt,
    }


def _since(days: list[_Day]) -> dict[str, str]:
    """Return by segment the first day of the unbroken stretch of days with the most used amounts of the latest day."""
    since: dict[str, str] = {}
    unbroken = {ranking.segment_type: ranking.voucher_amount for ranking in days[0].rankings} if days else {}
    for day in days:
        amounts = {ranking.segment_type: ranking.voucher_amount for ranking in day.rankings}
        unbroken = {segment: latest for segment, latest in unbroken.items() if amounts.get(segment) == latest}
        since |= dict.fromkeys(unbroken, day.as_of.isoformat())
    return since
