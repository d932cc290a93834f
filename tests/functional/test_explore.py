"""Explore: what the refresh function would make of a file is shown before it is dropped."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from functions.refresh.usecases.refresh import RefreshError
from infra.local import explore as exploring
from infra.local.explore import explore
from tests.functional.conftest import Pipeline
from tests.functional.test_reading import COUNTED, REFUSED
from tests.support import ROOT, daily, parquet, record


@pytest.fixture
def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Keep the developer's own page, and AWS, out of reach."""
    monkeypatch.setattr(exploring, "REPORT", tmp_path / "explored.html")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    yield exploring.REPORT
    assert os.environ["AWS_PROFILE"] == "nobody"


def printed(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def test_a_file_is_profiled_published_and_accepted(
    report: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given a file with good rows of two countries, and bad ones
    good = [record(), record(), record(country_code="Chile", voucher_amount=None)]
    bad = [record(total_orders="-1"), record(total_orders="-1", last_order_ts="never"), record(last_order_ts=None)]
    file = tmp_path / "v.parquet"
    file.write_bytes(parquet([{**row, "customer": 7, "\ufefftotal_orders": 7} for row in [*good, *bad]]))
    # When it is explored
    accepted = explore({"vouchers/v.parquet": file}, as_of=date(2020, 6, 15), countries="")
    # Then it would be counted
    assert accepted
    lines = printed(capsys)
    assert lines[-1] == "ACCEPTED: 1 file; 3 of 6 rows counted, 3 rejected"
    # And one reads what is needed and what is there
    assert [line for line in lines if line.startswith(("country_code good", "total_orders good", "ignored"))] == [
        "country_code good: string", "total_orders good: string", "ignored: 'customer', '\\ufefftotal_orders'",
    ]  # fmt: skip
    assert {"rows: 6", "5 'Peru'", "1 'Chile'"} <= set(lines)
    # And in how many rows each reason is
    assert (
        "values rejected: 3 distinct;"
        " in rows: total_orders_negative 2, last_order_ts_unreadable 1, last_order_ts_missing 1"
    ) in lines
    # And every value that is rejected, also where its row is rejected for another
    assert [line for line in lines if "first in row" in line] == [
        "2 total_orders_negative: '-1', first in row 3",
        "1 last_order_ts_unreadable: 'never', first in row 4",
        "1 last_order_ts_missing: null, first in row 5",
    ]
    assert (
        "Rows in no segment: frequent_segment 0, recency_segment 0; rows rejected: 3, each under its first reason"
        in lines
    )
    # And when the orders were, and what counts as 0
    assert "last_order_ts: 2020-01-06 to 2020-01-06" in lines
    assert "null or blank, counted as 0 by default: voucher_amount 1" in lines
    # And the table of the day, for all countries
    assert "0 | 121 | 179 | recency_segment | 2640 | 2 | Peru | 120-180" in lines
    assert "0 | 0 | 4 | frequent_segment | 0 | 1 | Chile | 0-4" in lines
    assert '"as_of":"2020-06-15"' in report.read_text()


def test_files_that_could_not_be_counted_are_refused_with_the_reason(
    report: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given a good file and bad ones
    without_orders = {name: value for name, value in record().items() if name != "total_orders"}
    contents = {
        "a": parquet([record()]),
        "b": parquet([without_orders]),
        "c": parquet([record(voucher_amount=[1])]),
        "d": b"garbage",
        "e": b"",
    }
    for name, content in contents.items():
        (tmp_path / f"{name}.parquet").write_bytes(content)
    # When they are explored
    files = sorted(tmp_path.glob("*.parquet"))
    accepted = explore({f"vouchers/{file.name}": file for file in files}, as_of=None, countries="Peru")
    # Then the function would refuse the bad ones, and count the other
    assert not accepted
    lines = printed(capsys)
    assert lines[-1] == "REFUSED: 4 of 5 files; of the others 1 of 1 rows counted, 0 rejected"
    refused = sorted(line for line in lines if line.startswith("REFUSED "))
    reasons = ("missing: ['total_orders']", "column voucher_amount is of type list", "not readable parquet", "is empty")
    for name, reason, line in zip("bcde", reasons, refused, strict=True):
        assert line.startswith(f"REFUSED {tmp_path}/{name}.parquet: ")
        assert reason in line
    # And the part of each file says so too, with the column's name once
    assert sum(line.startswith("refused: is ") for line in lines) == 2
    assert sum(line.startswith("voucher_amount is of type list") for line in lines) == 1
    assert '"objects":1,' in report.read_text()


_EMPTY = pa.Table.from_pylist([record()]).slice(0, 0)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (parquet([{"country_code": "Peru"}]), "needed column missing"),
        (parquet([{"voucher_amount": 1}]), "needed column missing"),
        (parquet([record(voucher_amount=[1])]), "column voucher_amount is of type list"),
        (parquet([record(country_code=True)]), "column country_code is of type bool"),
        (parquet([record(country_code=" ")] * 3), "3 of 3 rows are rejected"),
        (parquet([record(country_code=None, total_orders="-1")]), "1 of 1 rows are rejected"),
        (parquet([record()])[:-9], "is not readable parquet"),
        (b"country_code\nPeru\n", "is not readable parquet"),
        (b"", "is empty (0 bytes)"),
    ],
    ids=["no column", "no country", "type", "type of country", "blank", "null", "cut off", "csv", "no bytes"],
)
def test_a_single_file_without_a_country_is_refused_with_the_reason(
    report: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, reason: str
) -> None:
    file = tmp_path / "v.parquet"
    file.write_bytes(content)
    assert not explore({"vouchers/v.parquet": file}, as_of=None, countries="")
    *_, refused, verdict = printed(capsys)
    assert refused.startswith(f"REFUSED {file}: ")
    assert reason in refused
    assert verdict == "REFUSED: 1 of 1 file; of the others 0 of 0 rows counted, 0 rejected"
    assert '"objects":0,' in report.read_text()


def test_of_many_values_the_most_frequent_of_each_reason_are_shown(
    report: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given 20 values that are no date, each in three rows or more, and orders that are wrong in one row only
    file = tmp_path / "v.parquet"
    rows = [record(last_order_ts=f"day {number % 20}") for number in range(61)]
    file.write_bytes(parquet([*rows, record(country_code="Chile", total_orders="-1"), record(country_code=" ")]))
    assert not explore({"vouchers/v.parquet": file}, as_of=None, countries="")
    assert report.exists()
    # Then the reasons come first, then ten values of the frequent reason, and one of each rare reason
    lines = printed(capsys)
    reasons = "last_order_ts_unreadable 61, country_code_blank 1, total_orders_negative 1"
    at = lines.index(f"values rejected: 22 distinct; in rows: {reasons}")
    assert lines[at + 1] == "4 last_order_ts_unreadable: 'day 0', first in row 0"
    shown = [line.partition(":")[0] for line in lines[at + 1 : at + 13]]
    assert shown[1:] == ["3 last_order_ts_unreadable"] * 9 + ["1 country_code_blank", "1 total_orders_negative"]
    assert lines[at + 13] == "and 10 more values"
    # And no country is missing that nobody asked for, though all rows of one are in a refused file
    assert not any(line.startswith("COUNTRIES: ") for line in lines)


def test_every_rejected_value_is_shown_as_the_file_has_it(
    report: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given so many text dates that counting cuts them down to days, and some of days that no calendar has
    good = [
        f"2018-01-{day:02}T{hour:02}:{minute:02}:00-05:00"
        for day in range(1, 21)
        for hour in range(24)
        for minute in (0, 30, 45)
    ]
    late, early, later = "9999-12-31T23:30:00-01:00", "2018-02-30T10:20:30.5-05:00", "2018-02-30T11:20:30.5-05:00"
    texts = [*good, late, late, late, early, early, later, None]
    # And numbers that are rejected
    others = len(texts) - 1
    table = pa.table({
        "country_code": ["Peru"] * len(texts),
        "last_order_ts": texts,
        "total_orders": pa.array([np.float16(-1.5), *[np.float16(2)] * others], pa.float16()),
        "voucher_amount": pa.array([Decimal("2.50"), *[None] * others], pa.decimal128(5, 2)),
    })  # fmt: skip
    # And a file whose moments no calendar has
    moments = table.slice(1, 3).set_column(1, "last_order_ts", pa.array([2**60, 0, 0], pa.timestamp("us")))
    for name, content in (("texts", table), ("moments", moments)):
        (tmp_path / f"{name}.parquet").write_bytes(parquet(content))
    # Then each value is shown as the file has it, with its own rows
    files = [tmp_path / "texts.parquet", tmp_path / "moments.parquet"]
    assert explore({f"vouchers/{file.name}": file for file in files}, as_of=None, countries="")
    assert report.exists()
    lines = printed(capsys)
    assert [line for line in lines if "first in row" in line] == [
        f"3 last_order_ts_unreadable: '{late}', first in row 1,440",
        f"2 last_order_ts_unreadable: '{early}', first in row 1,443",
        f"1 last_order_ts_unreadable: '{later}', first in row 1,445",
        "1 last_order_ts_missing: null, first in row 1,446",
        "1 total_orders_negative: -1.5, first in row 0",
        "1 voucher_amount_fractional: 2.50, first in row 0",
        f"1 last_order_ts_unreadable: {2**60} as timestamp[us], first in row 0",
    ]


def test_the_code_of_the_docs_makes_a_file_of_csv_that_is_accepted(
    report: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given an export with a blank amount, and a country that pandas takes for a null unless told otherwise
    rows = ["country,amount,orders,last,city", "Peru,2640.0,15,2020-05-03 00:00:00,Lima", "NA,,3,2020-05-03,"]
    (tmp_path / "export.csv").write_text("\n".join(rows))
    # When the code of the docs turns it into parquet
    [code] = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "your-data.md").read_text(), re.DOTALL)
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    # Then every row is counted
    assert explore({"vouchers/v.parquet": tmp_path / "vouchers.parquet"}, as_of=None, countries="")
    assert report.exists()
    lines = printed(capsys)
    assert lines[-1] == "ACCEPTED: 1 file; 2 of 2 rows counted, 0 rejected"
    assert {"1 'NA'", "null or blank, counted as 0 by default: voucher_amount 1"} <= set(lines)


@pytest.mark.parametrize("countries", ["", "Chile"])
def test_a_file_without_rows_is_accepted_whether_a_country_is_named_or_not(
    report: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], countries: str
) -> None:
    file = tmp_path / "v.parquet"
    file.write_bytes(parquet(_EMPTY))
    assert explore({"vouchers/v.parquet": file}, as_of=None, countries=countries)
    assert printed(capsys)[-1] == "ACCEPTED: 1 file; 0 of 0 rows counted, 0 rejected"
    assert report.exists()


def test_explore_and_the_pipeline_agree_on_odd_files(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    pipeline: Pipeline,
    foreign_files: dict[str, Path],
) -> None:
    monkeypatch.setattr(exploring, "REPORT", tmp_path / "explored.html")
    # Given files of every kind that is counted or refused, and foreign ones
    contents = {name: make() for name, make in COUNTED.items()}
    contents |= {name: make() for name, (make, _) in REFUSED.items()}
    odd = re.compile("-v2|json|bytes|int96|extra|Int128|delta|index")
    contents |= {name: path.read_bytes() for name, path in foreign_files.items() if odd.search(name)}
    for name, content in contents.items():
        (tmp_path / f"{name}.parquet").write_bytes(content)
        pipeline.put(f"{name}.parquet", content)
    # When they are counted, and explored
    with pytest.raises(RefreshError) as failure:
        pipeline.refresh(daily())
    files = sorted(tmp_path.glob("*.parquet"))
    explore(
        {f"vouchers/{path.name}": path for path in files},
        as_of=date(2020, 12, 22),
        countries="Peru",
    )
    # Then both refuse the same ones with the same words
    output = capsys.readouterr().out
    reported = {line.removeprefix("REFUSED ") for line in output.splitlines() if line.startswith("REFUSED ")}
    assert reported == {error.replace("vouchers/", f"{tmp_path}/", 1) for error in failure.value.summary.errors}
    assert len(reported) == len(REFUSED) + 1
    # And the rows that explore reads are those that the pipeline counts or rejects
    read = {}
    for path in files:
        section = output.partition(f"\n{path}\n")[2].partition(f"\n{tmp_path}")[0]
        if rows := re.search("^  rows: ([0-9,]+)$", section, re.MULTILINE):
            read[f"vouchers/{path.name}"] = int(rows[1].replace(",", ""))
    assert read == dict(pipeline.sql.run("SELECT key, rows_read FROM voucher_customer.ledger WHERE error IS NULL"))
