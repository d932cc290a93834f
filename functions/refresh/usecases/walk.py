"""The walk over the ledger and the bucket: what both hold of each key, and how many objects are worked on at once."""

import os
from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple

from functions.refresh.ledger.entry import NO_ENTRY, LedgerEntry
from functions.refresh.ledger.ledger import Ledger
from functions.refresh.reading.bucket import Bucket, ObjectVersion

PROCESSORS = os.cpu_count() or 1

# At one time so many objects, as far as they are not larger than that together: small ones wait for S3, large ones for
# each other.
OBJECTS_AT_ONCE = 8
_BYTES_AT_ONCE = 48 * 2**20
# Larger ones wait for a processor rather than for S3: so one more than there are processors.
_BUSY_BYTES = 8 * 2**20

# What is read in the time that an object takes beside its bytes: docs/scale.md.
_OBJECT_BYTES = 2**20


class ObservedObject(NamedTuple):
    """What the ledger and then the bucket said of a key."""

    key: str
    entry: LedgerEntry
    version: ObjectVersion | None


def observe(
    ledger: Ledger, bucket: Bucket, prefix: str, ignore: Callable[[str], object] = lambda _: None
) -> Iterator[ObservedObject]:
    """Look at every key of the dataset in the bucket, then at those that only the ledger knows.

    Parameters
    ----------
    ignore : callable
        Takes each key under the prefix that is not part of the dataset.
    """
    # The order matters: the ledger's entries first, then the bucket. See `ledger`.
    entries = ledger.entries(prefix)
    for key, version in bucket.objects(prefix):
        if version is None:
            ignore(key)
        else:
            yield ObservedObject(key, entries.pop(key, NO_ENTRY), version)
    for key, entry in entries.items():
        yield ObservedObject(key, entry, None)


def estimated_bytes(version: ObjectVersion) -> int:
    """Return how much there is to count in an object, in bytes; the time that it takes beside them counts too."""
    return version.size + _OBJECT_BYTES


def can_start(sizes: Collection[int], size: int) -> bool:
    """Tell whether an object may be counted beside those that are under way."""
    together = [*sizes, size]
    busy = sum(one > _BUSY_BYTES for one in together)
    return len(together) <= OBJECTS_AT_ONCE and sum(together) <= _BYTES_AT_ONCE and busy <= PROCESSORS + 1
