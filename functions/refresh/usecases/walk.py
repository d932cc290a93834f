"""The walk over ledger and bucket: what both hold of each key, and how many objects are counted at once."""

import os
from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple

from functions.refresh.ledger.entry import NO_ENTRY, LedgerEntry
from functions.refresh.ledger.ledger import Ledger
from functions.refresh.reading.bucket import Bucket, ObjectVersion

PROCESSORS = os.cpu_count() or 1

# At most this many objects at once, and this many bytes together: small objects wait for S3, large ones for each other.
OBJECTS_AT_ONCE = 8
_BYTES_AT_ONCE = 48 * 2**20
# Of objects larger than this, one more than there are processors, so that one can wait for S3.
_BUSY_BYTES = 8 * 2**20

# The fixed time of an object, as the bytes that could be read in it: docs/scale.md.
_OBJECT_BYTES = 2**20


class ObservedObject(NamedTuple):
    """A key's entry in the ledger and then its version in the bucket."""

    key: str
    entry: LedgerEntry
    version: ObjectVersion | None


def observe(
    ledger: Ledger, bucket: Bucket, prefix: str, ignore: Callable[[str], object] = lambda _: None
) -> Iterator[ObservedObject]:
    """Yield every key of the dataset in the bucket, then those that only the ledger has.

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
    """Return how much there is to count in an object, in bytes, with its fixed time as bytes too."""
    return version.size + _OBJECT_BYTES


def can_start(sizes: Collection[int], size: int) -> bool:
    """Return whether an object may be counted beside those in progress."""
    together = [*sizes, size]
    busy = sum(one > _BUSY_BYTES for one in together)
    return len(together) <= OBJECTS_AT_ONCE and sum(together) <= _BYTES_AT_ONCE and busy <= PROCESSORS + 1
