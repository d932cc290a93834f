"""The results of the function, typed once for the table `refreshes`, the report and the commands.

From the bottom up: the outcome of an object, of several, a run, a row of `refreshes`, the answer, the whole summary.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from heapq import nlargest
from operator import itemgetter
from typing import Literal, NamedTuple

import msgspec

from functions.common.ranking import Ranking, RankingChange, Unknown

Kind = Literal["object_created", "object_deleted", "daily", "unfinished", "backlog", "manual", "backfill"]
"""What started a refresh."""

BY_HAND: tuple[Kind, ...] = ("manual", "backfill")
"""The kinds that may name any day, so their day says nothing about today."""

# A log line holds 256 KB and an event 1 MB: a larger answer would not start the next run.
MAX_KEYS_LISTED = 50
MAX_LOSSES_LISTED = 5
_MAX_ERRORS_LISTED = 20

# With five objects each, and keys of 1 KiB, changes take 50 KiB at most.
_MAX_CHANGES_LISTED = 10
_MAX_TIED_LISTED = 12

_LONGEST_REASON = 2000


def in_short(error: Exception) -> str:
    """Return an error's message in a form that the database accepts, whatever content of an object it quotes."""
    return str(error).replace("\0", "\ufffd")[:_LONGEST_REASON]


class Outcome(NamedTuple):
    """The outcome of an object, or of several.

    Attributes
    ----------
    kind : {'counted', 'skipped', 'removed', 'refused', 'refused_before', 'deferred', 'ignored'}
        What was done. A refused object cannot be counted; one refused before has not changed since, and was not tried
        again; a deferred one waits for the next run; an ignored one is not part of the dataset.
    error : str
        The object's key and what went wrong: why it is refused, or why its rejected rows could not be written.
    rows_read, rows_counted : int
        The rows of an object that was counted.
    rows_rejected : mapping of str to int
        Its rows that were not counted, by reason.
    backlog_bytes : int
        The `estimated_bytes` of an object that is deferred because there is too much for one run.
    objects : int
        How many objects the outcome is about: all that a run skips, or ignores, are one outcome.
    keys : sequence of str
        The first keys of ignored objects; the key of an object that was counted because a person accepted it.
    losses : mapping of str to int
        By key, rows of the object that were counted before and are not any more: all rows of a removed object, and
        those by which an overwritten object has fewer.
    """

    kind: Literal["counted", "skipped", "removed", "refused", "refused_before", "deferred", "ignored"]
    error: str = ""
    rows_read: int = 0
    rows_counted: int = 0
    rows_rejected: Mapping[str, int] = {}
    backlog_bytes: int = 0
    objects: int = 1
    keys: Sequence[str] = ()
    losses: Mapping[str, int] = {}


