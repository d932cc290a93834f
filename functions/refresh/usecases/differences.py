"""The result of a verification: where the ledger differs from a recount."""

from typing import Literal

import msgspec

# An answer through Step Functions holds 256 KiB, a key up to 1 KiB and a reason 2,000 characters. More
# differences usually have one cause.
_MAX_DIFFERENCES_LISTED = 50

DifferenceKind = Literal[
    "entry missing",
    "other version",
    "dimension missing",
    "other counts",
    "no object",
    "needless error",
    "refused object",
    "not verified",
]


class Difference(msgspec.Struct, frozen=True):
    """A difference between ledger and bucket about an object.

    Attributes
    ----------
    kind : str
        In two words.
    detail : str
        What the ledger has, and what the recount has.
    is_repaired : bool
        Whether the ledger agrees with the bucket now.
    """

    key: str
    kind: DifferenceKind
    detail: str
    is_repaired: bool = False


class Verified(msgspec.Struct, kw_only=True):
    """What a verification found.

    Attributes
    ----------
    objects : int
        The keys to verify: those in the bucket, and those that only the ledger has.
    objects_verified : int
        The first of them, which this invocation and those before it have looked at.
    objects_changed : int
        Those that changed while they were verified; the next refresh counts them.
    objects_different, objects_repaired : int
        Those that still differ after this invocation, and those that it repaired.
    differences : list of Difference
        The first 50 of both.
    go_on_after : str or None
        The key after which the next invocation has to go on, because the time was over; None at the end. Totals and
        published table are verified at the end.
    totals_different, totals_repaired : int
        Totals that are not the sum of the usage in the ledger, and those that were not and were repaired.
    published : int or None
        The refresh that published the table; None when nothing is published.
    rows_different : int
        Rows of the published table that are not what the totals give as of its day, and rows that it lacks.
    is_followed : bool
        Whether another refresh was under way, which publishes when it ends.
    refreshed : int or None
        The refresh that published what was repaired.
    errors : list of str
        What went wrong while publishing the repairs.
    """

    objects: int = 0
    objects_verified: int = 0
    objects_changed: int = 0
    objects_different: int = 0
    objects_repaired: int = 0
    differences: list[Difference] = msgspec.field(default_factory=list)
    go_on_after: str | None = None
    totals_different: int = 0
    totals_repaired: int = 0
    published: int | None = None
    rows_different: int = 0
    is_followed: bool = False
    refreshed: int | None = None
    errors: list[str] = msgspec.field(default_factory=list)

    def add(self, difference: Difference) -> None:
        """Note a difference."""
        self.objects_repaired += difference.is_repaired
        self.objects_different += not difference.is_repaired
        if len(self.differences) < _MAX_DIFFERENCES_LISTED:
            self.differences.append(difference)
