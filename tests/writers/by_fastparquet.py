"""Voucher records as fastparquet writes them."""

from pathlib import Path
from typing import Any

import fastparquet
import pandas as pd

_TEXT = dict.fromkeys(["country_code", "last_order_ts", "total_orders", "voucher_amount"], "utf8")


def write(records: list[dict[str, Any]], folder: Path) -> None:
    """Write the records in every form."""
    native = pd.DataFrame(records)
    text = pd.DataFrame(
        {
            "country_code": native["country_code"].astype(object),
            "last_order_ts": native["last_order_ts"].dt.strftime("%Y-%m-%d %H:%M:%S").astype(object),
            "total_orders": _texts(record["total_orders"] for record in records),
            "voucher_amount": _texts(record["voucher_amount"] for record in records),
        }
    )
    as_objects = text.assign(
        total_orders=pd.Series([record["total_orders"] for record in records], dtype=object),
        voucher_amount=pd.Series([record["voucher_amount"] for record in records], dtype=object),
    )
    as_bytes = text.map(lambda value: value if value is None else value.encode())
    categories = text.assign(country_code=text["country_code"].astype("category"))
    nullable = native.astype({"total_orders": "Int32", "voucher_amount": "UInt16"})

    def save(form: str, frame: pd.DataFrame, **options: Any) -> None:
        fastparquet.write(str(folder / f"fastparquet-{form}.parquet"), frame, **options)

    save("text", text, object_encoding=_TEXT)
    save("text-required", text.fillna(""), object_encoding=_TEXT, has_nulls=False)
    save("no-statistics", text, object_encoding=_TEXT, stats=False)
    save("small-groups", text, object_encoding=_TEXT, row_group_offsets=7)
    save("append", text[:50], object_encoding=_TEXT)
    save("append", text[50:], object_encoding=_TEXT, append=True)
    save("bytes", as_bytes, object_encoding=dict.fromkeys(_TEXT, "bytes"))
    save("json", as_objects, object_encoding=_TEXT | dict.fromkeys(["total_orders", "voucher_amount"], "json"))
    save("categories", categories, object_encoding={name: "utf8" for name in _TEXT if name != "country_code"})
    save("native", native, object_encoding={"country_code": "utf8"})
    save("nullable", nullable, object_encoding={"country_code": "utf8"})
    save(
        "int96",
        native.astype({"last_order_ts": "datetime64[ns]"}),
        object_encoding={"country_code": "utf8"},
        times="int96",
    )
    save("index", native.set_index("last_order_ts"), object_encoding={"country_code": "utf8"})
    save("fixed-text", text, object_encoding=_TEXT, fixed_text={"last_order_ts": 19})
    for unit in ("ms", "us", "ns"):  # seconds it writes as if they were milliseconds
        moments = native.astype({"last_order_ts": f"datetime64[{unit}]"})
        save(f"timestamp-{unit}", moments, object_encoding={"country_code": "utf8"})
    zoned = native.assign(last_order_ts=native["last_order_ts"].dt.tz_localize("UTC").dt.tz_convert("America/Lima"))
    save("timestamp-zone", zoned, object_encoding={"country_code": "utf8"})
    for codec in ("UNCOMPRESSED", "SNAPPY", "GZIP", "ZSTD", "BROTLI", "LZ4", "LZ4_RAW"):
        save(f"codec-{codec.lower()}", text, object_encoding=_TEXT, compression=codec)


def _texts(values: Any) -> pd.Series:
    return pd.Series([None if value is None else f"{value}.0" for value in values], dtype=object)