class ItemSummary(msgspec.Struct, kw_only=True):
    """The outcomes of objects, summed.

    Attributes
    ----------
    objects_counted, objects_skipped, objects_removed, objects_refused : int
        Objects newly counted, unchanged since they were counted, taken out, and those that could not be counted.
    objects_refused_before : int
        Objects that an earlier refresh could not count, unchanged since, and not tried again.
    objects_deferred : int
        Objects left to a later run: the time was over, they are a backlog, or other parts of them are missing.
    objects_ignored : int
        Objects under the prefix that are not part of the dataset.
    ignored : list of str
        The first keys of ignored objects.
    backlog_bytes : int
        How much there was to count, if that was too much for one run; then nothing was counted.
        See `functions.refresh.usecases.walk.estimated_bytes`.
    rows_read, rows_counted : int
        Rows of the objects newly counted.
    rows_lost : int
        Rows that were counted before and are not any more: of objects taken out, and of those that have fewer now.
    losses : dict of str to int
        The objects that lost most rows, the largest loss first, with the rows that each lost.
    accepted : list of str
        The first objects that were counted because a person accepted them, though too many of their rows are rejected.
    rows_rejected : dict of str to int
        Rows of the objects newly counted that were rejected, by reason.
    errors : list of str
        What went wrong, an entry for each object.
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
    rows_lost: int = 0
    losses: dict[str, int] = msgspec.field(default_factory=dict)
    accepted: list[str] = msgspec.field(default_factory=list)
    rows_rejected: dict[str, int] = msgspec.field(default_factory=dict)
    errors: list[str] = msgspec.field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        """Add the outcome of an object, or of several."""
        name = f"objects_{outcome.kind}"
        setattr(self, name, getattr(self, name) + outcome.objects)
        if outcome.error:
            self.errors.append(outcome.error)
        # The database takes no null characters.
        keys = self.ignored if outcome.kind == "ignored" else self.accepted
        if len(keys) < MAX_KEYS_LISTED:
            keys += (key.replace("\0", "\ufffd") for key in outcome.keys)
        self.backlog_bytes += outcome.backlog_bytes
        self.rows_read += outcome.rows_read
        self.rows_counted += outcome.rows_counted
        self.rows_lost += sum(outcome.losses.values())
        self.add_losses(outcome.losses)
        if outcome.rows_rejected:
            self.rows_rejected = dict(Counter(self.rows_rejected) + Counter(outcome.rows_rejected))

    def add_losses(self, losses: Mapping[str, int]) -> None:
        """List the objects that lost most rows; `rows_lost` stays as it is."""
        lost = {**self.losses, **{key.replace("\0", "\ufffd"): rows for key, rows in losses.items() if rows}}
        self.losses = dict(nlargest(MAX_LOSSES_LISTED, lost.items(), key=itemgetter(1)))

    def answer(self) -> "ItemSummary":
        """Return what the function returns and logs, with the first errors only."""
        return msgspec.structs.replace(self, errors=self._first_errors())

    def _first_errors(self) -> list[str]:
        more = len(self.errors) - _MAX_ERRORS_LISTED
        return [*self.errors[:_MAX_ERRORS_LISTED], *([f"and {more} more; see the table refreshes"] if more > 0 else [])]


class Run(ItemSummary, kw_only=True):
    """What the report lists of a run.

    Attributes
    ----------
    as_of : date
        The day that was published as of.
    """

    refresh_id: int
    trigger: Kind
    as_of: date
    started_at: datetime
    took_ms: int | None = None
    outcome: Literal["running", "published", "failed"] = "running"


class RefreshRow(Run, kw_only=True):
    """A row of `refreshes`, which has `errors` as one text in its column `error`.

    Attributes
    ----------
    rows_published : int or None
        Rows of the published table; None when nothing was published.
    rows_in_no_segment : dict of str to int
        Voucher records of the published countries that no segment covers on the as-of day, by segment family.
    families_waiting : dict of str to int
        Families that are not published yet, and how many counted objects lack their dimension.
    families_partial : dict of str to int
        Published families whose dimension some counted objects lack because they are refused, and how many.
    causes : dict of str to int
        Why most used amounts changed, and in how many segments; a segment may have several causes.
    countries_shrunk : dict of str to float
        Countries that lost more than `MaxLostShare` of their records since the previous publication, and the share.
    """

    countries: list[str]
    published_at: datetime | None = None
    rows_published: int | None = None
    rows_in_no_segment: dict[str, int] = msgspec.field(default_factory=dict)
    families_waiting: dict[str, int] = msgspec.field(default_factory=dict)
    families_partial: dict[str, int] = msgspec.field(default_factory=dict)
    causes: dict[str, int] = msgspec.field(default_factory=dict)
    countries_shrunk: dict[str, float] = msgspec.field(default_factory=dict)


class Answer(RefreshRow, kw_only=True):
    """What the function returns and logs of a refresh, for rules of the event bus and for people.

    It stays small however many countries there are.

    Attributes
    ----------
    as_of_before : date or None
        The day that the replaced table was as of; None at the first publication.
    countries_missing : str
        Which of the countries to publish have no record, and which ones the data has; empty when none is missing.
    report : str
        The key of the report's page of the day; empty when none was written.
    report_error : str
        Why the report could not be written. That is not an error of the refresh: what it published stands.
    report_ms : int
        How long writing the report took, which `took_ms` does not include.
    segments_published, segments_changed, segments_undecided : int
        How many segments have a most used amount, in how many it changed, and in how many the first place is undecided.
    unknown : dict of str to Unknown
        By family which shares of the published vouchers have an unknown amount or number; empty while objects are to be
        counted again for that.
    changes : list of RankingChange
        The first segments whose most used amounts changed, with causes and objects.
    next_step : {'backlog', 'unfinished', 'none'}
        What the event bus's rules match: `backlog` when there is more to count than one run takes, which starts the
        state machine; `unfinished` when objects are deferred for another reason, which starts the next run.
    """

    as_of_before: date | None = None
    countries_missing: str = ""
    report: str = ""
    report_error: str = ""
    report_ms: int = 0
    segments_published: int = 0
    segments_changed: int = 0
    segments_undecided: int = 0
    unknown: dict[str, Unknown] = msgspec.field(default_factory=dict)
    changes: list[RankingChange] = msgspec.field(default_factory=list)
    next_step: Literal["backlog", "unfinished", "none"] = "none"


class Summary(Answer, kw_only=True):
    """What a refresh did.

    Attributes
    ----------
    rankings : list of Ranking
        The most used amounts of every segment, as published.
    rankings_changed : list of RankingChange
        The segments whose most used amounts differ from the replaced table's.
    """

    rankings: list[Ranking] = msgspec.field(default_factory=list)
    rankings_changed: list[RankingChange] = msgspec.field(default_factory=list)

    def answer(self) -> Answer:
        """Return what the function returns and logs."""
        answer = Answer(**{name: getattr(self, name) for name in Answer.__struct_fields__})
        answer.errors = self._first_errors()
        answer.segments_published, answer.segments_changed = len(self.rankings), len(self.rankings_changed)
        answer.segments_undecided = sum(not (ranking.doubt and ranking.doubt.decided) for ranking in self.rankings)
        answer.changes = [_shortened(change) for change in self.rankings_changed[:_MAX_CHANGES_LISTED]]
        # A word for the rules to match: EventBridge compares numbers up to 5.0e9 only, and a backlog has more bytes;
        # CloudFormation has written the booleans of a pattern as texts.
        # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
        # https://github.com/aws-cloudformation/cloudformation-coverage-roadmap/issues/251
        answer.next_step = "backlog" if self.backlog_bytes else "unfinished" if self.objects_deferred else "none"
        return answer


def _shortened(change: RankingChange) -> RankingChange:
    before, after = change.before[:_MAX_TIED_LISTED], change.after[:_MAX_TIED_LISTED]
    return msgspec.structs.replace(change, before=before, after=after)


class Plan(msgspec.Struct, frozen=True):
    """What is to be counted of a backlog.

    Attributes
    ----------
    items, objects : int
        How many work items there are, and how many objects in them.
    backlog_bytes : int
        How much there is to count, see `functions.refresh.usecases.walk.estimated_bytes`.
    manifest : str
        The key of the list of the work items, a JSON array.
    """

    items: int
    objects: int
    backlog_bytes: int
    manifest: str
