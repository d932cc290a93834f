"""The ledger of counted objects and the usage totals, which always change together.

Every writer reads an entry, then looks at the object in S3, and writes only if the entry still has
the revision that was read. So no write is based on an older look at the object than the write it
replaces, whatever the order of events and however many refreshes run at once.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
from pg8000.native import Connection

from functions.common.database import Database, array_literal
from functions.common.dimensions import NO_DIMENSIONS, Dimensions
from functions.refresh.counting.usage import Usage
from functions.refresh.ledger.entry import NO_ENTRY, LedgerEntry
from functions.refresh.ledger.schema import lock, usage_of
from functions.refresh.reading.bucket import ObjectVersion
from functions.refresh.results import MAX_LOSSES_LISTED, ItemSummary

# Subtract and add in one statement, so that rows that are equal in both stay untouched.
CHANGE = f"""
    WITH change AS (
        SELECT country_code, dimension, value, voucher_amount, sum(count) AS count
        FROM (
            SELECT * FROM unnest(
                CAST(:country_code AS text[]), CAST(:dimension AS text[]), CAST(:value AS bigint[]),
                CAST(:voucher_amount AS bigint[]), CAST(:count AS bigint[])
            ) AS added (country_code, dimension, value, voucher_amount, count)
            UNION ALL
            SELECT removed.country_code, removed.dimension, removed.value, removed.voucher_amount, -removed.count
            FROM voucher_customer.ledger, {usage_of("ledger", "removed")} WHERE key = :key
        ) AS both_usages
        GROUP BY country_code, dimension, value, voucher_amount
        HAVING sum(count) <> 0
    )
"""  # noqa: S608 - made of constants
"""The start of a statement: the given usage of an object, minus the usage that the ledger has of it."""

_APPLY_TO_TOTALS = """
    MERGE INTO voucher_customer.usage_totals AS total USING change
    ON (total.country_code, total.dimension, total.value, total.voucher_amount)
        = (change.country_code, change.dimension, change.value, change.voucher_amount)
    WHEN MATCHED AND total.count + change.count = 0 THEN DELETE
    WHEN MATCHED THEN UPDATE SET count = total.count + change.count
    WHEN NOT MATCHED THEN INSERT (country_code, dimension, value, voucher_amount, count)
        VALUES (change.country_code, change.dimension, change.value, change.voucher_amount, change.count)
"""

# Parts of the object, of any version, are obsolete now. Its usage at the last publication is kept for the next one,
# which finds out from it why most used amounts changed.
_WRITE = """
    WITH parts AS (DELETE FROM voucher_customer.partial_counts WHERE key = :key), published AS (
        INSERT INTO voucher_customer.changed_objects (
            key, etag, usage_country_code, usage_dimension, usage_value, usage_voucher_amount, usage_count
        )
        SELECT asked.key, etag, coalesce(usage_country_code, '{}'), coalesce(usage_dimension, '{}'),
               coalesce(usage_value, '{}'), coalesce(usage_voucher_amount, '{}'), coalesce(usage_count, '{}')
        FROM (SELECT CAST(:key AS text) AS key) AS asked LEFT JOIN voucher_customer.ledger USING (key)
        ON CONFLICT (key) DO NOTHING
    )
    INSERT INTO voucher_customer.ledger AS ledger (
        key, revision, etag, size, dimensions, sequencer, rows_read, rows_counted, rows_rejected, values_defaulted,
        usage_country_code, usage_dimension, usage_value, usage_voucher_amount, usage_count, changed_at, accepted_etag
    ) VALUES (
        :key, 1, :etag, :size, CAST(:dimensions AS text[]), :sequencer, :rows_read, :rows_counted,
        CAST(:rows_rejected AS jsonb), CAST(:values_defaulted AS jsonb),
        CAST(:country_code AS text[]), CAST(:dimension AS text[]), CAST(:value AS bigint[]),
        CAST(:voucher_amount AS bigint[]), CAST(:count AS bigint[]), :now, :accepted_etag
    )
    ON CONFLICT (key) DO UPDATE SET
        revision = ledger.revision + 1,
        (etag, size, dimensions, sequencer, rows_read, rows_counted, rows_rejected, values_defaulted,
         usage_country_code, usage_dimension, usage_value, usage_voucher_amount, usage_count, error, refused_etag,
         refused_dimensions, changed_at, accepted_etag, rows_lost)
        = (excluded.etag, excluded.size, excluded.dimensions, excluded.sequencer, excluded.rows_read,
           excluded.rows_counted, excluded.rows_rejected, excluded.values_defaulted, excluded.usage_country_code,
           excluded.usage_dimension, excluded.usage_value, excluded.usage_voucher_amount, excluded.usage_count, NULL,
           NULL, '{}', excluded.changed_at, excluded.accepted_etag,
           greatest(ledger.rows_counted - excluded.rows_counted, 0))
    RETURNING rows_lost
