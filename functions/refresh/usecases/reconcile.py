"""Reconciler: making the ledger match the bucket, object by object."""

import math
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
from botocore.exceptions import BotoCoreError, ClientError

from functions.common.dimensions import Dimensions
from functions.refresh.counting.cleaning import ObjectError
from functions.refresh.counting.guard import check_rejected_share
from functions.refresh.counting.usage import Usage
from functions.refresh.ledger.ledger import Ledger
from functions.refresh.reading.bucket import WHOLE, Bucket, ObjectChangedError, ObjectVersion, Part
from functions.refresh.reading.row_groups import Batch
from functions.refresh.results import BY_HAND, Outcome, in_short
from functions.refresh.usecases.deadline import Deadline, OutOfTimeError
from functions.refresh.usecases.events import Trigger
from functions.refresh.usecases.walk import (
    OBJECTS_AT_ONCE,
    PROCESSORS,
    ObservedObject,
    can_start,
    estimated_bytes,
    observe,
)

# Each time another refresh, or a writer of the object, was faster. After that the object is left to the next refresh.
_ATTEMPTS = 5

_MAX_IGNORED_LISTED = 5

# Larger objects are counted by all processors together. Smaller ones mostly wait for S3.
_LARGE_BYTES = 24 * 2**20


def _finished(under_way: dict[Future[Outcome], int]) -> Iterator[Outcome]:
    """Wait until some are finished, and take them out."""
    for finished in wait(under_way, return_when=FIRST_COMPLETED).done:
        del under_way[finished]
        yield finished.result()


