"""Since when an amount has been the most used one: the rankings that were kept, by as-of day."""

from datetime import date
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from chalicelib.answers import Amounts, Positive
from chalicelib.customers import HistoryOfFamily
from chalicelib.lookup import check_served
from chalicelib.published import Publication, reading
from functions.common.database import Database
from functions.common.fields import FieldProblem, FieldsError
from functions.common.ranking import Cause, ChangedObject, Doubt, KeptChange, Ranking, Share, share, since_when

# As one value, filtered in the database: a day has the segments of every country and family.
_DAYS = """
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

_CHANGES = """
    SELECT CAST(coalesce(json_agg(found), '[]') AS text) FROM (
        SELECT as_of, refresh_id, country_code, segment_name, segment_type, before, after, causes, objects
        FROM voucher_customer.ranking_changes
        WHERE country_code = :country_code AND segment_name = :segment_name
        ORDER BY refresh_id DESC, segment_type LIMIT :limit
    ) AS found
"""

# One statement, so that both are of one publication.
_READ = f"SELECT ({_DAYS}), ({_CHANGES})"


class HistorySegment(Struct, frozen=True):
    """The most used amounts of a segment as of a day.

    Attributes
    ----------
    segment_type : str
        The segment's label.
    voucher_amount : list of float
        Amounts with the highest count, lowest first; more than one when they are tied.
    count : int
        How often each of them was used.
    share : float
        The count as a share of the segment's vouchers.
    doubt : Doubt or None
        How sure the most used amount is; null in days that were kept before the lead was recorded.
    """

    segment_type: str
    voucher_amount: Annotated[Amounts, Meta(min_length=1)]
    count: Positive
    share: Share
    doubt: Doubt | None


class HistoryDay(Struct, frozen=True):
    """An as-of day, as it was last published.

    Attributes
    ----------
    as_of : date
        The day that days are counted to.
    refresh_id : int
        The refresh that published last as of the day.
    segments : list of HistorySegment
        The segments with vouchers.
    """

    as_of: date
    refresh_id: int
    segments: list[HistorySegment]


class HistoryChange(Struct, frozen=True):
    """A change of the most used amounts of a segment, and its causes.

    Attributes
    ----------
    as_of : date
        The day that the refresh published as of.
    refresh_id : int
        The refresh that published the change.
    segment_type : str
        The segment's label.
    before : list of float
        The most used amounts until then, lowest first; empty where no voucher was in the segment.
    after : list of float
        The most used amounts from then on, lowest first; empty where no voucher is in the segment.
    causes : list of str
        Why the amounts changed: nothing was published before, other countries are published, the rules changed, the
        as-of day moved, or the data changed.
    objects : list of ChangedObject
        Where data is a cause, the objects that contributed most.
    """

    as_of: date
    refresh_id: int
    segment_type: str
    before: Amounts
    after: Amounts
    causes: list[Cause]
    objects: Annotated[list[ChangedObject], Meta(max_length=5)]


class History(Struct, frozen=True):
    """The most used amounts of a family's segments by as-of day.

    Attributes
    ----------
    country_code : str
        The country, as it was asked for.
    segment_name : str
        The family, as it was asked for.
    since : dict
        By segment, the day since which the most used amounts have been those of the latest day, without a break.
    days : list of HistoryDay
        The published day first, then the days before it.
    changes : list of HistoryChange
        The latest changes, the last one first.
    """

    country_code: str
    segment_name: str
    since: dict[str, date]
    days: list[HistoryDay]
    changes: list[HistoryChange]


class _Day(Struct, frozen=True):
    as_of: date
    refresh_id: int
    rankings: list[Ranking]


def read_history(database: Database, publication: Publication, asked: HistoryOfFamily) -> History:
    """Return the most used amounts of a family's segments by as-of day, and their latest changes with causes.

    Days begin with the published day and go back; changes begin with the last one.

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
        [[kept, changes]] = connection.run(_READ, as_of=publication.as_of, **msgspec.structs.asdict(asked))
    days = msgspec.json.decode(kept, type=list[_Day])
    return History(
        country_code=asked.country_code,
        segment_name=asked.segment_name,
        since=since_when(
            (day.as_of, {kept.segment_type: kept.voucher_amount for kept in day.rankings}) for day in days
        ),
        days=[HistoryDay(day.as_of, day.refresh_id, [_segment(ranking) for ranking in day.rankings]) for day in days],
        changes=[_change(change) for change in msgspec.json.decode(changes, type=list[KeptChange])],
    )


def _change(change: KeptChange) -> HistoryChange:
    return HistoryChange(
        as_of=change.as_of,
        refresh_id=change.refresh_id,
        segment_type=change.segment_type,
        before=[float(amount) for amount in change.before],
        after=[float(amount) for amount in change.after],
        causes=change.causes,
        objects=change.objects,
    )


def _segment(ranking: Ranking) -> HistorySegment:
    return HistorySegment(
        segment_type=ranking.segment_type,
        voucher_amount=[float(amount) for amount in ranking.voucher_amount],
        count=ranking.count,
        share=share(ranking.count, ranking.vouchers),
        doubt=ranking.doubt,
    )
