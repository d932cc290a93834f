"""Voucher records as arrow-rs writes them, through arro3: any encoding of any column."""

from pathlib import Path
from typing import Any

import polars as pl
from arro3.core import Table
from arro3.io import write_parquet

_COLUMNS = ["country_code", "last_order_ts", "total_orders", "voucher_amount"]


def write(records: list[dict[str, Any]], folder: Path) -> None:
    """Write the records in every encoding."""
    frame = pl.DataFrame(records)
    text = frame.select(
        "country_code", pl.col("last_order_ts").dt.strftime("%Y-%m-%d %H:%M:%S"),
        pl.col("total_orders").cast(pl.Float64).cast(pl.String), pl.col("voucher_amount").cast(pl.String),
    )  # fmt: skip

    def save(form: str, rows: pl.DataFrame, **options: Any) -> None:
        write_parquet(Table.from_arrow(rows), folder / f"arrow-rs-{form}.parquet", **options)

    for version in ("parquet_1_0", "parquet_2_0"):
        save(f"text-{version}", text, writer_version=version)
        save(f"native-{version}", frame, writer_version=version)
        for encoding in ("plain", "delta_byte_array", "delta_length_byte_array"):
            chosen = dict.fromkeys(_COLUMNS, encoding)
            save(
                f"{encoding}-{version}", text, writer_version=version, dictionary_enabled=False, column_encoding=chosen
            )
        save(
            f"one-delta-{version}", text, writer_version=version,
            column_dictionary_enabled={"total_orders": False}, column_encoding={"total_orders": "delta_byte_array"},
        )  # fmt: skip
        save(
            f"fallback-{version}", text, writer_version=version, dictionary_page_size_limit=64, data_page_size_limit=64
        )
        for encoding in ("delta_binary_packed", "byte_stream_split"):
            chosen = dict.fromkeys(["total_orders", "voucher_amount", "last_order_ts"], encoding)
            save(
                f"{encoding}-{version}", frame, writer_version=version, dictionary_enabled=False, column_encoding=chosen
            )
    save("no-arrow-schema", text, skip_arrow_metadata=True)
    save("bloom-filter", text, bloom_filter_enabled=True)
    save("small-groups", text, max_row_group_size=7)
    for codec in ("uncompressed", "snappy", "gzip(6)", "zstd(3)", "brotli(3)", "lz4", "lz4_raw"):
        save(f"codec-{codec.partition('(')[0]}", text, compression=codec)
