"""Work items: what one function counts of a backlog, several small objects or a part of a large one."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from functions.refresh.counting.cleaning import ObjectError
from functions.refresh.counting.usage import Usage
from functions.refresh.ledger.entry import NO_ENTRY, LedgerEntry
from functions.refresh.ledger.partial_counts import PartialCounts
from functions.refresh.reading.bucket import ObjectChangedError, ObjectVersion, Part
from functions.refresh.results import ItemSummary, Outcome
from functions.refresh.usecases.deadline import Deadline
from functions.refresh.usecases.events import Trigger
from functions.refresh.usecases.reconcile import Reconciler
from functions.refresh.usecases.walk import ObservedObject

# Each time another function, or a writer of the object, was faster. After that the object is deferred.
_ATTEMPTS = 5


class PlannedObject(NamedTuple):
    """A version of an object that is to be counted, and the ledger's revision when it was observed."""

    key: str
    version: ObjectVersion
    revision: int


class WorkItem(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What one function counts of a backlog.

    Attributes
    ----------
    objects : tuple of PlannedObject
        The objects; a single one if the item is a part.
    part : Part or None
        The part of the object to count; None for whole objects.
    """

    objects: tuple[PlannedObject, ...]
    part: Part | None = None


@dataclass(frozen=True)
class WorkItems:
    """Counts work items. Counting one again skips what is done, and does the rest."""

    reconciler: Reconciler
    partial_counts: PartialCounts

    def count(self, item: WorkItem, trigger: Trigger, deadline: Deadline) -> ItemSummary:
        """Count one item.

        Raises
        ------
        botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError
            When S3 or the network fails in a part. The ledger does not note it: other parts go on, and the work item
            may be retried.
        """
        summary = ItemSummary()
        if item.part is None:
            for outcome in self._count_objects(item.objects, trigger, deadline):
                summary.add(outcome)
        else:
            [planned] = item.objects
            summary.add(self._count_part(planned, item.part, trigger, deadline))
        return summary

    def _count_objects(
        self, objects: tuple[PlannedObject, ...], trigger: Trigger, deadline: Deadline
    ) -> Iterator[Outcome]:
        entries = self.reconciler.ledger.entries_of([planned.key for planned in objects])
        to_do: list[tuple[str, ObservedObject | None]] = []
        for planned in objects:
            entry = entries.get(planned.key, NO_ENTRY)
            if entry.revision == planned.revision:
                to_do.append((planned.key, ObservedObject(planned.key, entry, planned.version)))
            elif settled := self._settled_since(entry, planned.version):
                yield settled
            else:
                to_do.append((planned.key, None))
        yield from self.reconciler.reconcile_each(to_do, trigger, deadline)

    def _count_part(self, planned: PlannedObject, part: Part, trigger: Trigger, deadline: Deadline) -> Outcome:
        """Count a part; the function that finds no other part missing writes the ledger."""
        key, version = planned.key, planned.version
        needed = self.reconciler.dimensions()
        for _ in range(_ATTEMPTS):
            # The order matters: the ledger's entry first, then the bucket. See `ledger`.
            entry = self.reconciler.ledger.entry(key)
            if entry.revision != planned.revision and (settled := self._settled_since(entry, version)):
                return settled
            if self.reconciler.bucket.version(key) != version:
                return Outcome("deferred")
            observed = ObservedObject(key, entry, version)
            try:
                is_there = self.partial_counts.has(key, version, part, needed)
                if not is_there and not self._write_part(key, version, part, deadline):
                    return Outcome("deferred")
                whole = self.partial_counts.combined(key, version, part.parts, needed)
                outcome = self._write_whole(observed, whole, trigger) if whole else Outcome("deferred")
            except ObjectChangedError:
                return Outcome("deferred")
            except ObjectError as error:
                outcome = self.reconciler.refuse(observed, error, trigger.sequencer)
            if outcome:
                return outcome
        return Outcome("deferred")

    def _write_whole(self, observed: ObservedObject, usage: Usage, trigger: Trigger) -> Outcome | None:
        is_accepted = self.reconciler.check(observed, usage, trigger)
        return self.reconciler.write(observed, usage, is_accepted=is_accepted)

    def _write_part(self, key: str, version: ObjectVersion, part: Part, deadline: Deadline) -> bool:
        usage = self.reconciler.count(key, version, deadline, part)
        if usage is None:
            return False
        rows = usage.rejected.table
        if rows is not None:
            self.reconciler.bucket.put_rejected(key, version, rows, part)
        self.partial_counts.write(key, version, part, usage, now=self.reconciler.clock())
        return True

    def _settled_since(self, entry: LedgerEntry, version: ObjectVersion) -> Outcome | None:
        """Return what happened to a version since it was planned, None when that is not known."""
        needed = self.reconciler.dimensions()
        if entry.matches(version, needed):
            return Outcome("skipped")
        return Outcome("refused_before") if entry.knows_as_refused(version, needed) else None