"""

_WRITE_REFUSAL = """
    INSERT INTO voucher_customer.ledger AS ledger
        (key, revision, error, refused_etag, refused_dimensions, sequencer, changed_at, refused_since)
    VALUES (:key, 1, :error, :refused_etag, CAST(:refused_dimensions AS text[]), :sequencer, :now, :now)
    ON CONFLICT (key) DO UPDATE SET
        revision = ledger.revision + 1,
        (error, refused_etag, refused_dimensions, sequencer, changed_at, rows_lost, refused_since)
        = (excluded.error, excluded.refused_etag, excluded.refused_dimensions, excluded.sequencer,
           excluded.changed_at, 0,
           CASE WHEN ledger.error IS NULL THEN excluded.changed_at ELSE ledger.refused_since END)
"""

_CONFIRM = """
    INSERT INTO voucher_customer.ledger AS ledger (key, revision, changed_at) VALUES (:key, 1, :now)
    ON CONFLICT (key) DO UPDATE SET revision = ledger.revision + 1
"""

_CHANGES = """
    WITH changed AS (
        SELECT * FROM voucher_customer.ledger WHERE changed_at >= :since AND starts_with(key, :prefix)
    ), counted AS (
        SELECT * FROM changed WHERE error IS NULL AND etag IS NOT NULL
    ), rejected AS (
        SELECT reason, sum(CAST(rows AS bigint)) AS rows
        FROM counted, jsonb_each_text(rows_rejected) AS each (reason, rows) GROUP BY reason
    ), refused AS (
        SELECT * FROM changed WHERE error IS NOT NULL
    ), first_refused AS (
        SELECT key, error FROM refused ORDER BY key LIMIT :limit
    )
    SELECT (SELECT count(*) FROM counted), (SELECT count(*) FROM refused), (SELECT count(refused_etag) FROM refused),
           (SELECT CAST(coalesce(sum(rows_read), 0) AS bigint) FROM counted),
           (SELECT CAST(coalesce(sum(rows_counted), 0) AS bigint) FROM counted),
           (SELECT coalesce(json_object_agg(reason, rows), '{}') FROM rejected),
           (SELECT coalesce(json_agg(key || ': ' || error ORDER BY key), '[]') FROM first_refused),
           (SELECT CAST(coalesce(sum(rows_lost), 0) AS bigint) FROM counted),
           (SELECT coalesce(json_agg(key ORDER BY key), '[]') FROM (
               SELECT key FROM counted WHERE accepted_etag = etag ORDER BY key LIMIT :limit
           ) AS first_accepted),
           (SELECT coalesce(json_object_agg(key, rows_lost ORDER BY rows_lost DESC, key), '{}') FROM (
               SELECT key, rows_lost FROM counted WHERE rows_lost > 0 ORDER BY rows_lost DESC, key LIMIT :losses
           ) AS largest)
