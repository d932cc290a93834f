"""What became of objects, and what a refresh did with them: what is logged, returned and kept."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Literal, NamedTuple

import msgspec

from functions.common.ranking import Ranking, RankingChange

Kind = Literal["object_created", "object_deleted", "daily", "unfinished", "backlog", "manual", "backfill"]
"""What makes a refresh run."""

BY_HAND: tuple[Kind, ...] = ("manual", "backfill")
"""The kinds that may name any day, and so say nothing of the day that it is."""


class Outcome(NamedTuple):
    """What became of an object, or of some.

    Attributes
    ----------
    kind : {'counted', 'skipped', 'removed', 'refused', 'refused_before', 'deferred', 'ignored'}
        What was done. A refused object cannot be counted; one refused before is as it was then, and was not tried
        again; a deferred one waits for the next run; an ignored one is not part of the dataset.
    error : str
        Its key and what went wrong: why it is refused, or why the rejected rows of a counted one are not written.
    rows_read, rows_counted : int
        For one that was counted, its rows.
    rows_rejected : mapping of str to int
        Its rows that were not counted, by reason.
    backlog_bytes : int
        For one that is deferred because there is too much for one run, its `estimated_bytes`.
    objects : int
        How many objects it is about: those that a whole run skips, or ignores, are told as one.
    keys : sequence of str
        The first keys of those that are ignored.
    """

    kind: Literal["counted", "skipped", "removed", "refused", "refused_before", "deferred", "ignored"]
    error: str = ""
    rows_read: int = 0
    rows_counted: int = 0
    rows_rejected: Mapping[str, int] = {}
    backlog_bytes: int = 0
    objects: int = 1
    keys: Sequence[str] = ()


class ItemSummary(msgspec.Struct, kw_only=True):
    """What became of objects.

    Attributes
    ----------
    objects_counted, objects_skipped, objects_removed, objects_refused : int
        Objects newly counted, unchanged since they were counted, taken out, and those that could not be counted.
    objects_refused_before : int
        Those that could not be counted by an earlier refresh, are as they were then, and were not tried again.
    objects_deferred : int
        Those that are to be counted yet: the time was over, they are a backlog, or other parts of them are missing.
    objects_ignored : int
        Those that lie under the prefix and are not part of the dataset.
    ignored : list of str
        The keys of the first of them.
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
    objects_refused: int = 0
    objects_refused_before: int = 0
    objects_deferred: int = 0
    objects_ignored: int = 0
    ignored: list[str] = msgspec.field(default_factory=list)
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
        # The database takes no null characters.
        self.ignored += (key.replace("\0", "\ufffd") for key in outcome.keys)
        self.backlog_bytes += outcome.backlog_bytes
        self.rows_read += outcome.rows_read
        self.rows_counted += outcome.rows_counted
        if outcome.rows_rejected:
            self.rows_rejected = dict(Counter(self.rows_rejected) + Counter(outcome.rows_rejected))


class Summary(ItemSummary, kw_only=True):
    """What a refresh did: one row of `refreshes`, returned and logged by the function.

    The row does without the rankings, which lie in the table `rankings`. So does the answer, because it would grow with
    every country: see `answer`.

    Attributes
    ----------
    as_of : date
        The day that was published as of.
    rows_published : int or None
        Rows of the published table; None when nothing was published.
    rows_in_no_segment : dict of str to int
        Voucher records of the published countries that no segment covers on the as-of day, by segment family.
    families_waiting : dict of str to int
        Families that are not published yet, and how many counted objects lack their dimension.
    families_partial : dict of str to int
        Published families whose dimension some counted objects lack because they are refused, and how many.
    rankings : list of Ranking
        The most used amounts of every segment, as published.
    rankings_changed : list of RankingChange
        The segments in which they are others than in the table that was replaced.
    countries_missing : str
        Which of the countries to publish have no record, and which ones the data has; empty when none is missing.
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
    families_waiting: dict[str, int] = msgspec.field(default_factory=dict)
    families_partial: dict[str, int] = msgspec.field(default_factory=dict)
    rankings: list[Ranking] = msgspec.field(default_factory=list)
    rankings_changed: list[RankingChange] = msgspec.field(default_factory=list)
    countries_missing: str = ""
    took_ms: int = 0
    report: str = ""
    report_error: str = ""
    report_ms: int = 0

    def answer(self) -> dict[str, Any]:
        """Return what the function returns and logs: rules of the event bus and people read it.

        `is_backlog` says that there is more to count than one run takes, and the state machine starts. `is_unfinished`
        says that objects are deferred for another reason, and the next run starts. Of the rankings it tells how many
        segments have one, in how many it changed, and in how many the first place is undecided.
        """
        answer: dict[str, Any] = msgspec.to_builtins(self)
        answer["segments_published"] = len(answer.pop("rankings"))
        answer["segments_changed"] = len(answer.pop("rankings_changed"))
        answer["segments_undecided"] = sum(
            1 for ranking in self.rankings if ranking.doubt is None or not ranking.doubt.decided
        )
        # Said so because EventBridge compares numbers up to 5.0e9 only, and a backlog has more bytes:
        # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
        answer["is_backlog"] = self.backlog_bytes > 0
        answer["is_unfinished"] = self.objects_deferred > 0 and self.backlog_bytes == 0
        # The rules match this one word, so a result starts the state machine or the next run, never both.
        answer["next_step"] = "backlog" if answer["is_backlog"] else "unfinished" if answer["is_unfinished"] else "none"
        return answer
