"""Make the files beside this script, with Spark 4.3 and, through it, Hive's own writer.

They are kept, because Spark weighs half a gigabyte and needs Java 17. To make them again:
`uv venv /tmp/spark && uv pip install --python /tmp/spark pyspark==4.3.0`, then
`/tmp/spark/bin/python -m tests.writers.spark.make`. The records are made up; `tests.writers.records` has them.
"""

import shutil
import tempfile
from datetime import datetime
from pathlib import Path

from pyspark.sql import SparkSession

from tests.writers.records import SENTINELS, make_records

_FOLDER = Path(__file__).parent

_TEXT = {
    "country_code": "country_code",
    "last_order_ts": "date_format(last_order_ts, 'yyyy-MM-dd HH:mm:ss')",
    "total_orders": "CAST(CAST(total_orders AS DECIMAL(9, 1)) AS STRING)",
    "voucher_amount": "CAST(voucher_amount AS STRING)",
}
_NUMBERS = {"total_orders": "total_orders", "voucher_amount": "CAST(voucher_amount AS DOUBLE)"}
_NATIVE = {**_NUMBERS, "last_order_ts": "last_order_ts"}

_V2 = {"parquet.writer.version": "PARQUET_2_0"}
_PLAIN = {"parquet.enable.dictionary": "false"}
_TYPE = "spark.sql.parquet.outputTimestampType"
_LEGACY = "spark.sql.parquet.writeLegacyFormat"

# Columns that nobody needs.
_EXTRA = {
    "list": "array(1, NULL)",
    "map": "map('k', 'v')",
    "deep": "array(named_struct('a', map(1, array('x')), 'total_orders', 1))",
    "spell": "INTERVAL '1' MONTH",
    "clock": "INTERVAL '1 02:03:04' DAY TO SECOND",
    "variant": "parse_json('{\"a\": [1, null]}')",
    "`country_code.x`": "'x'",
    "bits": "X'FF00'",
    "flag": "true",
}


def _decimals(precision: int) -> dict[str, str]:
    return {name: f"CAST({name} AS DECIMAL({precision}, 2))" for name in _NUMBERS}


# The columns, the options of the writer, and settings of the session.
_FORMS: dict[str, tuple[dict[str, str], dict[str, str], dict[str, str]]] = {
    "text": ({}, {}, {}),
    "text-v2": ({}, _V2, {}),
    "text-v2-plain": ({}, _V2 | _PLAIN, {}),
    "text-plain": ({}, _PLAIN, {}),
    # A dictionary that gets too large, and then the encoding of the version.
    "text-v2-fallback": ({}, _V2 | {"parquet.dictionary.page.size": "256", "parquet.page.size": "512"}, {}),
    "text-fallback": ({}, {"parquet.dictionary.page.size": "256", "parquet.page.size": "512"}, {}),
    "native": (_NATIVE, {}, {}),
    "native-v2": (_NATIVE, _V2, {}),
    "native-v2-plain": (_NATIVE, _V2 | _PLAIN, {}),
    "int96": (_NATIVE, {}, {_TYPE: "INT96"}),
    "int96-plain": (_NATIVE, _PLAIN, {_TYPE: "INT96"}),
    "timestamp-millis": (_NATIVE, {}, {_TYPE: "TIMESTAMP_MILLIS"}),
    "timestamp-micros": (_NATIVE, {}, {_TYPE: "TIMESTAMP_MICROS"}),
    "timestamp-ntz": ({"last_order_ts": "CAST(last_order_ts AS TIMESTAMP_NTZ)"}, {}, {}),
    "date": ({"last_order_ts": "CAST(last_order_ts AS DATE)"}, {}, {}),
    "bytes": ({name: f"CAST({text} AS BINARY)" for name, text in _TEXT.items()}, {}, {}),
    "bytes-v2": ({name: f"CAST({text} AS BINARY)" for name, text in _TEXT.items()}, _V2 | _PLAIN, {}),
    **{f"decimal-{precision}": (_decimals(precision), {}, {}) for precision in (9, 18, 38)},
    "decimal-legacy": (_decimals(9), {}, {_LEGACY: "true"}),
    "byte-stream-split": (
        {"voucher_amount": "CAST(voucher_amount AS DOUBLE)"},
        _V2 | _PLAIN | {"parquet.enable.bytestreamsplit": "true"},
        {},
    ),
    **{f"number-{kind}": ({name: f"CAST({name} AS {kind})" for name in _NUMBERS}, {}, {}) for kind in ("INT", "FLOAT")},
    "bloom-filter": ({}, {"parquet.bloom.filter.enabled": "true", "parquet.bloom.filter.max.bytes": "256"}, {}),
    **{f"codec-{codec}": ({}, {"compression": codec}, {}) for codec in ("none", "gzip", "zstd", "lz4", "lz4_raw")},
    "extra": (_EXTRA, {}, {}),
    "extra-legacy": ({name: _EXTRA[name] for name in ("list", "map", "deep")}, {}, {_LEGACY: "true"}),
}


