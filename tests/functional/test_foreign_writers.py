"""Parquet by writers that are not ours, in all their forms, counts as a recount of the records says."""

from datetime import date
from pathlib import Path

import pytest

from tests.functional.conftest import Pipeline
from tests.support import Published, daily, recount
from tests.writers.records import make_records

WRITERS = ["arrow-rs", "duckdb", "fastparquet", "hive", "polars", "pyarrow", "spark"]
DAY = "2020-12-22"
COUNTRIES = ["Peru", "Perú", "Chile", "Bolivia"]

# Whole numbers of 128 bits are written as bytes without a word of what they are.
REFUSED = {"polars-number-Int128": "column total_orders is of type fixed_size_binary[16]; it can be read from text"}


def is_of(writer: str, name: str) -> bool:
    return name.startswith(writer) and "sentinels" not in name and name not in REFUSED


def recounted(times: int = 1) -> Published:
    table = recount(make_records(), date.fromisoformat(DAY), COUNTRIES)
    return {key: count * times for key, count in table.items()}


@pytest.mark.parametrize("writer", WRITERS)
def test_every_form_of_a_writer_counts_as_a_plain_recount(
    pipeline: Pipeline, foreign_files: dict[str, Path], writer: str
) -> None:
    # Given the same records in every form that a writer has
    names = [name for name in foreign_files if is_of(writer, name)]
    assert names
    for name in names:
        pipeline.put(f"{name}.parquet", foreign_files[name].read_bytes())
    pipeline.environ["COUNTRIES"] = ",".join(COUNTRIES)
    # When they are counted
    summary = pipeline.refresh(daily(DAY))
    # Then each counts alike, and all of them as often as there are files
    assert summary.rows_rejected == {}
    assert summary.objects_counted == len(names)
    assert pipeline.column("SELECT DISTINCT rows_counted FROM voucher_customer.ledger") == [len(make_records())]
    assert pipeline.published() == recounted(len(names))
