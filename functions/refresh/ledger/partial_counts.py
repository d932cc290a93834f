"""Parts of large objects: counted one by one, and combined into the object's usage when all are counted.

A part belongs to one version, so counting it again gives the same. Parts are written without the lock: nothing is
derived from them before the ledger's entry of the whole object is written.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import pyarrow as pa

from functions.common.database import Database
from functions.common.dimensions import Dimensions
from functions.refresh.counting.usage import USAGE_SCHEMA, Usage
from functions.refresh.ledger.schema import usage_of
from functions.refresh.reading.bucket import ObjectVersion, Part

_KEPT = timedelta(days=7)

_THESE = "key = :key AND etag = :etag AND dimensions = CAST(:dimensions AS text[]) AND parts = :parts"

_WRITE = """
    INSERT INTO voucher_customer.partial_counts VALUES (
        :key, :etag, :parts, :part, :rows_read, :rows_counted, CAST(:rows_rejected AS jsonb),
        CAST(:values_defaulted AS jsonb), :country_code, :dimension, :value, :voucher_amount, :count, :now,
        CAST(:dimensions AS text[])
    ) ON CONFLICT DO NOTHING
"""

_ROWS = f"""
    SELECT count(*), coalesce(sum(rows_read), 0), coalesce(sum(rows_counted), 0),
           coalesce(json_agg(rows_rejected), '[]'), coalesce(json_agg(values_defaulted), '[]')
    FROM voucher_customer.partial_counts WHERE {_THESE}
"""  # noqa: S608 - made of constants

# Columns, because pg8000 decodes rows field by field.
_USAGE = f"""
    SELECT array_agg(country_code), array_agg(dimension), array_agg(value), array_agg(voucher_amount), array_agg(count)
    FROM (
        SELECT country_code, dimension, value, voucher_amount, CAST(sum(count) AS bigint) AS count
        FROM voucher_customer.partial_counts, {usage_of("partial_counts", "counted")}
        WHERE {_THESE}
        GROUP BY country_code, dimension, value, voucher_amount
    ) AS combined
"""  # noqa: S608 - made of constants


@dataclass(frozen=True)
class PartialCounts:
    """Reads and writes the parts of objects."""

    database: Database

    def has(self, key: str, version: ObjectVersion, part: Part, dimensions: Dimensions) -> bool:
        """Return whether a part of a version is counted by some dimensions."""
        with self.database.transaction() as connection:
            rows = connection.run(
                f"SELECT 1 FROM voucher_customer.partial_counts WHERE {_THESE} AND part = :part",  # noqa: S608
                key=key, etag=version.etag, dimensions=dimensions.names, parts=part.parts, part=part.number,
            )  # fmt: skip
        return bool(rows)

    def write(self, key: str, version: ObjectVersion, part: Part, usage: Usage, *, now: datetime) -> None:
        """Write the counts of a part."""
        with self.database.transaction() as connection:
            connection.run(
                _WRITE, key=key, etag=version.etag, dimensions=usage.dimensions.names, parts=part.parts,
                part=part.number, rows_read=usage.rows_read, rows_counted=usage.rows_counted,
                rows_rejected=json.dumps(usage.rows_rejected),
                values_defaulted=json.dumps(usage.values_defaulted), now=now, **usage.table.to_pydict(),
            )  # fmt: skip

    def combined(self, key: str, version: ObjectVersion, parts: int, dimensions: Dimensions) -> Usage | None:
        """Return the usage of an object from its parts; None while parts are missing."""
        of = {"key": key, "etag": version.etag, "dimensions": dimensions.names, "parts": parts}
        with self.database.transaction() as connection:
            [[there, rows_read, rows_counted, rows_rejected, values_defaulted]] = connection.run(_ROWS, **of)
            if there < parts:
                return None
            [columns] = connection.run(_USAGE, **of)
        usage = Usage(dimensions)
        table = pa.table([column or [] for column in columns], schema=USAGE_SCHEMA)
        usage.restore(table, int(rows_read), int(rows_counted), _sum(rows_rejected), _sum(values_defaulted))
        return usage

    def forget(self, now: datetime) -> None:
        """Remove parts older than a week: their objects were deleted or changed before all parts were counted."""
        with self.database.transaction() as connection:
            connection.run("DELETE FROM voucher_customer.partial_counts WHERE counted_at < :limit", limit=now - _KEPT)


def _sum(counts: Iterable[Mapping[str, int]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for count in counts:
        total.update(count)
    return total
