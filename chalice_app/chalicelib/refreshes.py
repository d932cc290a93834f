"""The log of the refresh function's runs."""

from datetime import date
from typing import Literal

import msgspec
from msgspec import Struct

from chalicelib.answers import Moment, Positive
from chalicelib.published import reading
from functions.common.database import Database
from functions.common.ranking import Cause, Count, Share

_READ = "SELECT to_json(run) FROM voucher_customer.refreshes AS run ORDER BY refresh_id DESC LIMIT :limit"

# Columns that were renamed: answers keep the original names.
_ANSWERED_AS = {
    "objects_refused": "objects_failed", "objects_refused_before": "objects_bad", "objects_deferred": "objects_left"
}  # fmt: skip


class Refresh(Struct, frozen=True):
    """A run of the refresh function.

    Attributes
    ----------
    refresh_id : int
        The number of the run; a later run has a higher one.
    trigger : str
        What started it.
    as_of : date
        The day that it published as of.
    countries : list of str
        The countries that it published.
    started_at : str
        When it began.
    published_at : str or None
        When it published; null when it published nothing.
    took_ms : int or None
        How many milliseconds it took; null while it runs.
    objects_counted : int
        Objects newly counted.
    objects_skipped : int
        Objects that are unchanged since they were counted, and were not read again.
    objects_removed : int
        Objects taken out of the counts.
    objects_failed : int
        Objects that could not be counted.
    objects_bad : int
        Objects that an earlier run could not count, unchanged since, and not tried again.
    objects_left : int
        Objects left to the next run.
    objects_ignored : int
        Objects under the prefix that are not part of the dataset.
    rows_read : int
        Rows of the objects newly counted, rejected ones included.
    rows_counted : int
        Rows of the objects newly counted, without rejected ones.
    rows_rejected : dict
        Rows of the objects newly counted that were rejected, by reason.
    rows_lost : int
        Rows that were counted before and are not any more: of objects taken out, and of those that have fewer now.
    losses : dict
        The five objects that lost most rows, the largest loss first, with the rows that each lost.
    accepted : list of str
        The first objects that were counted because a person accepted them, though too many of their rows are rejected.
    rows_published : int or None
        Rows of the published table; null when it published nothing.
    rows_in_no_segment : dict
        Voucher records that no segment covers, by family.
    families_waiting : dict
        Families that are not published yet, and how many objects have to be counted again first.
    families_partial : dict
        Published families, and how many refused objects are not in their counts.
    causes : dict
        In how many segments the most used amounts changed, by cause.
    countries_shrunk : dict
        Countries that lost more than `MaxLostShare` of their records since the previous publication, and the share.
    outcome : str
        Whether it runs, published or failed; if it failed after it published, `published_at` is not null.
    error : str or None
        What went wrong, an object on each line; null when nothing did.
    """

    refresh_id: int
    trigger: Literal["object_created", "object_deleted", "daily", "unfinished", "backlog", "manual", "backfill"]
    as_of: date
    countries: list[str]
    started_at: Moment
    published_at: Moment | None
    took_ms: Count | None
    objects_counted: Count
    objects_skipped: Count
    objects_removed: Count
    objects_failed: Count
    objects_bad: Count
    objects_left: Count
    objects_ignored: Count
    rows_read: Count
    rows_counted: Count
    rows_rejected: dict[str, Count]
    rows_lost: Count
    losses: dict[str, Count]
    accepted: list[str]
    rows_published: Count | None
    rows_in_no_segment: dict[str, Count]
    families_waiting: dict[str, Count]
    families_partial: dict[str, Count]
    causes: dict[Cause, Positive]
    countries_shrunk: dict[str, Share]
    outcome: Literal["running", "published", "failed"]
    error: str | None


class Refreshes(Struct, frozen=True):
    """The latest runs of the refresh function.

    Attributes
    ----------
    refreshes : list of Refresh
        The runs, the last one first.
    """

    refreshes: list[Refresh]


def read_refreshes(database: Database, limit: int) -> Refreshes:
    """Return the latest runs of the refresh function, `limit` at most.

    Columns that only the operators of the bucket need are left out.
    """
    with reading(database) as connection:
        runs = [run for (run,) in connection.run(_READ, limit=limit)]
    answered = [{_ANSWERED_AS.get(name, name): value for name, value in run.items()} for run in runs]
    return Refreshes(msgspec.convert(answered, list[Refresh]))
