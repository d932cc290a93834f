"""The ledger's entry of a key, and whether it agrees with the bucket."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from functions.common.dimensions import UNKNOWN_APART, Dimensions, parse_dimension
from functions.refresh.reading.bucket import ObjectVersion


class LedgerEntry(NamedTuple):
    """The ledger's entry of a key.

    Attributes
    ----------
    revision : int
        How often the entry changed; 0 when there is none.
    etag : str or None
        The version that is counted, if one is.
    dimensions : sequence of str
        The dimensions that it is counted by.
    rows_rejected : mapping of str to int
        Its rows that are not counted, by reason.
    error : str or None
        Why a later version, or this one by more dimensions, could not be counted.
    refused_etag : str or None
        The version that `error` is about, if its content is the cause.
    refused_dimensions : sequence of str
        The dimensions by which that version could not be counted.
    accepted_etag : str or None
        The version that a person accepted, however many of its rows are rejected.
    """

    revision: int
    etag: str | None
    dimensions: Sequence[str]
    rows_rejected: Mapping[str, int]
    error: str | None
    refused_etag: str | None
    refused_dimensions: Sequence[str]
    accepted_etag: str | None

    def matches(self, version: ObjectVersion | None, needed: Dimensions) -> bool:
        """Return whether the entry agrees with the bucket: it counts this version, or nothing where there is no object.

        A version that is counted by further dimensions agrees too, unless these made it reject rows.
        """
        if version is None or self.etag != version.etag:
            return version is None and self.etag is None and self.error is None
        if self.dimensions != needed.names and not self._is_counted_by(needed):
            return False
        # An error of the counted version may be about dimensions that no family needs any more.
        is_needless = self.refused_etag == self.etag and not self.knows_as_refused(version, needed)
        return self.error is None or is_needless

    def _is_counted_by(self, needed: Dimensions) -> bool:
        """Return whether it is counted by the needed dimensions, and rejects no row because of another column."""
        needless = set(self.dimensions) - set(needed.names) - {UNKNOWN_APART}
        columns = {name for text in needless for name in parse_dimension(text).columns} - needed.columns.keys()
        rejects = any(reason.startswith(tuple(f"{name}_" for name in columns)) for reason in self.rows_rejected)
        return set(needed.names) <= set(self.dimensions) and not rejects

    def knows_as_refused(self, version: ObjectVersion | None, needed: Dimensions) -> bool:
        """Return whether this version is known to be refused by the needed dimensions."""
        is_known = version is not None and self.refused_etag == version.etag
        return is_known and set(self.refused_dimensions) <= set(needed.names)


NO_ENTRY = LedgerEntry(0, None, (), {}, None, None, (), None)
