"""What is told of one's own parquet before a stack starts, and how a long table is shown."""

from pathlib import Path

import pytest

from functions.common.database import Database
from functions.common.migrations import migrate
from functions.common.settings import DatabaseSettings, load_settings
from functions.refresh.ledger.schema import needed_dimensions
from infra.local import objects as checking
from infra.local.demo import most_used
from infra.local.objects import check_footers, countries_of, objects_of
from infra.local.postgres import DatabaseAddress
from infra.local.processes import LocalError
from tests.support import parquet, record


def test_every_file_that_could_not_be_counted_is_named_with_its_column(tmp_path: Path) -> None:
    good = parquet([record()])
    contents = {"good": good, "empty": b"", "cut": good[:-9], "list": parquet([record(voucher_amount=[1])])}
    contents["other"] = parquet([{name: value for name, value in record().items() if name != "last_order_ts"}])
    for name, content in contents.items():
        (tmp_path / f"{name}.parquet").write_bytes(content)
    check_footers(objects_of(f"{tmp_path}/good.parquet"))
    with pytest.raises(LocalError) as failure:
        check_footers(objects_of(str(tmp_path)))
    said = str(failure.value)
    assert f"{tmp_path}/empty.parquet: is empty" in said
    assert f"{tmp_path}/cut.parquet: is no readable parquet" in said
    assert f"{tmp_path}/list.parquet: column voucher_amount is of type list" in said
    assert f"{tmp_path}/other.parquet: needed column missing: ['last_order_ts']" in said
    assert "good.parquet" not in said


def test_the_columns_are_those_that_the_families_need(postgres: DatabaseAddress) -> None:
    """The same as the refresh function has from the database, of which there is none yet."""
    connection = postgres.connect()
    connection.run("DROP SCHEMA IF EXISTS voucher_customer CASCADE")
    connection.close()
    database = Database(load_settings(DatabaseSettings, {"DATABASE_URL": postgres.url}), timeout_seconds=60)
    migrate(database)
    assert dict(checking._needed_columns()) == dict(needed_dimensions(database).columns)
    database.close()


def test_the_countries_are_those_that_the_function_would_count(tmp_path: Path) -> None:
    names = [
        "Peru",
        "Peru",
        "Peru",
        "Bolivia, Plurinational State of",
        "Bolivia, Plurinational State of",
        " ",
        None,
        "",
    ]
    (tmp_path / "a.parquet").write_bytes(parquet([record(country_code=name) for name in names]))
    (tmp_path / "b.parquet").write_bytes(parquet([record(country_code="Chile")] * 9))
    (tmp_path / "_skipped.parquet").write_bytes(parquet([record(country_code="Nowhere")]))
    assert countries_of(objects_of(str(tmp_path))) == ["Chile", "Peru", "Bolivia, Plurinational State of"]


def test_a_long_table_is_shown_by_the_most_used_amounts_and_how_sure_they_are() -> None:
    counts = {"0-4": {2640: 16_496, 4400: 7_402}, "5-13": {2640: 12, 3520: 11, 4400: 1}, "13-37": {0: 5, 4400: 5}}
    rows = [("Peru", "frequent_segment", name, *pair) for name, found in counts.items() for pair in found.items()]
    assert [line.rstrip() for line in most_used(rows).splitlines()] == [
        " country | family           | segment | most used  | times  | of     | how sure",
        "-" + "-+-".join("-" * width for width in (7, 16, 7, 10, 6, 6, 17)) + "-",
        " Peru    | frequent_segment | 0-4     | 2640       | 16,496 | 23,898 |",
        " Peru    | frequent_segment | 5-13    | 2640       | 12     | 24     | undecided: 1 more",
        " Peru    | frequent_segment | 13-37   | 0 and 4400 | 5      | 10     | undecided: tied",
    ]
