"""The worked examples of docs/contributing.md do what they say, on a copy of the code."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support import ROOT


def test_a_rule_is_added_in_one_place_and_holds_in_every_type(tmp_path: Path) -> None:
    # Given the example's rule and its test
    page = (ROOT / "docs" / "contributing.md").read_text()
    section = page.partition("## Worked example: add a rule")[2].partition("\n## ")[0]
    [rule] = re.findall(r"```diff\n(.*?)```", section, re.DOTALL)
    [test] = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    for name in ("functions", "tests", "infra", "chalice_app"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "test_rule.py").write_text(test)
    run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_rule.py"]
    # Then the test fails without the rule, and passes with it
    assert subprocess.run(run, cwd=tmp_path, check=False, capture_output=True).returncode == 1
    subprocess.run(["git", "apply"], cwd=tmp_path, input=rule, text=True, check=True, capture_output=True)
    done = subprocess.run(run, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
