"""The peers: polars' streaming engine and DuckDB, each used as its experts would use it.

Like the refresh function they group the raw values, of which there are few, and clean the groups.
This runs in an environment of its own, which has neither the project's requirements nor its code.
"""

import importlib.util
import os
from collections import Counter
from collections.abc import Iterable
from datetime import date
from typing import Any

_EPOCH = date(1970, 1, 1)
_DATABASE_FOLDER = "extensions"


def count_with_polars(prefix: str) -> dict[str, Any]:
    """Count a dataset with polars' streaming engine, in one pass for both dimensions."""
    import polars as pl

    url = os.environ["AWS_ENDPOINT_URL"]
    options = {
        "aws_endpoint_url": url,
        "aws_access_key_id": os.environ["AWS_ACCESS_KEY_ID"],
        "aws_secret_access_key": os.environ["AWS_SECRET_ACCESS_KEY"],
        "aws_region": os.environ["AWS_DEFAULT_REGION"],
        "aws_allow_http": "true",
    }
    records = pl.scan_parquet(f"s3://bench/{prefix}*.parquet", storage_options=options)
    queries = [
        records.group_by("country_code", dimension, "voucher_amount").len()
        for dimension in ("total_orders", "last_order_ts")
    ]
    orders, days = pl.collect_all(queries, engine="streaming")
    return _cleaned(orders.iter_rows(), days.iter_rows())


def count_with_duckdb(prefix: str) -> dict[str, Any]:
    """Count a dataset with DuckDB, in one pass for both dimensions."""
    import duckdb

    installed = importlib.util.find_spec("duckdb_ext")
    assert installed is not None
    assert installed.submodule_search_locations is not None
    folder = next(iter(installed.submodule_search_locations))
    connection = duckdb.connect(config={"extension_directory": f"{folder}/{_DATABASE_FOLDER}"})
    connection.execute("LOAD httpfs")
    connection.execute(
        "CREATE SECRET (TYPE s3, KEY_ID ?, SECRET ?, REGION ?, ENDPOINT ?, USE_SSL false, URL_STYLE 'path')",
        [
            os.environ["AWS_ACCESS_KEY_ID"],
            os.environ["AWS_SECRET_ACCESS_KEY"],
            os.environ["AWS_DEFAULT_REGION"],
            os.environ["AWS_ENDPOINT_URL"].removeprefix("http://"),
        ],
    )
    connection.execute("SET enable_progress_bar = false; SET preserve_insertion_order = false")
    groups = connection.execute(
        "SELECT grouping(total_orders), country_code, total_orders, last_order_ts, voucher_amount, count(*)"
        " FROM read_parquet(?) GROUP BY GROUPING SETS"
        " ((country_code, total_orders, voucher_amount), (country_code, last_order_ts, voucher_amount))",
        [f"s3://bench/{prefix}*.parquet"],
    ).fetchall()
    orders = [(country, value, amount, n) for is_day, country, value, _, amount, n in groups if not is_day]
    days = [(country, value, amount, n) for is_day, country, _, value, amount, n in groups if is_day]
    return _cleaned(orders, days)


def _known(value: str | float | None) -> int:
    """Return a number, -1 for one that is not there."""
    return -1 if value in (None, "") else int(float(value))


def _cleaned(orders: Iterable[tuple[Any, ...]], days: Iterable[tuple[Any, ...]]) -> dict[str, Any]:
    """Apply the data rules that the sample needs to groups of raw values."""
    counts: Counter[tuple[str, str, int, int]] = Counter()
    for country, text, amount, n in orders:
        counts[country, "total_orders", _known(text), _known(amount)] += n
    for country, text, amount, n in days:
        day = (date.fromisoformat(text[:10]) - _EPOCH).days
        counts[country, "days_since(last_order_ts)", day, _known(amount)] += n
    return {"rows": sorted((*place, n) for place, n in counts.items())}
