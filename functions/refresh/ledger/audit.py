"""Comparing the ledger with a recount, and the usage totals with the ledger."""

from dataclasses import dataclass
from typing import NamedTuple

from functions.common.database import Database
from functions.refresh.counting.usage import Usage
from functions.refresh.ledger.entry import LedgerEntry
from functions.refresh.ledger.ledger import CHANGE
from functions.refresh.ledger.schema import lock, usage_of
from functions.refresh.reading.bucket import ObjectVersion

# A difference is what a recount would change. Counts by dimensions that no family needs are not recounted.
_COMPARE = """
    SELECT coalesce(revision, 0), etag, size, coalesce(dimensions, '{}'), rows_read, coalesce(rows_counted, 0),
           rows_rejected, error, (
               SELECT count(*) FROM change
               WHERE CAST(:dimensions AS text[]) IS NULL OR dimension = ANY (CAST(:dimensions AS text[]))
           )
    FROM (SELECT CAST(:key AS text) AS key) AS asked LEFT JOIN voucher_customer.ledger USING (key)
"""

_DUE_TOTALS = f"""
    WITH due AS (
        SELECT country_code, dimension, value, voucher_amount, sum(count) AS count
        FROM voucher_customer.ledger, {usage_of("ledger", "usage")}
        GROUP BY country_code, dimension, value, voucher_amount
        HAVING sum(count) <> 0
    )
"""  # noqa: S608 - made of constants

_COUNT_WRONG_TOTALS = """
    SELECT count(*)
    FROM due FULL JOIN voucher_customer.usage_totals AS total USING (country_code, dimension, value, voucher_amount)
    WHERE due.count IS DISTINCT FROM total.count
"""

# The sum over a ledger that was tampered with may be negative until its objects are repaired.
_WRITE_TOTALS = """
    INSERT INTO voucher_customer.usage_totals (country_code, dimension, value, voucher_amount, count)
    SELECT country_code, dimension, value, voucher_amount, count FROM due WHERE count > 0
"""

_COUNTS_WITHOUT_VERSION = """
    SELECT key FROM voucher_customer.ledger
    WHERE etag IS NULL
      AND (rows_read <> 0 OR rows_counted <> 0 OR rows_rejected <> '{}' OR cardinality(usage_count) <> 0)
"""


class Comparison(NamedTuple):
    """The ledger's entry of an object, compared with a recount.

    Attributes
    ----------
    etag : str or None
        The version that is counted, if one is.
    error : str or None
        Why a later version could not be counted.
    rows_counted : int
        The rows that the ledger counts.
    is_alike : bool
        Whether size, rows, and rejected rows by reason equal those of the recount.
    counts_different : int
        How many counts of its usage differ from the recount.
    dimensions_lacking : list of str
        The dimensions that only the recount was counted by.
    """

    etag: str | None
    error: str | None
    rows_counted: int
    is_alike: bool
    counts_different: int
    dimensions_lacking: list[str]


@dataclass(frozen=True)
class LedgerAudit:
    """Compares ledger and totals with recounts, and repairs the totals."""

    database: Database

    def keys_that_count_without_version(self) -> set[str]:
        """Return the keys whose entry holds counts although it names no version."""
        with self.database.transaction() as connection:
            return {key for (key,) in connection.run(_COUNTS_WITHOUT_VERSION)}

    def compare(self, key: str, entry: LedgerEntry, version: ObjectVersion | None, usage: Usage) -> Comparison | None:
        """Compare the ledger's entry of an object with a recount; None when the entry changed since it was read."""
        with self.database.transaction() as connection:
            needed = usage.dimensions.names if version else None
            [[revision, etag, size, dimensions, rows_read, rows_counted, rows_rejected, error, counts_different]] = (
                connection.run(CHANGE + _COMPARE, key=key, dimensions=needed, **usage.table.to_pydict())
            )
        if revision != entry.revision:
            return None
        recounted = (version.size if version else None, usage.rows_read, usage.rows_counted, usage.rows_rejected)
        is_alike = (size, rows_read, rows_counted, rows_rejected) == recounted
        lacking = [name for name in needed or () if name not in dimensions]
        return Comparison(etag, error, rows_counted, is_alike, counts_different, lacking)

    def count_wrong_totals(self) -> int:
        """Return how many of the totals are not the sum of the usage in the ledger."""
        with self.database.transaction() as connection:
            [[count]] = connection.run(_DUE_TOTALS + _COUNT_WRONG_TOTALS)
        return int(count)

    def repair_totals(self) -> int:
        """Set the totals to the sum of the usage in the ledger, and return how many were wrong."""
        with self.database.transaction() as connection:
            lock(connection)
            [[count]] = connection.run(_DUE_TOTALS + _COUNT_WRONG_TOTALS)
            if count:
                connection.run("DELETE FROM voucher_customer.usage_totals")
                connection.run(_DUE_TOTALS + _WRITE_TOTALS)
        return int(count)
