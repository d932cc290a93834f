"""The one operation: make the ledger match the bucket, then publish as of a day."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from functions.refresh.publishing.publication import Publications
from functions.refresh.report.writer import Reports
from functions.refresh.results import MAX_KEYS_LISTED, Outcome, Summary, in_short
from functions.refresh.usecases.deadline import Deadline
from functions.refresh.usecases.events import Trigger
from functions.refresh.usecases.reconcile import Reconciler


class RefreshError(Exception):
    """A refresh ended, but not everything went well; the message says what did not.

    Attributes
    ----------
    summary : Summary
        What the refresh did nevertheless.
    """

    def __init__(self, summary: Summary) -> None:
        super().__init__("; ".join(summary.errors))
        self.summary = summary


@dataclass(frozen=True)
class Refresh:
    """Makes the ledger match the bucket and publishes."""

    reconciler: Reconciler
    publications: Publications
    reports: Reports
    countries: Sequence[str]
    clock: Callable[[], datetime]

    def run(self, trigger: Trigger, deadline: Deadline | None = None) -> Summary:
        """Refresh once.

        An object that cannot be counted is noted, and stops neither the others nor the publication. Nor does the
        deadline: the next run counts what is left. A report that cannot be written is noted in the summary only.

        Raises
        ------
        RefreshError
            After everything else is done, when something went wrong with an object. Not when objects are deferred: only
            the result of a run that succeeds starts the next one, and the summary has the errors too.
        """
        return self.publish(trigger, self._outcomes(trigger, deadline or Deadline()))

    def publish(self, trigger: Trigger, outcomes: Iterable[Outcome]) -> Summary:
        """Add up the outcomes of objects, then publish as of the trigger's day; raises what `run` raises."""
        summary = self.publications.start(trigger.kind, trigger.as_of, self.countries, self.clock())
        with self._noting_failure(summary):
            for outcome in outcomes:
                summary.add(outcome)
            self.publications.publish(summary, self.clock())
        self._write_report(summary)
        if summary.errors and not summary.objects_deferred:
            raise RefreshError(summary)
        return summary

    def publish_backlog(self, trigger: Trigger, since: datetime, deadline: Deadline | None = None) -> Summary:
        """Publish what the work items of a backlog counted since the first of them began, and report what is left.

        Deleted objects are taken out. Nothing is counted: an object that is left may have crashed a function. A
        refused object is not an error of this run, but is in its summary.
        """
        summary = self.publications.start(trigger.kind, trigger.as_of, self.countries, self.clock())
        # Even in a manual run, objects that were refused meanwhile are not tried again.
        looking = trigger._replace(kind="backlog")
        with self._noting_failure(summary):
            for outcome in self.reconciler.reconcile_all(looking, deadline or Deadline(), inline_bytes=0):
                summary.add(outcome)
            # The comparison saw what the work items counted as skipped, and what they refused as refused before.
            changes = self.reconciler.ledger.changes(since, trigger.prefix)
            summary.objects_counted = changes.objects_counted
            summary.objects_skipped = max(0, summary.objects_skipped - changes.objects_counted)
            summary.objects_refused += changes.objects_refused
            summary.objects_refused_before = max(0, summary.objects_refused_before - changes.objects_refused_before)
            summary.rows_read, summary.rows_counted = changes.rows_read, changes.rows_counted
            summary.rows_rejected = changes.rows_rejected
            summary.rows_lost += changes.rows_lost
            summary.add_losses(changes.losses)
            summary.accepted = changes.accepted[:MAX_KEYS_LISTED]
            summary.errors += changes.errors
            self.publications.publish(summary, self.clock())
        self._write_report(summary)
        return summary

    @contextmanager
    def _noting_failure(self, summary: Summary) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            summary.errors.append(f"{type(error).__name__}: {in_short(error)}")
            self.publications.fail(summary, self.clock())
            raise

    def _write_report(self, summary: Summary) -> None:
        """Write the report, and note its outcome in the summary; a page that fails does not undo the publication."""
        started = self.clock()
        try:
            summary.report = self.reports.write()
        except Exception as error:
            summary.report_error = f"{type(error).__name__}: {in_short(error)}"
        summary.report_ms = round((self.clock() - started).total_seconds() * 1000)

    def _outcomes(self, trigger: Trigger, deadline: Deadline) -> Iterator[Outcome]:
        if trigger.key is None:
            yield from self.reconciler.reconcile_all(trigger, deadline)
        else:
            yield from self.reconciler.reconcile(trigger.key, trigger, deadline)
