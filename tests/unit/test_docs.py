"""The docs are complete: every make target, parameter, metric and link."""

import re
from pathlib import Path

import pytest

from infra.checks.transform import NESTED, TEMPLATE, read_template
from tests.support import ROOT

DOCS = {path: path.read_text() for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]}
ALL = "\n".join(DOCS.values())

WORDS_OF_EMF = {
    "CloudWatchMetrics", "Count", "Dimensions", "Metrics", "Milliseconds", "Name", "Namespace", "Seconds", "Timestamp",
    "Unit",
}  # fmt: skip


def test_every_make_target_is_documented() -> None:
    targets = re.findall(r"^([a-z0-9-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert targets
    assert [target for target in targets if f"make {target}" not in ALL] == []


def test_every_parameter_of_the_template_is_documented() -> None:
    parameters = read_template(TEMPLATE)["Parameters"]
    operations = (ROOT / "docs" / "operations.md").read_text()
    assert [name for name in parameters if f"`{name}`" not in operations] == []


def test_every_alarm_has_a_paragraph_that_says_what_to_do() -> None:
    resources = [entry for path in NESTED for entry in read_template(path)["Resources"].items()]
    alarms = [name for name, resource in resources if resource["Type"] == "AWS::CloudWatch::Alarm"]
    operations = (ROOT / "docs" / "operations.md").read_text()
    assert len(alarms) == 11
    assert [name for name in alarms if f"\n- **{name}**: " not in operations] == []


def test_the_dashboard_and_the_alarms_show_metrics_that_are_measured() -> None:
    watching = (ROOT / "infra" / "templates" / "watching.yaml").read_text()
    shown = set(re.findall(r'"(\w+)", "service", "(?:refresh|lookup)"', watching))
    shown |= set(re.findall(r'MetricName=."(\w+)', watching)) | set(re.findall(r'\[".", "(\w+)", ".", "."', watching))
    sources = "\n".join(
        path.read_text() for folder in ("functions", "chalice_app") for path in (ROOT / folder).rglob("*.py")
    )
    of_aws = {"Errors", "ExecutionsFailed", "Throttles", "4XXError", "5XXError", "CPUUtilization"}
    assert {"WinnerCount", "Lookups", "PublicationAge", "RowsPublished"} <= shown
    assert [name for name in shown - of_aws if f'"{name}"' not in sources] == []


def test_every_metric_and_every_reason_to_reject_is_documented() -> None:
    places = [ROOT / "functions/refresh/handler.py", ROOT / "functions/refresh/metrics.py"]
    places.append(ROOT / "chalice_app/chalicelib/request_log.py")
    names = {name for place in places for name in re.findall(r'"((?:[A-Z][a-z]+)+)"', place.read_text())} - WORDS_OF_EMF
    assert {"Refreshes", "WinnerCount", "Lookups", "PublicationAge"} <= names
    assert [name for name in names if f"`{name}`" not in ALL] == []
    cleaning = (ROOT / "functions" / "refresh" / "cleaning.py").read_text()
    reasons = re.findall(r'_RejectedError\("(\w+)"\)', cleaning)
    assert reasons
    assert [reason for reason in reasons if f"_{reason}`" not in ALL] == []


@pytest.mark.parametrize("path", DOCS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_the_docs_lead_somewhere(path: Path) -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", DOCS[path]) if "://" not in link]
    assert [link for link in links if not (path.parent / link.partition("#")[0]).exists()] == []


def test_every_decision_record_is_listed() -> None:
    folder = ROOT / "docs" / "adr"
    listed = re.findall(r"\((\d{3}-[\w-]+\.md)\)", (folder / "README.md").read_text())
    assert listed == sorted(path.name for path in folder.glob("[0-9]*.md"))
