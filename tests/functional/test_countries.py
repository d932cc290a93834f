"""Countries: any that occurs can be published, and one that occurs nowhere is named."""

import json
import subprocess
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.refresh.settings import read_names, write_names
from infra.local import explore as exploring
from infra.local.explore import explore
from infra.packaging import sam
from tests.functional.conftest import Pipeline
from tests.support import HOSTILE, daily, parquet, record

# Those of ISO 3166 with a comma, some with more that a shell or a list may trip over, and some of nobody.
NAMES = [
    "Bolivia, Plurinational State of",
    "Congo, The Democratic Republic of the",
    "Iran, Islamic Republic of",
    "Korea, Democratic People's Republic of",
    "Korea, Republic of",
    "Côte d'Ivoire",
    'The "Republic", of; all',
    "a;b",
    "  Peru ",
    "null",
    "NULL",
    "Null",
    "{}",
    *HOSTILE,
]


@given(st.lists(st.text(min_size=1)))
def test_names_are_split_as_they_were_joined(names: list[str]) -> None:
    assert read_names(write_names(names)) == names


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Peru", ["Peru"]),
        (" Peru , China,", ["Peru", "China"]),
        ("Bolivia, Plurinational State of;", ["Bolivia, Plurinational State of"]),
        ("Peru; Korea, Republic of", ["Peru", "Korea, Republic of"]),
        ('Peru,"Korea, Republic of"', ["Peru", "Korea, Republic of"]),
        ('"a ""b""", c', ['a "b"', "c"]),
    ],
)
def test_names_are_separated_by_commas_or_semicolons(text: str, names: list[str]) -> None:
    assert read_names(text) == names


def test_every_country_can_be_published(pipeline: Pipeline) -> None:
    pipeline.put("v.parquet", [record(country_code=name) for name in NAMES])
    pipeline.environ["COUNTRIES"] = write_names(NAMES)
    summary = pipeline.refresh(daily())
    assert summary.countries_missing == ""
    assert {row[0] for row in pipeline.published()} == set(NAMES)


@pytest.mark.parametrize(
    ("countries", "says"),
    [
        ("Peru,China", ""),
        ("peru", "no record of peru; the data has China, Peru"),
        ("Peru, Chile,Ecuador", "no record of Chile, Ecuador; the data has China, Peru"),
        (
            "Bolivia, Plurinational State of;",
            "no record of 'Bolivia, Plurinational State of'; the data has China, Peru",
        ),
    ],
)
def test_a_country_that_occurs_nowhere_is_named(pipeline: Pipeline, countries: str, says: str) -> None:
    pipeline.put("v.parquet", [record(), record(country_code="China")])
    pipeline.environ["COUNTRIES"] = countries
    assert pipeline.refresh(daily()).countries_missing == says


def test_of_many_countries_some_are_named(pipeline: Pipeline) -> None:
    pipeline.put("v.parquet", [record(country_code=f"{number:03}") for number in range(100)])
    missing = pipeline.refresh(daily()).countries_missing
    assert missing.startswith("no record of Peru; the data has 000, 001, ")
    assert missing.endswith(", 019 and others")


def test_before_there_is_data_no_country_is_missing(pipeline: Pipeline) -> None:
    assert pipeline.refresh(daily()).countries_missing == ""


def test_the_command_line_of_sam_reads_every_value_as_it_is() -> None:
    values = {f"P{number}": value for number, value in enumerate([write_names(NAMES), "", "a b", "cron(15 0 * * ? *)"])}
    program = "import sys, json; from samcli.cli.types import CfnParameterOverridesType as Overrides;"
    program += "print(json.dumps(Overrides().convert(tuple(sys.argv[1:]), None, None)))"
    overrides = [sam.parameter_override(name, value) for name, value in values.items()]
    done = subprocess.run([sam.FOLDER / "bin" / "python", "-c", program, *overrides], check=True, capture_output=True)
    assert json.loads(done.stdout) == values


def test_explore_publishes_every_country_and_names_those_that_it_leaves_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(exploring, "REPORT", tmp_path / "explored.html")
    file = tmp_path / "v.parquet"
    file.write_bytes(parquet([record(country_code=name) for name in ("Bolivia, Plurinational State of", "Peru")]))
    objects = {"vouchers/v.parquet": file}
    assert explore(objects, as_of=date(2020, 6, 15), countries="")
    printed = capsys.readouterr().out
    assert printed.count("| Bolivia, Plurinational State of | 120-180") == 1
    assert "Left out" not in printed
    assert explore(objects, as_of=date(2020, 6, 15), countries="peru,Peru")
    printed = capsys.readouterr().out
    assert "Left out of the table, though counted: 'Bolivia, Plurinational State of'." in printed
    assert "COUNTRIES: no record of peru; the data has 'Bolivia, Plurinational State of', Peru" in printed
