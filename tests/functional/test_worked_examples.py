"""The worked examples of docs/contributing.md do what they say, on a copy of the code."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.checkout import copy_checkout, run
from tests.families import SQL, append_example
from tests.support import ROOT

DESCRIBE = "PYTHONPATH=.:chalice_app .venv/bin/python -m infra.description"


def test_a_rule_is_added_in_one_place_and_holds_in_every_type(tmp_path: Path) -> None:
    # Given the example's rule and its test
    page = (ROOT / "docs" / "contributing.md").read_text()
    section = page.partition("## Worked example: add a rule")[2].partition("\n## ")[0]
    [rule] = re.findall(r"```diff\n(.*?)```", section, re.DOTALL)
    [test] = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    for name in ("functions", "tests", "infra", "chalice_app"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "test_rule.py").write_text(test)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_rule.py"]
    # And the code without the rule, also where somebody followed the example
    undo = ["git", "apply", "--reverse"]
    subprocess.run(undo, cwd=tmp_path, input=rule, text=True, check=False, capture_output=True)
    # Then the test fails without the rule, and passes with it
    assert subprocess.run(command, cwd=tmp_path, check=False, capture_output=True).returncode == 1
    subprocess.run(["git", "apply"], cwd=tmp_path, input=rule, text=True, check=True, capture_output=True)
    done = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_a_family_is_added_in_one_file_and_the_tests_still_pass(tmp_path: Path) -> None:
    # Given a repository to whose file the page's two families were added
    copy = copy_checkout(tmp_path)
    append_example(copy / "infra" / "sql" / SQL.name)
    run("git init --quiet && git add --all", copy)
    # Then the check of the description says what to do, and `make fix` describes their fields
    assert "openapi.json, docs/api.html. Run make fix" in run(f"{DESCRIBE} --check", copy, status=1).stderr
    run(DESCRIBE, copy)
    assert "Needed for tenure_segment." in (copy / "chalice_app" / "chalicelib" / "openapi.json").read_text()
    # And the tests pass, here one of each way in which they come by families
    run(
        ".venv/bin/python -m pytest -q -p no:cacheprovider tests/unit/test_description.py"
        " tests/functional/test_api.py::TestLookup::test_an_explanation_without_a_family_answers_both"
        " tests/functional/test_families.py::test_the_own_file_has_every_family_that_ships"
        " tests/functional/test_worked_examples.py::test_a_copy_of_the_checkout_has_the_families_that_ship"
        " tests/faults/test_bad_objects.py::test_an_object_that_s3_denies_is_named_and_counted_once_it_is_allowed",
        copy,
    )


def test_a_copy_of_the_checkout_has_the_families_that_ship(tmp_path: Path) -> None:
    copy = copy_checkout(tmp_path)
    assert (copy / "infra" / "sql" / SQL.name).read_text() == SQL.read_text()
    run(f"{DESCRIBE} --check", copy)
