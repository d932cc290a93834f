"""The backlog: more than one run can count. It is planned, counted on many functions, and published once.

A state machine (infra/templates/backlog.yaml) invokes the steps: plan, count each work item, many at a time, and
publish. Every step depends on the ledger alone, so any of them may be repeated.
"""

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from functions.refresh.reading.bucket import Part
from functions.refresh.results import ItemSummary, Outcome, Plan
from functions.refresh.usecases.deadline import Deadline
from functions.refresh.usecases.events import EventError, Trigger
from functions.refresh.usecases.refresh import Refresh
from functions.refresh.usecases.walk import estimated_bytes
from functions.refresh.usecases.work_items import PlannedObject, WorkItem, WorkItems

# Step Functions hands a function 256 KB at most; this leaves room for the event.
_MAX_ITEM_JSON_BYTES = 200_000


class PlanStep(msgspec.Struct, frozen=True, tag_field="step", tag="plan", forbid_unknown_fields=True):
    """Compare the ledger with the bucket and write down what is to be counted."""

    event: dict[str, Any]


class CountStep(msgspec.Struct, frozen=True, tag_field="step", tag="count", forbid_unknown_fields=True):
    """Count an item."""

    event: dict[str, Any]
    item: WorkItem


class PublishStep(msgspec.Struct, frozen=True, tag_field="step", tag="publish", forbid_unknown_fields=True):
    """Publish what was counted since the first plan was begun."""

    event: dict[str, Any]
    since: datetime


Step = PlanStep | CountStep | PublishStep


def read_step(event: Mapping[str, Any]) -> Step:
    """Return which step of a backlog an invocation asks for.

    Raises
    ------
    EventError
        When it is not a step of a backlog.
    """
    try:
        step: Step = msgspec.convert(event, Step)
    except msgspec.ValidationError as error:
        raise EventError(f"step cannot be read: {error}; only the state machine sends steps, so start it") from error
    return step


@dataclass(frozen=True)
class Backlog:
    """Takes the steps of a backlog.

    Attributes
    ----------
    item_bytes : int
        The approximate size of a work item.
    """

    refresh: Refresh
    items: WorkItems
    item_bytes: int

    def take(self, step: Step, trigger: Trigger, deadline: Deadline) -> Plan | ItemSummary:
        """Run a step. The trigger's prefix limits what is counted, its day is the as-of day.

        Objects that are left at the deadline are planned again.
        """
        match step:
            case PlanStep():
                return self.plan(trigger, deadline)
            case CountStep():
                return self.items.count(step.item, trigger, deadline)
            case PublishStep():
                self.items.partial_counts.forget(self.refresh.clock())
                return self.refresh.publish_backlog(trigger, step.since, deadline)

    def plan(self, trigger: Trigger, deadline: Deadline) -> Plan:
        """Write down what is to be counted."""
        items = objects = backlog_bytes = 0
        last_key = ""
        with tempfile.TemporaryFile() as manifest:
            for item in self._make_items(trigger, deadline):
                manifest.write((b",\n" if items else b"[") + msgspec.json.encode(item))
                items += 1
                # The parts of an object follow each other: count the object once.
                if item.objects[0].key != last_key:
                    objects += len(item.objects)
                    backlog_bytes += sum(estimated_bytes(planned.version) for planned in item.objects)
                last_key = item.objects[0].key
            manifest.write(b"]" if items else b"[]")
            manifest.seek(0)
            return Plan(items, objects, backlog_bytes, self.refresh.reconciler.bucket.put_plan(manifest))

    def _make_items(self, trigger: Trigger, deadline: Deadline) -> Iterator[WorkItem]:
        """Split large objects, and group small ones."""
        together: list[PlannedObject] = []
        size = json_bytes = 0
        for observed in self.refresh.reconciler.differences(trigger):
            if deadline.is_over:
                break
            if isinstance(observed, Outcome) or observed.version is None:
                continue
            version = observed.version
            planned = PlannedObject(observed.key, version, observed.entry.revision)
            parts = version.size // self.item_bytes
            if parts > 1:
                yield from (WorkItem((planned,), Part(number, parts)) for number in range(parts))
                continue
            length = len(msgspec.json.encode(planned))
            if together and (
                size + estimated_bytes(version) > self.item_bytes or json_bytes + length > _MAX_ITEM_JSON_BYTES
            ):
                yield WorkItem(tuple(together))
                together, size, json_bytes = [], 0, 0
            together.append(planned)
            size += estimated_bytes(version)
            json_bytes += length
        if together:
            yield WorkItem(tuple(together))
