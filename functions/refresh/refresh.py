"""The one operation: make the ledger match the bucket, then publish as of a day."""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime

from botocore.exceptions import BotoCoreError, ClientError

from functions.refresh.bucket import Bucket, ObjectChangedError
from functions.refresh.events import Trigger
from functions.refresh.ledger import NO_ENTRY, Ledger, LedgerEntry
from functions.refresh.publication import Publications, Summary
from functions.refresh.usage import ObjectError, Usage

# Another refresh, or a writer of the object, got in between each time: not something to wait out here.
_ATTEMPTS = 5

_LONGEST_REASON = 2000


class RefreshError(Exception):
    """A refresh ended, but not everything went well; the message says what did not.

    Attributes
    ----------
    summary : Summary
        What the refresh did all the same.
    """

    def __init__(self, summary: Summary) -> None:
        super().__init__("; ".join(summary.errors))
        self.summary = summary


class Refresh:
    """Makes the ledger match the bucket and publishes.

    Parameters
    ----------
    bucket : Bucket
        The dataset.
    ledger : Ledger
        What is counted of it.
    publications : Publications
        Where the result goes.
    countries : sequence of str
        The countries to publish.
    clock : callable
        Gives the present moment with its zone.
    """

    def __init__(
        self,
        bucket: Bucket,
        ledger: Ledger,
        publications: Publications,
        *,
        countries: Sequence[str],
        clock: Callable[[], datetime],
    ) -> None:
        self._bucket = bucket
        self._ledger = ledger
        self._publications = publications
        self._countries = countries
        self._clock = clock

    def run(self, trigger: Trigger) -> Summary:
        """Refresh once.

        An object that cannot be counted is noted and does not stop the others, nor the publication.

        Raises
        ------
        RefreshError
            After everything else is done, when at least one object could not be counted.
        """
        summary = self._publications.start(trigger, self._countries, self._clock())
        try:
            if trigger.key is not None:
                if self._bucket.has_in_dataset(trigger.key):
                    self._account_for(trigger.key, trigger, summary)
            else:
                self._account_for_all(trigger, summary)
            self._publications.publish(summary, self._clock())
        except Exception as error:
            summary.errors.append(f"{type(error).__name__}: {_in_short(error)}")
            self._publications.fail(summary, self._clock())
            raise
        if summary.errors:
            raise RefreshError(summary)
        return summary

    def _account_for_all(self, trigger: Trigger, summary: Summary) -> None:
        """Compare the ledger with the listing, and look closer only where they differ."""
        entries = self._ledger.entries(trigger.prefix)
        for key, version in self._bucket.versions(trigger.prefix):
            entry = entries.pop(key, NO_ENTRY)
            if entry.matches(version):
                summary.objects_skipped += 1
            else:
                self._account_for(key, trigger, summary)
        for key, entry in entries.items():
            if not entry.matches(None):
                self._account_for(key, trigger, summary)

    def _account_for(self, key: str, trigger: Trigger, summary: Summary) -> None:
        """Make the ledger match one object, or note in it why that cannot be."""
        for _ in range(_ATTEMPTS):
            # The order matters: the ledger's entry first, then the bucket. See `ledger`.
            entry = self._ledger.entry(key)
            try:
                if self._match(key, entry, trigger, summary):
                    return
            except ObjectChangedError:
                continue
            except (ObjectError, ClientError, BotoCoreError) as error:
                reason = _in_short(error)
                if self._ledger.write_failure(key, entry, reason, sequencer=trigger.sequencer, now=self._clock()):
                    summary.objects_failed += 1
                    summary.errors.append(f"{key}: {reason}")
                    return
        summary.objects_failed += 1
        summary.errors.append(
            f"{key}: changed {_ATTEMPTS} times while it was counted; the next refresh looks at it again"
        )

    def _match(self, key: str, entry: LedgerEntry, trigger: Trigger, summary: Summary) -> bool:
        """Make the ledger match one object; False when another refresh changed the entry meanwhile."""
        version = self._bucket.version(key)
        if entry.matches(version):
            summary.objects_skipped += 1
            return True
        if version is None:
            written = self._ledger.write_removed(key, entry, sequencer=trigger.sequencer, now=self._clock())
            summary.objects_removed += written
            return written
        usage = Usage()
        for records in self._bucket.batches(key, version):
            usage.add(records)
        written = self._ledger.write_counted(key, entry, version, usage, sequencer=trigger.sequencer, now=self._clock())
        if written:
            summary.objects_counted += 1
            summary.rows_read += usage.rows_read
            summary.rows_counted += usage.rows_counted
            summary.rows_rejected = dict(Counter(summary.rows_rejected) + usage.rows_rejected)
        return written


def _in_short(error: Exception) -> str:
    """Return what an error says in a form that the database takes, whatever of an object's content it quotes."""
    return str(error).replace("\0", "\ufffd")[:_LONGEST_REASON]