"""
_CHANGED = (
    "objects_counted", "objects_refused", "objects_refused_before", "rows_read", "rows_counted", "rows_rejected",
    "errors", "rows_lost", "accepted", "losses",
)  # fmt: skip

# A large backlog may have more refused objects than anyone reads; the ledger has all of them.
_MAX_ERRORS = 1000


_ENTRY = LedgerEntry._fields


@dataclass(frozen=True)
class Ledger:
    """Reads and changes the ledger, an object at a time."""

    database: Database

    def entries(self, prefix: str = "") -> dict[str, LedgerEntry]:
        """Return every entry by key, or those whose keys begin with a prefix."""
        with self.database.transaction() as connection:
            # One value for each column, because pg8000 decodes tens of thousands of rows field by field.
            [[keys, *columns]] = connection.run(
                f"SELECT json_agg(key), {', '.join(f'json_agg({name})' for name in _ENTRY)}"  # noqa: S608
                " FROM voucher_customer.ledger WHERE starts_with(key, :prefix)",
                prefix=prefix,
            )
        return dict(zip(keys, map(LedgerEntry, *columns), strict=True)) if keys else {}

    def entry(self, key: str) -> LedgerEntry:
        """Return the entry of a key, `NO_ENTRY` if it has none."""
        return self.entries_of([key]).get(key, NO_ENTRY)

    def entries_of(self, keys: Sequence[str]) -> dict[str, LedgerEntry]:
        """Return the entries of those keys that have one."""
        with self.database.transaction() as connection:
            rows = connection.run(
                f"SELECT key, {', '.join(_ENTRY)} FROM voucher_customer.ledger"  # noqa: S608
                " WHERE key = ANY (CAST(:keys AS text[]))",
                keys=list(keys),
            )
        return {key: LedgerEntry(*entry) for key, *entry in rows}

    def changes(self, since: datetime, prefix: str) -> ItemSummary:
        """Return the outcomes of entries that changed since a moment, of keys that begin with a prefix.

        `objects_refused_before` counts the refused ones whose content is the reason.
        """
        with self.database.transaction() as connection:
            rows = connection.run(_CHANGES, since=since, prefix=prefix, limit=_MAX_ERRORS, losses=MAX_LOSSES_LISTED)
        return msgspec.convert(dict(zip(_CHANGED, rows[0], strict=True)), ItemSummary)

    def write(
        self,
        key: str,
        entry: LedgerEntry,
        version: ObjectVersion | None,
        usage: Usage,
        *,
        is_accepted: bool = False,
        sequencer: str | None,
        now: datetime,
    ) -> int | None:
        """Replace what an object adds to the totals, ledger and totals in one transaction.

        A deleted object has no version and adds nothing; its entry stays, to keep its revision.

        Returns
        -------
        int or None
            How many rows of the object are not counted any more; None, and nothing written, when the entry changed
            since `entry` was read.
        """
        # Encoded before the lock is taken: it takes pg8000 ten milliseconds, for which other writers would wait.
        arrays = {name: array_literal(column) for name, column in usage.table.to_pydict().items()}
        defaulted = json.dumps(usage.values_defaulted)
        with self.database.transaction() as connection:
            if not _lock_unchanged(connection, key, entry):
                return None
            connection.run(CHANGE + _APPLY_TO_TOTALS, key=key, **arrays)
            [[rows_lost]] = connection.run(
                _WRITE, key=key, etag=version and version.etag, size=version and version.size,
                dimensions=usage.dimensions.names if version else [], sequencer=sequencer, rows_read=usage.rows_read,
                rows_counted=usage.rows_counted, rows_rejected=json.dumps(usage.rows_rejected),
                values_defaulted=defaulted, accepted_etag=version.etag if version and is_accepted else None, now=now,
                **arrays,
            )  # fmt: skip
        return int(rows_lost)

    def confirm(self, key: str, entry: LedgerEntry, *, now: datetime) -> bool:
        """Raise the revision of an entry that agrees with the bucket, so that writes based on earlier looks fail.

        Returns
        -------
        bool
            False, and nothing written, when the entry changed since `entry` was read.
        """
        with self.database.transaction() as connection:
            if not _lock_unchanged(connection, key, entry):
                return False
            connection.run(_CONFIRM, key=key, now=now)
        return True

    def write_refusal(
        self,
        key: str,
        entry: LedgerEntry,
        error: str,
        refused: ObjectVersion | None = None,
        dimensions: Dimensions = NO_DIMENSIONS,
        *,
        sequencer: str | None,
        now: datetime,
    ) -> bool:
        """Note why an object could not be counted; what was counted of it before stays.

        Returns
        -------
        bool
            False, and nothing written, when the entry changed since `entry` was read.
        """
        with self.database.transaction() as connection:
            if not _lock_unchanged(connection, key, entry):
                return False
            refused_etag = refused.etag if refused else None
            connection.run(
                _WRITE_REFUSAL, key=key, error=error, refused_etag=refused_etag,
                refused_dimensions=dimensions.names, sequencer=sequencer, now=now,
            )  # fmt: skip
        return True


def _lock_unchanged(connection: Connection, key: str, entry: LedgerEntry) -> bool:
    """Keep others from writing, and return whether an entry is still as it was read."""
    lock(connection)
    rows = connection.run("SELECT revision FROM voucher_customer.ledger WHERE key = :key", key=key)
    return (rows[0][0] if rows else 0) == entry.revision
