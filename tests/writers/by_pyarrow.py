"""Voucher records as pyarrow writes them, in forms that no other writer at hand has."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

_TEXT = {name: pa.string() for name in ("country_code", "last_order_ts", "total_orders", "voucher_amount")}
_NATIVE = {
    "country_code": pa.string(), "last_order_ts": pa.timestamp("us"),
    "total_orders": pa.int64(), "voucher_amount": pa.float64(),
}  # fmt: skip


def _delta(*names: str) -> dict[str, Any]:
    return {
        "use_dictionary": [name for name in _TEXT if name not in names],
        "column_encoding": dict.fromkeys(names, "DELTA_BYTE_ARRAY"),
    }


def _encoded(names: list[str], encoding: str) -> dict[str, Any]:
    return {"use_dictionary": False, "column_encoding": dict.fromkeys(names, encoding)}


# The types of the columns, and how they are written.
_FORMS: dict[str, tuple[dict[str, pa.DataType], dict[str, Any]]] = {
    **{
        f"{encoding.lower()}-{page}": (_TEXT, {**_encoded([*_TEXT], encoding), "data_page_version": page})
        for encoding in ("PLAIN", "DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY")
        for page in ("1.0", "2.0")
    },
    **{
        f"{encoding.lower()}-{page}": (_NATIVE, {**_encoded([*_NATIVE][1:], encoding), "data_page_version": page})
        for encoding in ("DELTA_BINARY_PACKED", "BYTE_STREAM_SPLIT")
        for page in ("1.0", "2.0")
        if encoding == "BYTE_STREAM_SPLIT"
    },
    "delta_binary_packed": (_NATIVE, _encoded(["last_order_ts", "total_orders"], "DELTA_BINARY_PACKED")),
    **{f"delta-{name}": (_TEXT, _delta(name)) for name in _TEXT},
    "fallback": (_TEXT, {"dictionary_pagesize_limit": 64, "data_page_size": 64, "write_batch_size": 8}),
    "int96": (_NATIVE, {"use_deprecated_int96_timestamps": True}),
    **{f"timestamp-{unit}": (_NATIVE | {"last_order_ts": pa.timestamp(unit)}, {}) for unit in ("s", "ms", "ns")},
    "timestamp-zone": (_NATIVE | {"last_order_ts": pa.timestamp("us", "America/Lima")}, {}),
    "date32": (_NATIVE | {"last_order_ts": pa.date32()}, {}),
    "date64": (_NATIVE | {"last_order_ts": pa.date64()}, {}),
    **{
        f"decimal-{digits}-{'integer' if is_integer else 'bytes'}": (
            _NATIVE | dict.fromkeys(("total_orders", "voucher_amount"), pa.decimal128(digits, 2)),
            {"store_decimal_as_integer": is_integer},
        )
        for digits in (7, 15, 30)
        for is_integer in (False, True)
    },
    "decimal-60": (_NATIVE | {"total_orders": pa.decimal256(60, 2)}, {}),
    **{
        f"number-{kind}": (_NATIVE | {"total_orders": kind}, {})
        for kind in (pa.int8(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64(), pa.float16(), pa.float32())
    },
    **{
        f"country-{kind}-{'with' if has_schema else 'no'}-schema": (
            _TEXT | {"country_code": kind}, {"store_schema": has_schema}
        )
        for kind in (pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary(), pa.binary_view())
        for has_schema in (False, True)
    },
    "dictionary": (_TEXT | {"country_code": pa.dictionary(pa.int32(), pa.string())}, {}),
    "dictionary-of-bytes": (_TEXT | {"country_code": pa.dictionary(pa.int8(), pa.binary())}, {}),
    "json": (_TEXT | dict.fromkeys(("total_orders", "voucher_amount"), pa.json_()), {}),
    "json-no-schema": (_TEXT | {"total_orders": pa.json_()}, {"store_schema": False}),
    "spark-flavor": (_NATIVE, {"flavor": "spark"}),
    **{f"version-{version}": (_NATIVE, {"version": version}) for version in ("1.0", "2.4", "2.6")},
    "page-index": (_TEXT, {"write_page_index": True, "write_page_checksum": True}),
    "no-statistics": (_TEXT, {"write_statistics": False}),
    "a-row-a-group": (_TEXT, {"row_group_size": 1}),
    "mixed-groups": (_TEXT, {"row_group_size": 50, "compression": {"country_code": "gzip", "total_orders": "lz4"}}),
}  # fmt: skip


def write(records: list[dict[str, Any]], folder: Path) -> None:
    """Write the records in every form, and between empty row groups."""
    for form, (kinds, options) in _FORMS.items():
        pq.write_table(_table(records, kinds), folder / f"pyarrow-{form}.parquet", **options)
    text = _table(records, _TEXT)
    with pq.ParquetWriter(folder / "pyarrow-empty-groups.parquet", text.schema) as writer:
        for table in (text[:0], text[:50], text[:0], text[50:], text[:0]):
            writer.write_table(table)


def _table(records: list[dict[str, Any]], kinds: dict[str, pa.DataType]) -> pa.Table:
    columns = {name: _column([record[name] for record in records], kind) for name, kind in kinds.items()}
    return pa.table(columns)


def _column(values: list[Any], kind: pa.DataType) -> pa.Array:
    storage = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
    value_type = storage.value_type if pa.types.is_dictionary(storage) else storage
    if pa.types.is_decimal(value_type):
        values = [None if value is None else Decimal(value) for value in values]
    elif not pa.types.is_temporal(value_type) and not pa.types.is_primitive(value_type):
        texts = pa.array([None if value is None else str(value) for value in values])
        return pa.ExtensionArray.from_storage(kind, texts) if storage is not kind else texts.cast(storage)
    elif pa.types.is_temporal(value_type):
        return pa.array(values, pa.timestamp("us")).cast(kind, safe=False)
    return pa.array(values, kind)
