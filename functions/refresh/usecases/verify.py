"""Verification: recounting the bucket, object by object, and comparing ledger, totals and published table with it."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import NamedTuple

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from functions.common.days import utc_day
from functions.common.dimensions import NO_DIMENSIONS
from functions.refresh.counting.cleaning import ObjectError
from functions.refresh.counting.usage import Usage
from functions.refresh.ledger.audit import Comparison, LedgerAudit
from functions.refresh.reading.bucket import ObjectChangedError, ObjectVersion
from functions.refresh.results import Outcome, Summary, in_short
from functions.refresh.usecases.deadline import Deadline
from functions.refresh.usecases.differences import Difference, Verified
from functions.refresh.usecases.events import Trigger, VerificationRequest
from functions.refresh.usecases.refresh import Refresh, RefreshError
from functions.refresh.usecases.walk import OBJECTS_AT_ONCE, ObservedObject, can_start, observe

_NO_TIME = "the time was over before its end; give the function more memory"


class _Finding(NamedTuple):
    """The difference of an object and how to repair it; nothing if ledger and bucket agree.

    To repair a refused object means to note why it is refused, which leaves it different.
    """

    difference: Difference | None = None
    repair: Callable[[], Outcome | None] | None = None
    has_changed: bool = False


@dataclass(frozen=True)
class Verification:
    """Compares ledger, totals and published table with a recount of the bucket, and repairs them on request."""

    refresh: Refresh
    audit: LedgerAudit

    def run(self, request: VerificationRequest, deadline: Deadline) -> tuple[Verified, Summary | None]:
        """Verify, from where the request says to the end or to the deadline.

        Returns
        -------
        Verified, Summary or None
            What was found, and the refresh that published what was repaired.
        """
        found = Verified(go_on_after=request.after)
        # With progress marked, an object that runs out of time is reported as `not verified`, not as refused.
        deadline.mark_progress()
        if request.fix and not request.after:
            # Totals first: repairing an object changes them by the difference, and they must not fall below 0.
            found.totals_repaired = self.audit.repair_totals()
        outcomes = list(self._verify_objects(request, deadline, found))
        is_at_end = found.objects_verified == found.objects and not deadline.is_over
        if is_at_end:
            found.go_on_after = None
            found.totals_different = self.audit.count_wrong_totals()
            if request.fix and found.totals_different:
                found.totals_repaired += self.audit.repair_totals()
                found.totals_different = 0
            self._verify_table(request, found)
        is_stale = is_at_end and (found.published is None or found.rows_different)
        if not (request.fix and (outcomes or found.totals_repaired or is_stale)):
            return found, None
        summary = self._publish(request, outcomes)
        noted = {outcome.error for outcome in outcomes if outcome.kind == "refused"}  # these are among the differences
        found.refreshed = summary.refresh_id
        found.errors = [error for error in summary.errors if error not in noted]
        self._verify_table(request, found)
        return found, summary

    def _verify_objects(self, request: VerificationRequest, deadline: Deadline, found: Verified) -> Iterator[Outcome]:
        """Verify object by object; yield the outcomes of those that were repaired."""
        is_over = False
        for key, finding in self._findings(request, deadline, found):
            found.objects += 1
            is_first = found.go_on_after == request.after
            is_over = is_over or (finding is None and not is_first)
            if is_over:
                continue  # only in the number of objects
            found.objects_verified += 1
            found.go_on_after = key
            # The first object is reported even if the time was over, else the next invocation would get no further.
            finding = finding or _Finding(Difference(key, "not verified", _NO_TIME))  # noqa: PLW2901
            outcome = finding.repair() if request.fix and finding.repair else None
            if outcome:
                yield outcome
            if finding.has_changed or (request.fix and finding.repair and not outcome):
                found.objects_changed += 1
            elif finding.difference:
                is_repaired = outcome is not None and outcome.kind != "refused"
                found.add(msgspec.structs.replace(finding.difference, is_repaired=is_repaired))

    def _findings(
        self, request: VerificationRequest, deadline: Deadline, found: Verified
    ) -> Iterator[tuple[str, _Finding | None]]:
        """Verify objects, several at a time, in the order of their keys; None for those without time."""
        with ThreadPoolExecutor(OBJECTS_AT_ONCE) as workers:
            under_way: deque[tuple[str, int, Future[_Finding | None]]] = deque()
            for observed in self._look(request.prefix):
                if observed.key <= request.after:
                    found.objects += 1
                    found.objects_verified += 1
                    continue
                size = observed.version.size if observed.version else 0
                while under_way and not can_start([size for _, size, _ in under_way], size):
                    key, _, finding = under_way.popleft()
                    yield key, finding.result()
                under_way.append((observed.key, size, workers.submit(self._verify, observed, deadline)))
            for key, _, finding in under_way:
                yield key, finding.result()

    def _look(self, prefix: str) -> list[ObservedObject]:
        """Return, in the order of keys, what the bucket holds or the ledger counts or has an error of."""
        inconsistent = self.audit.keys_that_count_without_version()
        reconciler = self.refresh.reconciler
        observed = observe(reconciler.ledger, reconciler.bucket, prefix)
        return sorted(
            (
                one
                for one in observed
                if one.version or one.key in inconsistent or not one.entry.matches(None, NO_DIMENSIONS)
            ),
            key=attrgetter("key"),
        )

    def _verify(self, observed: ObservedObject, deadline: Deadline) -> _Finding | None:
        """Recount an object; None when the time was over before its end."""
        if deadline.is_over:
            return None
        try:
            return self._recount(observed, deadline)
        except ObjectChangedError:
            return _Finding(has_changed=True)
        except ObjectError as error:
            return self._refused(observed, error)
        except (ClientError, BotoCoreError) as error:
            return _Finding(Difference(observed.key, "not verified", in_short(error)))

    def _refused(self, observed: ObservedObject, error: ObjectError) -> _Finding:
        key, entry, version = observed
        counted = f"its version {entry.etag} is counted" if entry.etag else "nothing of it is counted"
        difference = Difference(key, "refused object", f"{in_short(error)}; {counted}")
        reconciler = self.refresh.reconciler
        if entry.knows_as_refused(version, reconciler.dimensions()):
            return _Finding(difference)
        # A stricter rule refuses what was counted before it; no run would look at the object again.
        return _Finding(difference, partial(reconciler.refuse, observed, error))

    def _recount(self, observed: ObservedObject, deadline: Deadline) -> _Finding | None:
        key, _, version = observed
        reconciler = self.refresh.reconciler
        usage = reconciler.count(key, version, deadline)
        if usage is None:
            return None
        is_accepted = reconciler.check(observed, usage)
        ledger = self.audit.compare(*observed, usage)
        if ledger is None:
            return _Finding(has_changed=True)
        difference = _difference(key, version, usage, ledger)
        if difference is None:
            return _Finding()
        return _Finding(difference, partial(reconciler.write, observed, usage, is_accepted=is_accepted))

    def _verify_table(self, request: VerificationRequest, found: Verified) -> None:
        """Compare the published table with what the totals give."""
        table = self.refresh.publications.compare(request.now)
        if table:
            found.published, found.is_followed = table.refresh_id, table.is_followed
            found.rows_different = table.rows_different

    def _publish(self, request: VerificationRequest, outcomes: list[Outcome]) -> Summary:
        """Publish as of the day of the published table, or today if there is none."""
        table = self.refresh.publications.compare(request.now)
        trigger = Trigger("manual", table.as_of if table else utc_day(request.now))
        try:
            return self.refresh.publish(trigger, outcomes)
        except RefreshError as error:
            return error.summary


def _difference(  # noqa: PLR0911 - a kind each
    key: str, version: ObjectVersion | None, usage: Usage, ledger: Comparison
) -> Difference | None:
    """Return how the ledger differs from a recount, if it does."""
    counts = (
        f"the ledger counts {ledger.rows_counted:,} rows, the recount {usage.rows_counted:,},"
        f" and {ledger.counts_different:,} counts of its usage differ"
    )
    if version is None and (ledger.etag or ledger.error):
        return Difference(key, "no object", f"the bucket has none; {counts}")
    if version and ledger.etag is None:
        return Difference(
            key, "entry missing", f"nothing of it is counted, the recount has {usage.rows_counted:,} rows"
        )
    if version and ledger.etag != version.etag:
        return Difference(key, "other version", f"{ledger.etag} is counted, the bucket holds {version.etag}; {counts}")
    if ledger.dimensions_lacking:
        return Difference(key, "dimension missing", f"it is not counted by {', '.join(ledger.dimensions_lacking)}")
    if ledger.counts_different or not ledger.is_alike:
        return Difference(key, "other counts", counts)
    if ledger.error:
        return Difference(key, "needless error", f"it can be counted, though the ledger says: {ledger.error}")
    return None