def main() -> None:
    """Write every file."""
    session = SparkSession.builder.master("local[1]").config("spark.sql.session.timeZone", "UTC")
    spark = session.config("spark.ui.enabled", "false").enableHiveSupport().getOrCreate()
    rows = [{**record, "last_order_ts": datetime.fromisoformat(record["last_order_ts"])} for record in make_records()]
    schema = "country_code STRING, last_order_ts TIMESTAMP, total_orders BIGINT, voucher_amount BIGINT"
    spark.createDataFrame(rows, schema).coalesce(1).createOrReplaceTempView("records")
    for form, (columns, options, settings) in _FORMS.items():
        _save(spark, f"{form}", _TEXT | columns, options, settings)
    moments = ", ".join(f"('{day}')" for day in SENTINELS)
    spark.sql(f"SELECT CAST(col1 AS TIMESTAMP) AS last_order_ts FROM VALUES {moments}").createOrReplaceTempView("days")
    for kind in ("INT96", "TIMESTAMP_MICROS", "TIMESTAMP_MILLIS"):
        columns = {
            "country_code": "'Peru'",
            "last_order_ts": "last_order_ts",
            "total_orders": "1",
            "voucher_amount": "1",
        }
        _save(spark, f"sentinels-{kind.lower()}", columns, {}, {_TYPE: kind}, table="days")
    _save_by_hive(spark)


def _save(
    spark: SparkSession,
    form: str,
    columns: dict[str, str],
    options: dict[str, str],
    settings: dict[str, str],
    table: str = "records",
) -> None:
    for name, value in settings.items():
        spark.conf.set(name, value)
    expressions = ", ".join(f"{text} AS {name}" for name, text in columns.items())
    with tempfile.TemporaryDirectory() as folder:
        rows = spark.sql(f"SELECT {expressions} FROM {table}").coalesce(1)
        rows.write.mode("overwrite").options(**options).parquet(folder)
        _keep(Path(folder), f"spark-{form}")
    for name in settings:
        spark.conf.unset(name)


def _save_by_hive(spark: SparkSession) -> None:
    """Write through Hive's own format rather than Spark's."""
    spark.conf.set("spark.sql.hive.convertMetastoreParquet", "false")
    with tempfile.TemporaryDirectory() as folder:
        spark.sql(
            "CREATE TABLE hive (country_code STRING, last_order_ts TIMESTAMP, total_orders DECIMAL(12, 2),"
            f" voucher_amount DOUBLE, extra MAP<STRING, STRING>) STORED AS PARQUET LOCATION '{folder}/hive'"
        )
        spark.sql(
            "INSERT INTO hive"
            " SELECT country_code, last_order_ts, total_orders, voucher_amount, map('k', 'v') FROM records"
        )
        _keep(Path(folder, "hive"), "hive")


def _keep(folder: Path, name: str) -> None:
    [part] = [path for path in folder.iterdir() if path.name.startswith("part-")]
    shutil.copy(part, _FOLDER / f"{name}.parquet")


if __name__ == "__main__":
    main()
