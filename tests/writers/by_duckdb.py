"""Voucher records as DuckDB writes them."""

from pathlib import Path
from typing import Any

import duckdb

_TEXT = {
    "country_code": "country_code",
    "last_order_ts": "strftime(last_order_ts, '%Y-%m-%d %H:%M:%S')",
    "total_orders": "total_orders::DECIMAL(9, 1)::VARCHAR",
    "voucher_amount": "voucher_amount::VARCHAR",
}
_NUMBERS = {
    "total_orders": "total_orders",
    "voucher_amount": "voucher_amount::DOUBLE",
    "last_order_ts": "last_order_ts",
}

# The type of each column, and how they are written.
_FORMS: dict[str, tuple[dict[str, str], str]] = {
    "text": ({}, ""),
    "text-v2": ({}, "PARQUET_VERSION V2"),
    "text-v2-plain": ({}, "PARQUET_VERSION V2, DICTIONARY_SIZE_LIMIT 1"),
    "text-plain": ({}, "DICTIONARY_SIZE_LIMIT 1"),
    "small-groups": ({}, "ROW_GROUP_SIZE 2048"),
    "native": (_NUMBERS, ""),
    "native-v2": (_NUMBERS, "PARQUET_VERSION V2"),
    "native-v2-plain": (_NUMBERS, "PARQUET_VERSION V2, DICTIONARY_SIZE_LIMIT 1"),
    **{
        f"timestamp-{kind.lower()}": ({"last_order_ts": f"last_order_ts::{kind}"}, "")
        for kind in ("TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "DATE")
    },
    "timestamp-zone": ({"last_order_ts": "timezone('UTC', last_order_ts)"}, ""),
    **{
        f"decimal-{digits}": (
            {name: f"{name}::DECIMAL({digits})" for name in ("total_orders", "voucher_amount")},
            "PARQUET_VERSION V2" if digits == "18, 2" else "",
        )
        for digits in ("4, 0", "9, 2", "18, 2", "38, 4")
    },
    **{
        f"number-{kind.lower()}": ({name: f"{name}::{kind}" for name in ("total_orders", "voucher_amount")}, "")
        for kind in ("USMALLINT", "UINTEGER", "UBIGINT", "SMALLINT", "INTEGER", "HUGEINT", "FLOAT")
    },
    "json": ({name: f"{name}::JSON" for name in ("total_orders", "voucher_amount")}, ""),
    "json-v2": ({name: f"{name}::JSON" for name in ("total_orders", "voucher_amount")}, "PARQUET_VERSION V2"),
    "bytes": ({name: f"encode({text})" for name, text in _TEXT.items()}, ""),
    "bytes-v2": ({name: f"encode({text})" for name, text in _TEXT.items()}, "PARQUET_VERSION V2"),
    "enum": ({"country_code": "country_code::country"}, ""),
    **{
        f"codec-{codec}": ({}, f"CODEC {codec}")
        for codec in ("uncompressed", "snappy", "gzip", "zstd", "brotli", "lz4", "lz4_raw")
    },
}  # fmt: skip

# Columns that nobody needs, of types that DuckDB alone may have.
_EXTRA = """
    INTERVAL 1 MONTH AS spell, uuid() AS id, TIME '12:34:56' AS clock, TIMETZ '12:34:56+02' AS zoned_clock,
    [1, NULL] AS list, {'a': 1, 'total_orders': [2]} AS struct, MAP {'k': 'v'} AS map, '101'::BIT AS bits,
    [[{'a': [1.5]}]] AS deep, true AS flag, 1::UHUGEINT AS huge, 'x' AS "country_code.x", 'y' AS "Country_Code",
    '{"a": 1}'::JSON AS json, 1::BIGNUM AS bignum, NULL AS nothing
"""


def write(records: list[dict[str, Any]], folder: Path) -> None:
    """Write the records in every form."""
    database = duckdb.connect()
    names = [f"'{name}'" for name in sorted({record["country_code"] for record in records})]
    database.execute(f"CREATE TYPE country AS ENUM ({', '.join(names)})")
    database.execute(
        "CREATE TABLE records"
        " (country_code VARCHAR, last_order_ts TIMESTAMP, total_orders BIGINT, voucher_amount BIGINT)"
    )
    database.executemany("INSERT INTO records VALUES (?, ?, ?, ?)", [list(record.values()) for record in records])
    for form, (columns, options) in _FORMS.items():
        expressions = [f"{text} AS {name}" for name, text in (_TEXT | columns).items()]
        _copy(database, ", ".join(expressions), folder / f"duckdb-{form}.parquet", options)
    _copy(database, f"*, {_EXTRA}", folder / "duckdb-extra.parquet", "")
    _copy(database, f"*, {_EXTRA}", folder / "duckdb-extra-v2.parquet", "PARQUET_VERSION V2")


def _copy(database: duckdb.DuckDBPyConnection, columns: str, path: Path, options: str) -> None:
    written = ", ".join(["FORMAT parquet", *filter(None, [options])])
    database.execute(f"COPY (SELECT {columns} FROM records) TO '{path}' ({written})")
