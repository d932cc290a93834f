"""The workflows: they run what `.ci/run` runs, on everything that is supported, and may do little."""

import re
from typing import Any

import pytest
import yaml

from infra.checks.transform import TEMPLATE, read_template
from tests.support import ROOT

FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
MAY_WRITE = {("release.yml", "release"), ("locks.yml", "renew")}


def read(name: str) -> dict[str, Any]:
    workflow: dict[str, Any] = yaml.safe_load((ROOT / ".github" / "workflows" / name).read_text())
    return workflow


def commands(job: dict[str, Any]) -> list[str]:
    return [step["run"] for step in job.get("steps", []) if "run" in step]


def test_continuous_integration_runs_what_is_run_by_hand() -> None:
    by_hand = re.findall(r"^make .*$", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)
    assert by_hand == ["make lint", "make test", "make e2e-localstack"]
    jobs = read("ci.yml")["jobs"].values()
    assert set(by_hand) <= {command for job in jobs for command in commands(job)}


def test_everything_is_tested_on_every_runtime_of_the_template_and_built_for_every_processor() -> None:
    parameters = read_template(TEMPLATE)["Parameters"]
    jobs = read("ci.yml")["jobs"]
    for job in ("test", "packages"):
        versions = jobs[job]["strategy"]["matrix"]["python"]
        assert [f"python{version}" for version in versions] == parameters["Runtime"]["AllowedValues"]
    matrix = jobs["packages"]["strategy"]["matrix"]
    assert matrix["architecture"] == parameters["Architecture"]["AllowedValues"]


def test_the_demo_runs_on_macos_twice() -> None:
    job = read("ci.yml")["jobs"]["macos"]
    assert job["runs-on"].startswith("macos-")
    assert commands(job) == ["make demo", "make demo"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_actions_are_pinned_by_commit_and_leave_no_token_behind(path: Any) -> None:
    used = re.findall(r"uses: (.+)", path.read_text())
    assert used
    elsewhere = [action for action in used if not action.startswith("./")]
    assert [action for action in elsewhere if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v[\d.]+", action)] == []
    steps = [step for job in read(path.name)["jobs"].values() for step in job.get("steps", [])]
    checkouts = [step for step in steps if step.get("uses", "").startswith("actions/checkout@")]
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_workflow_may_read_and_only_the_step_that_writes_has_a_token(path: Any) -> None:
    workflow = read(path.name)
    assert workflow["permissions"] == {"contents": "read"}
    for name, job in workflow["jobs"].items():
        if "permissions" in job:
            assert (path.name, name) in MAY_WRITE
        *others, last = [str(step) for step in job.get("steps", [""])]
        assert "github.token" not in "".join(others)
        assert ("github.token" in last) == ((path.name, name) in MAY_WRITE)
