"""Voucher records as polars writes them."""

from pathlib import Path
from typing import Any

import polars as pl

_MOMENT = pl.col("last_order_ts")
_ORDERS, _AMOUNT = pl.col("total_orders"), pl.col("voucher_amount")
_NUMBERS = pl.col("total_orders", "voucher_amount")

_TEXT = (
    _MOMENT.dt.strftime("%Y-%m-%d %H:%M:%S"), _ORDERS.cast(pl.Float64).cast(pl.String), _AMOUNT.cast(pl.String)
)  # fmt: skip

_FORMS: dict[str, tuple[tuple[pl.Expr, ...], dict[str, Any]]] = {
    "text": (_TEXT, {}),
    "native": ((), {}),
    "small-groups": (_TEXT, {"row_group_size": 7}),
    "small-pages": (_TEXT, {"data_page_size": 16}),
    "statistics-none": (_TEXT, {"statistics": False}),
    "statistics-full": (_TEXT, {"statistics": "full"}),
    "categorical": ((*_TEXT, pl.col("country_code").cast(pl.Categorical)), {}),
    "bytes": ((pl.col("country_code").cast(pl.Binary), *(text.cast(pl.Binary) for text in _TEXT)), {}),
    "date": ((_MOMENT.cast(pl.Date),), {}),
    **{f"timestamp-{unit}": ((_MOMENT.cast(pl.Datetime(unit)),), {}) for unit in ("ms", "us", "ns")},
    "timestamp-zone": ((_MOMENT.dt.replace_time_zone("UTC").dt.convert_time_zone("America/Lima"),), {}),
    **{
        f"number-{kind}": ((_NUMBERS.cast(kind),), {})
        for kind in (pl.Int16, pl.Int32, pl.Int128, pl.UInt16, pl.UInt32, pl.UInt64, pl.Float16, pl.Float32)
    },
    **{
        f"decimal-{precision}": ((_NUMBERS.cast(pl.Decimal(precision, scale)),), {})
        for precision, scale in ((9, 2), (18, 2), (38, 4))
    },
    **{
        f"codec-{codec}": (_TEXT, {"compression": codec})
        for codec in ("uncompressed", "snappy", "gzip", "zstd", "brotli", "lz4")
    },
    "extra": (
        (
            pl.lit([1, 2]).alias("list"), pl.struct(a=1, total_orders=pl.lit("x")).alias("struct"),
            pl.duration(days=1).alias("spell"), pl.lit(b"\xff").alias("bytes"), pl.lit(None).alias("nothing"),
            pl.lit("x").alias("country_code.x"), pl.lit("y").alias("Country_Code"), pl.lit(True).alias("flag"),
            pl.time(1, 2, 3).alias("clock"), pl.lit([[1.5]]).alias("deep"),
        ),
        {},
    ),
}  # fmt: skip


def write(records: list[dict[str, Any]], folder: Path) -> None:
    """Write the records in every form, and an empty file."""
    frame = pl.DataFrame(records)
    for form, (columns, options) in _FORMS.items():
        frame.with_columns(*columns).write_parquet(folder / f"polars-{form}.parquet", **options)
    frame.with_columns(*_TEXT).lazy().sink_parquet(folder / "polars-sink.parquet")
