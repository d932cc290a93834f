"""What is said of your own parquet before a stack starts, and how a long table is shown."""

import os
from pathlib import Path

import pytest

from functions.common.database import Database
from functions.common.migrations import migrate
from functions.common.settings import DatabaseSettings, load_settings
from functions.refresh.ledger.schema import needed_dimensions
from infra.local import objects as checking
from infra.local.objects import check_files, countries_of, objects_of
from infra.local.postgres import DatabaseAddress
from infra.local.processes import LocalError
from infra.local.results import most_used
from tests.functional.test_foreign_writers import REFUSED as REFUSED_OF_WRITERS
from tests.functional.test_reading import COUNTED, REFUSED
from tests.support import parquet, record
from tests.writers.records import make_records

RECORDS = make_records()
# What nothing but the rows tells, which are not read before a stack starts.
FOUND_IN_ROWS = {"column chunks of no bytes"}


def test_every_file_that_could_not_be_counted_is_named_with_its_column(tmp_path: Path) -> None:
    good = parquet([record()])
    contents = {"good": good, "empty": b"", "cut": good[:-9], "list": parquet([record(voucher_amount=[1])])}
    contents["other"] = parquet([{name: value for name, value in record().items() if name != "last_order_ts"}])
    for name, content in contents.items():
        (tmp_path / f"{name}.parquet").write_bytes(content)
    check_files(objects_of(f"{tmp_path}/good.parquet"))
    with pytest.raises(LocalError) as failure:
        check_files(objects_of(str(tmp_path)))
    said = str(failure.value)
    assert f"{tmp_path}/empty.parquet: is empty" in said
    assert f"{tmp_path}/cut.parquet: is not readable parquet" in said
    assert f"{tmp_path}/list.parquet: column voucher_amount is of type list" in said
    assert f"{tmp_path}/other.parquet: needed column missing: ['last_order_ts']" in said
    assert "good.parquet" not in said


@pytest.mark.parametrize(
    ("name", "says"),
    [
        (b"\xff\xfe.parquet", r"/\udcff\udcfe.parquet': keys of S3 are UTF-8: rename it"),
        (b"/".join([b"d" * 250] * 4) + b"/aaaaaaaa.parquet", "its key would have 1,029 bytes, and S3 takes 1,024"),
    ],
    ids=["not UTF-8", "too long"],
)
def test_a_file_that_s3_has_no_key_for_is_named(tmp_path: Path, name: bytes, says: str) -> None:
    path = tmp_path / os.fsdecode(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(parquet([record()]))
    with pytest.raises(LocalError) as failure:
        objects_of(str(tmp_path))
    assert says in str(failure.value)


@pytest.mark.parametrize("data", ["~nobody-has-this-name/a.parquet", "x" * 5000, "a\0.parquet"])
def test_a_path_that_the_system_refuses_is_named(data: str) -> None:
    with pytest.raises(LocalError, match="DATA: "):
        objects_of(data)


def test_more_files_than_fit_into_one_path_are_named_at_once(tmp_path: Path) -> None:
    content = parquet([record()])
    paths = [tmp_path / f"{number:0200}.parquet" for number in range(30)]
    for path in paths:
        path.write_bytes(content)
    assert list(objects_of(" ".join(map(str, paths))).values()) == paths


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


def test_the_countries_of_odd_files_are_those_that_the_function_would_count(
    tmp_path: Path, foreign_files: dict[str, Path]
) -> None:
    """What the function counts in `tests/functional/test_reading.py` and `test_foreign_writers.py`."""
    for name, make in COUNTED.items():
        (tmp_path / f"{name}.parquet").write_bytes(make())
    check_files(objects_of(str(tmp_path)))
    for path in tmp_path.iterdir():
        assert countries_of(objects_of(str(path))) == ["Peru"], path
    for name, path in foreign_files.items():
        if name not in REFUSED_OF_WRITERS:
            check_files(objects_of(str(path)))
            found = countries_of(objects_of(str(path)))
            assert set(found) == ({"Peru"} if "sentinels" in name else {row["country_code"] for row in RECORDS}), name


@pytest.mark.parametrize("what", sorted(REFUSED.keys() - FOUND_IN_ROWS))
def test_a_file_that_the_function_refuses_is_refused_before_a_stack_starts(tmp_path: Path, what: str) -> None:
    make, says = REFUSED[what]
    (tmp_path / "v.parquet").write_bytes(make())
    with pytest.raises(LocalError) as failure:
        check_files(objects_of(str(tmp_path)))
    assert says in str(failure.value)


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