@dataclass(frozen=True)
class Reconciler:
    """Makes the ledger match the bucket.

    Attributes
    ----------
    dimensions : callable
        Gives the dimensions of today's families.
    clock : callable
        Gives the present moment with its zone.
    inline_bytes : float
        The most `estimated_bytes` that one run counts; if there is more, it counts nothing.
    max_rejected_share : float
        The share of an object's rows that may be rejected.
    """

    bucket: Bucket
    ledger: Ledger
    dimensions: Callable[[], Dimensions]
    clock: Callable[[], datetime]
    inline_bytes: float = math.inf
    max_rejected_share: float = 1

    def reconcile_all(
        self, trigger: Trigger, deadline: Deadline, *, inline_bytes: float | None = None
    ) -> Iterator[Outcome]:
        """Compare the ledger with the listing, and look closer only where they differ.

        After the deadline, objects that differ are only counted as deferred.

        Parameters
        ----------
        inline_bytes : float or None
            Another limit than the usual one on the `estimated_bytes` of this run.

        Yields
        ------
        Outcome
            One for each object when it is done, one for all that are skipped, and one for all that are ignored.
        """
        limit = self.inline_bytes if inline_bytes is None else inline_bytes
        to_do: list[ObservedObject] = []
        waiting: list[tuple[ObservedObject, int]] = []
        backlog_bytes = 0
        for observed in self.differences(trigger):
            if isinstance(observed, Outcome):
                yield observed
            elif observed.version is None:
                to_do.append(observed)
            else:
                waiting.append((observed, estimated_bytes(observed.version)))
                backlog_bytes += estimated_bytes(observed.version)
            # A first load may have hundreds of thousands of objects, which would all wait in memory.
            if backlog_bytes > limit:
                yield from (Outcome("deferred", backlog_bytes=size) for _, size in waiting)
                waiting.clear()
        to_do += (observed for observed, _ in waiting)
        yield from self.reconcile_each(((observed.key, observed) for observed in to_do), trigger, deadline)

    def differences(self, trigger: Trigger) -> Iterator[ObservedObject | Outcome]:
        """Compare the ledger with the listing: yields the objects that differ, and the outcomes of the others."""
        needed = self.dimensions()
        skipped, ignored = 0, list[str]()
        for observed in observe(self.ledger, self.bucket, trigger.prefix, ignored.append):
            if observed.entry.matches(observed.version, needed):
                skipped += observed.version is not None
            # An earlier run refused this version and reported it. A person may want it tried again.
            elif trigger.kind not in BY_HAND and observed.entry.knows_as_refused(observed.version, needed):
                yield Outcome("refused_before")
            else:
                yield observed
        yield Outcome("skipped", objects=skipped)
        yield Outcome("ignored", objects=len(ignored), keys=ignored[:_MAX_IGNORED_LISTED])

    def reconcile_each(
        self, objects: Iterable[tuple[str, ObservedObject | None]], trigger: Trigger, deadline: Deadline
    ) -> Iterator[Outcome]:
        """Make the ledger match some objects, a few at a time.

        Parameters
        ----------
        objects : iterable of (str, ObservedObject or None)
            Keys, each with what was observed of its object, if it was.
        """
        with ThreadPoolExecutor(OBJECTS_AT_ONCE) as workers:
            under_way: dict[Future[Outcome], int] = {}
            for key, observed in objects:
                size = observed.version.size if observed and observed.version else 0
                while under_way and not can_start(under_way.values(), size):
                    yield from _finished(under_way)
                under_way[workers.submit(self._reconcile, key, trigger, deadline, observed)] = size
            while under_way:
                yield from _finished(under_way)

    def reconcile(self, key: str, trigger: Trigger, deadline: Deadline) -> Iterator[Outcome]:
        """Make the ledger match one object, or note in it why the object cannot be counted.

        An object that is not part of the dataset is ignored; counts that an earlier release made of it are removed.
        """
        is_ignored = not self.bucket.is_in_dataset(key)
        if is_ignored and trigger.kind == "object_created" and key.startswith(self.bucket.prefix):
            yield Outcome("ignored", keys=[key])
        if "\0" in key:  # the ledger cannot have an entry of such a key
            return
        outcome = self._reconcile(key, trigger, deadline, None)
        if not (is_ignored and outcome.kind == "skipped"):
            yield outcome

    def _reconcile(self, key: str, trigger: Trigger, deadline: Deadline, observed: ObservedObject | None) -> Outcome:
        """Start from what was observed of the object, if anything; look again when it has changed meanwhile."""
        for _ in range(_ATTEMPTS):
            if deadline.is_over:
                return Outcome("deferred")
            # The order matters: the ledger's entry first, then the bucket. See `ledger`.
            found = observed or ObservedObject(key, self.ledger.entry(key), None)
            try:
                if not observed:
                    found = found._replace(version=self.bucket.version(key))
                    if found.version and not found.entry.matches(found.version, self.dimensions()):
                        size = estimated_bytes(found.version)
                        if size > self.inline_bytes:
                            return Outcome("deferred", backlog_bytes=size)
                observed = None
                outcome = self._match(found, trigger, deadline)
            except ObjectChangedError:
                continue
            except ObjectError as error:
                outcome = self.refuse(found, error, trigger.sequencer)
                deadline.mark_progress()
            except (ClientError, BotoCoreError) as error:
                # An error of S3 or the network is not a property of the version.
                outcome = self.refuse(found._replace(version=None), error, trigger.sequencer)
            if outcome:
                return outcome
        return Outcome(
            "refused", f"{key}: changed {_ATTEMPTS} times while it was counted; the next refresh looks at it again"
        )

    def _match(self, observed: ObservedObject, trigger: Trigger, deadline: Deadline) -> Outcome | None:
        """Make the ledger match one version of an object; None when another refresh changed the entry meanwhile."""
        if observed.entry.matches(observed.version, self.dimensions()):
            # After an event the object may have changed and changed back, for example put and deleted. A run that saw
            # the state in between must not write it any more: no further event would correct that.
            is_event = trigger.key is not None and self.bucket.is_in_dataset(observed.key)
            if is_event and not self.ledger.confirm(observed.key, observed.entry, now=self.clock()):
                return None
            return Outcome("skipped")
        usage = self.count(observed.key, observed.version, deadline)
        if usage is None:
            return Outcome("deferred")
        is_accepted = self.check(observed, usage, trigger)
        outcome = self.write(observed, usage, trigger.sequencer, is_accepted=is_accepted)
        if outcome:
            deadline.mark_progress()
        return outcome

    def check(self, observed: ObservedObject, usage: Usage, trigger: Trigger | None = None) -> bool:
        """Return whether a version is counted only because a person accepts it, now or before.

        Raises
        ------
        ObjectError
            When too many of its rows are rejected, and nobody accepts it. The first of them are written.
        """
        try:
            check_rejected_share(observed.key, usage, self.max_rejected_share)
        except ObjectError as error:
            is_accepted = observed.version is not None and observed.entry.accepted_etag == observed.version.etag
            if is_accepted or (trigger and trigger.accepts(observed.key)):
                return True
            # The rejected rows help the person who reads why the object is refused.
            if trigger and self._put_rejected(observed, usage):
                raise ObjectError(f"{error}; its rejected rows cannot be written") from error
            raise
        return False

    def write(
        self, observed: ObservedObject, usage: Usage, sequencer: str | None = None, *, is_accepted: bool = False
    ) -> Outcome | None:
        """Write an object to the ledger, as removed if it has no version; None when its entry changed meanwhile."""
        # The rejected rows first: once the version is in the ledger, no run looks at it again.
        error = self._put_rejected(observed, usage)
        rows_lost = self.ledger.write(*observed, usage, is_accepted=is_accepted, sequencer=sequencer, now=self.clock())
        if rows_lost is None:
            return None
        losses = {observed.key: rows_lost}
        if observed.version is None:
            return Outcome("removed", losses=losses)
        rows = (usage.rows_read, usage.rows_counted, usage.rows_rejected)
        return Outcome("counted", error, *rows, keys=[observed.key] if is_accepted else (), losses=losses)

    def _put_rejected(self, observed: ObservedObject, usage: Usage) -> str:
        """Write the rejected rows of an object, if it has any, and return why that failed; empty when it did not."""
        rows = usage.rejected.table
        try:
            if rows is not None and observed.version:
                self.bucket.put_rejected(observed.key, observed.version, rows)
        except (ClientError, BotoCoreError, pa.ArrowException) as error:
            return f"{observed.key}: is counted, but its rejected rows cannot be written: {in_short(error)}"
        return ""

    def refuse(self, observed: ObservedObject, error: Exception, sequencer: str | None = None) -> Outcome | None:
        """Note in the ledger why an object cannot be counted; None when another refresh changed the entry meanwhile.

        The version is refused, if there is one, and not tried again.
        """
        key, entry, refused = observed
        reason = in_short(error)
        written = self.ledger.write_refusal(
            key, entry, reason, refused, self.dimensions(), sequencer=sequencer, now=self.clock()
        )
        return Outcome("refused", f"{key}: {reason}") if written else None

    def count(self, key: str, version: ObjectVersion | None, deadline: Deadline, part: Part = WHOLE) -> Usage | None:
        """Count one version of an object, or a part of it, a large one on all processors; None when the time was over.

        Without a version there is nothing to count.

        Raises
        ------
        ObjectError
            When the time was over and the run did nothing else: the next run would get no further.
        """
        if version is None:
            return Usage()
        needed = self.dimensions()
        count = PROCESSORS if version.size > _LARGE_BYTES else 1
        shares = self.bucket.shares(key, version, needed.columns, count, part)
        usages = [Usage(needed) for _ in shares]
        try:
            if len(shares) == 1:
                _count_share(shares[0], usages[0], deadline)
            else:
                with ThreadPoolExecutor(len(shares)) as workers:
                    list(workers.map(_count_share, shares, usages, [deadline] * len(shares)))
        except OutOfTimeError as error:
            if not deadline.mark_progress():
                return None
            raise ObjectError(
                f"does not fit into one run: the time was over after {sum(usage.rows_read for usage in usages):,} rows"
                f" of an object of {version.size:,} bytes; give the function more memory, or write smaller objects"
            ) from error
        usage, *others = usages
        for other in others:
            usage.update(other)
        return usage


def _count_share(batches: Iterator[Batch], usage: Usage, deadline: Deadline) -> None:
    for first_row, records in batches:
        if usage.rows_read:
            deadline.check()
        try:
            usage.add(records, first_row)
        except pa.ArrowException as error:
            raise ObjectError(f"cannot be counted: {error}") from error
