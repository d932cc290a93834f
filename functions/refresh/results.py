"""What became of objects, and what a refresh did with them: what is logged, returned and kept."""

from collections import Counter
from collections.abc import Mapping
from datetime import date, datetime
from typing import Literal, NamedTuple

import msgspec

from functions.common.ranking import Winner, WinnerChange

Kind = Literal["object_created", "object_deleted", "daily", "unfinished", "backlog", "manual", "backfill"]
"""What makes a refresh run."""

BY_HAND: tuple[Kind, ...] = ("manual", "backfill")
"""The kinds that may name any day, and so say nothing of the day that it is."""


class Outcome(NamedTuple):
    """What became of an object, or of some.

    Attributes
    ----------
    kind : {'counted', 'skipped', 'removed', 'failed', 'bad', 'left'}
        What was done; a bad one failed before as it is now, and was not tried again; one that is left has to wait
        for the next run.
    error : str
        Its key and what went wrong: why one failed, or why the rejected rows of one that is counted are not written.
    rows_read, rows_counted : int
        For one that was counted, its rows.
    rows_rejected : mapping of str to int
        Its rows that were not counted, by reason.
    backlog_bytes : int
        For one that is left because there is too much for one run, its work.
    objects : int
        How many objects it is about: those that a whole run skips are told as one.
    """

    kind: Literal["counted", "skipped", "removed", "failed", "bad", "left"]
    error: str = ""
    rows_read: int = 0
    rows_counted: int = 0
    rows_rejected: Mapping[str, int] = {}
    backlog_bytes: int = 0
    objects: int = 1


class ItemSummary(msgspec.Struct, kw_only=True):
    """What became of objects.

    Attributes
    ----------
    objects_counted, objects_skipped, objects_removed, objects_failed : int
        Objects newly counted, unchanged since they were counted, taken out, and those that could not be counted.
    objects_bad : int
        Those that could not be counted by an earlier refresh, are as they were then, and were not tried again.
    objects_left : int
        Those that are to be counted yet: the time was over, they are a backlog, or other parts of them are missing.
    backlog_bytes : int
        How much there was to count, where that was too much for one run; then nothing was counted.
        See `functions.refresh.usecases.reconcile.work`.
    rows_read, rows_counted : int
        Rows of the objects newly counted.
    rows_rejected : dict of str to int
        Their rows that were not counted, by reason.
    errors : list of str
        What went wrong, an object each.
    """

    objects_counted: int = 0
    objects_skipped: int = 0
    objects_removed: int = 0
    objects_failed: int = 0
    objects_bad: int = 0
    objects_left: int = 0
    backlog_bytes: int = 0
    rows_read: int = 0
    rows_counted: int = 0
    rows_rejected: dict[str, int] = msgspec.field(default_factory=dict)
    errors: list[str] = msgspec.field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        """Note what became of an object, or of some."""
        name = f"objects_{outcome.kind}"
        setattr(self, name, getattr(self, name) + outcome.objects)
        if outcome.error:
            self.errors.append(outcome.error)
        self.backlog_bytes += outcome.backlog_bytes
        self.rows_read += outcome.rows_read
        self.rows_counted += outcome.rows_counted
        if outcome.rows_rejected:
            self.rows_rejected = dict(Counter(self.rows_rejected) + Counter(outcome.rows_rejected))


class Summary(ItemSummary, kw_only=True):
    """What a refresh did: one row of `refreshes`, returned and logged by the function.

    The row does without the winners. With 50 countries they are some 130 KB at most, within the 256 KB of an
    asynchronous answer of Lambda.

    Attributes
    ----------
    as_of : date
        The day that was published as of.
    rows_published : int or None
        Rows of the published table; None when nothing was published.
    rows_in_no_segment : dict of str to int
        Voucher records of the published countries that no segment covers on the as-of day, by segment family.
    winners : list of Winner
        The most used amounts of every segment, as published.
    winners_changed : list of WinnerChange
        The segments in which they are others than in the table that was replaced.
    report : str
        The key of the report's page of the day; empty when none was written.
    report_error : str
        Why the report could not be written. That is no error of the refresh: what it published stands.
    report_ms : int
        How long writing the report took, after `took_ms`.
    """

    refresh_id: int
    trigger: str
    as_of: date
    countries: list[str]
    started_at: datetime
    rows_published: int | None = None
    rows_in_no_segment: dict[str, int] = msgspec.field(default_factory=dict)
    winners: list[Winner] = msgspec.field(default_factory=list)
    winners_changed: list[WinnerChange] = msgspec.field(default_factory=list)
    took_ms: int = 0
    report: str = ""
    report_error: str = ""
    report_ms: int = 0
