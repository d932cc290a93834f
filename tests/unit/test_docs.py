"""The docs are complete and name nothing that is not there: targets, settings, parameters, metrics, files, commands."""

import re
import subprocess
from functools import cache
from pathlib import Path

import msgspec
import pytest
import yaml

from chalicelib.settings import LookupSettings
from functions.refresh.settings import RefreshSettings
from infra.checks.transform import NESTED, TEMPLATE, read_template
from tests.support import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
OTHERS = [ROOT / "CHANGELOG.md", *sorted((ROOT / ".github").rglob("*.md")), *sorted((ROOT / ".github").rglob("*.yml"))]
DOCS = {path: path.read_text() for path in [*PAGES, *OTHERS]}
ALL = "\n".join(DOCS[path] for path in PAGES)
SETTINGS = (ROOT / "docs" / "settings.md").read_text()
MONITORING = (ROOT / "docs" / "monitoring.md").read_text()
OPERATE = (ROOT / "docs" / "operate.md").read_text()

MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = re.findall(r"^([a-z0-9-]+):.*## ", MAKEFILE, re.MULTILINE)

NOT_RUN = {
    "setup": "what every test runs in is what it made",
    "test": "it runs the tests",
    "test-faults": "it runs tests of its own, in many cases, for 40 minutes",
    "fuzz": "it runs one of the tests, for minutes",
    "e2e-localstack": "it runs the tests, on the other emulator",
    "test-containers": "it needs a container engine",
    "e2e-containers": "it needs a container engine, and AWS's images of functions",
    "pythons": "it fetches from Debian what `make test-runtimes` runs on",
    "test-runtimes": "it runs the tests of the packages, on each Python",
    "lint": "continuous integration runs it beside the tests",
    "fix": "it changes the checkout; `make lint` runs the same tools",
    "lock": "it asks the package index for minutes; `make lint` checks what it makes",
    "bench": "it measures for minutes; tests/functional/test_benchmarks.py runs its code on a few rows",
    "bench-memory": "it measures for minutes",
    "bench-freshness": "it measures on each emulator",
    "bench-api": "it measures for a minute",
    "bench-scale": "it measures for minutes",
    "mutants": "it takes an hour",
    "preflight": "it asks an AWS account; tests/functional/test_preflight.py runs it on moto",
}
"""Targets that no test runs, and why."""

WORDS_OF_EMF = {
    "CloudWatchMetrics", "Count", "Dimensions", "Metrics", "Milliseconds", "Name", "Namespace", "Seconds", "Timestamp",
    "Unit",
}  # fmt: skip


def code_in(text: str) -> list[str]:
    """Return what stands in backticks within a line."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def explained_in(text: str) -> set[str]:
    """Return what stands in backticks in the first column of a table, and so is explained there."""
    return {code for cell in re.findall(r"^\| ([^|]+) \|", text, re.MULTILINE) for code in code_in(cell)}


def commands_in(text: str) -> list[str]:
    """Return the commands of a page, those within a line and those of blocks, a line each."""
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    return [*code_in(text), *(line for block in blocks for line in block.splitlines())]


@cache
def files_of_the_checkout() -> set[str]:
    """Return every file and folder that git knows, or would."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    files = [Path(name) for name in listed.stdout.splitlines()]
    return {str(path) for file in files for path in (file, *file.parents)}


def test_every_make_target_is_documented_and_listed_by_make_help() -> None:
    assert TARGETS
    assert [target for target in TARGETS if f"make {target}" not in ALL] == []
    [phony] = re.findall(r"^\.PHONY: (.+)$", MAKEFILE, re.MULTILINE)
    assert sorted(phony.split()) == sorted(TARGETS)


def test_every_variable_of_make_is_documented() -> None:
    own = {
        "MAKE",
        "MAKECMDGOALS",
        "MAKEFILE_LIST",
        "CURDIR",
        "PATH",
        *re.findall(r"^(?:\S+: )?([A-Z_]+) :?= ", MAKEFILE, re.MULTILINE),
    }
    variables = set(re.findall(r"(?<!\$)\$\((?:if |filter 1,\$\()?([A-Z_]+)\b", MAKEFILE)) - own
    assert {"DATA", "AS_OF", "EMULATOR", "STACK", "FIX", "PYTHON"} <= variables
    assert [name for name in variables if not re.search(rf"\b{name}=|`{name}`", ALL)] == []


def test_make_accepts_every_variable_that_a_command_passes_on() -> None:
    passed = set(re.findall(r"(?<!\$)\$\(if (?:\$\(filter 1,)?\$\(([A-Z_]+)\)", MAKEFILE))
    [accepted] = re.findall(r"^VARIABLES = ((?:.*\\\n)*.*)$", MAKEFILE, re.MULTILINE)
    assert {"ACCEPT", "AS_OF", "FIX"} <= passed
    assert passed - set(accepted.split()) == set()


@pytest.mark.parametrize("path", DOCS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_target_and_variable_of_make_that_is_named_is_there(path: Path) -> None:
    for command in commands_in(DOCS[path]):
        if made := re.match(r"(?:[A-Z_]+=\S+ )*make (\S+)((?: .*)?)$", command):
            target, rest = made.groups()
            assert target in TARGETS or target.startswith((".local/tools/lambda-", "PYTHON=", "EMULATOR=")), command
            variables = re.findall(r"(?<![\w\"=,])([A-Z_]+)=", rest)
            assert [
                name for name in variables if f"({name})" not in MAKEFILE and f'"$${name}"' not in MAKEFILE
            ] == [], command


def test_every_target_is_run_by_a_test_or_says_why_not() -> None:
    tests = "".join(path.read_text() for path in (ROOT / "tests" / "e2e").glob("*.py"))
    blocks = re.findall(r"(<!-- not run [^>]+ -->\n+)?```sh\n(.*?)```", DOCS[ROOT / "README.md"], re.DOTALL)
    run = tests + "".join(text for reason, text in blocks if not reason)
    not_run = [name for name in TARGETS if not re.search(rf'(?:^|"|&& )make {name}\b(?!-)', run, re.MULTILINE)]
    assert sorted(not_run) == sorted(NOT_RUN)


def test_every_parameter_of_the_template_is_documented() -> None:
    assert set(read_template(TEMPLATE)["Parameters"]) - explained_in(SETTINGS) == set()


@pytest.mark.parametrize("path", NESTED, ids=lambda path: path.name)
def test_every_part_of_the_stack_is_documented_with_its_parameters(path: Path) -> None:
    [row] = re.findall(rf"^\| `{path.name}` .*$", SETTINGS, re.MULTILINE)
    assert re.findall(r"`(\w+)`", row.rpartition("|")[0].rpartition("|")[2]) == list(read_template(path)["Parameters"])


def test_every_output_of_the_stack_is_documented() -> None:
    assert set(read_template(TEMPLATE)["Outputs"]) - explained_in(SETTINGS) == set()


@pytest.mark.parametrize("model", [RefreshSettings, LookupSettings])
def test_every_setting_of_a_function_is_documented(model: type[msgspec.Struct]) -> None:
    settings = {field.encode_name for field in msgspec.structs.fields(model)}
    assert len(settings) > 10
    assert settings - explained_in(SETTINGS) == set()


def test_every_variable_that_something_reads_is_documented() -> None:
    template = read_template(TEMPLATE)
    parts = [template["Globals"]["Function"], *(entry["Properties"] for entry in template["Resources"].values())]
    read = {name for part in parts if "Environment" in part for name in part["Environment"]["Variables"]}
    sources = [path for folder in ("functions", "chalice_app", "infra") for path in (ROOT / folder).rglob("*.py")]
    for path in [*sources, *(ROOT / "tests").rglob("*.py")]:
        read |= set(re.findall(r'environ\.get\("([A-Z_]+)"', path.read_text()))
    # What has a default in the compose file is a person's to set; what has none, the local stack sets.
    read |= set(re.findall(r"\$\{([A-Z_]+):-", (ROOT / "localstack-compose.yml").read_text()))
    assert {"RUNTIME", "FAULTS", "LOCALSTACK_IMAGE", "INLINE_BYTES"} <= read
    assert [name for name in read if f"`{name}" not in ALL and f" {name}=" not in ALL] == []


def alarms() -> list[str]:
    """Return the alarms of the stack, by name."""
    resources = [entry for path in NESTED for entry in read_template(path)["Resources"].items()]
    return [name for name, resource in resources if resource["Type"] == "AWS::CloudWatch::Alarm"]


def test_every_alarm_is_in_the_table_that_says_what_to_do() -> None:
    section = OPERATE.partition("## Alarms")[2].partition("\n## ")[0]
    answered = re.findall(r"^\| `(\w+)` +\| [^|]*\w[^|]* \| [^|]*\w[^|]* \|$", section, re.MULTILINE)
    assert len(answered) > 10
    assert sorted(answered) == sorted(alarms())


def test_the_cost_counts_every_alarm() -> None:
    assert f" {len(alarms())} x 0.10 " in (ROOT / "docs" / "cost.md").read_text()


def test_the_dashboard_and_the_alarms_show_metrics_that_are_measured() -> None:
    monitoring = (ROOT / "infra" / "templates" / "monitoring.yaml").read_text()
    shown = set(re.findall(r'"(\w+)", "service", "(?:refresh|lookup)"', monitoring))
    shown |= set(re.findall(r'MetricName=."(\w+)', monitoring))
    shown |= set(re.findall(r'\[".", "(\w+)", ".", "."', monitoring))
    sources = "\n".join(
        path.read_text() for folder in ("functions", "chalice_app") for path in (ROOT / folder).rglob("*.py")
    )
    of_aws = {"Errors", "ExecutionsFailed", "Throttles", "4XXError", "5XXError", "CPUUtilization", "SwapUsage"}
    assert {"MostUsedCount", "Lookups", "PublicationAge", "RowsPublished"} <= shown
    assert [name for name in shown - of_aws if f'"{name}"' not in sources] == []


def test_every_metric_and_every_reason_to_reject_is_documented() -> None:
    places = [ROOT / "functions/refresh/handler.py", ROOT / "functions/refresh/report/metrics.py"]
    places.append(ROOT / "chalice_app/chalicelib/request_log.py")
    names = {name for place in places for name in re.findall(r'"((?:[A-Z][a-z]+)+)"', place.read_text())} - WORDS_OF_EMF
    assert {"Refreshes", "MostUsedCount", "Lookups", "PublicationAge"} <= names
    assert names - explained_in(MONITORING) == set()
    cleaning = (ROOT / "functions/refresh/counting/cleaning.py").read_text()
    reasons = re.findall(r'_RejectedError\("(\w+)"\)', cleaning)
    assert reasons
    rules = DOCS[ROOT / "docs" / "data-rules.md"]
    assert [reason for reason in reasons if f"_{reason}`" not in rules] == []


@pytest.mark.parametrize("page", ["README.md", "docs/aws-unproven.md", "docs/api.md"])
def test_every_route_is_in_the_table_of_routes_the_check_of_signatures_and_the_page(page: str) -> None:
    described = msgspec.json.decode((ROOT / "chalice_app" / "chalicelib" / "openapi.json").read_bytes())
    routes = [path for path, methods in described["paths"].items() if "get" in methods]
    assert routes
    text = DOCS[ROOT / page]
    assert [path for path in routes if not re.search(rf"[`\" ]{re.escape(path)}[`\"?\s]", text)] == []


@pytest.mark.parametrize("path", DOCS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_and_module_that_is_named_is_there(path: Path) -> None:
    known = files_of_the_checkout()
    names = {Path(file).name for file in known}
    for code in code_in(DOCS[path]):
        for word in code.split():
            if re.fullmatch(r"(functions|chalice_app|infra|tests|docs|\.github|\.ci)/[\w./-]*", word):
                assert word.partition("::")[0].rstrip("/") in known, code
            elif re.fullmatch(r"[\w-]+\.(py|yaml|yml|sql|toml|md|lock|txt)", word):
                assert word in names, code
        for module in re.findall(r"python -m ((?:infra|tests)[\w.]*)", code):
            place = module.replace(".", "/")
            assert {f"{place}.py", f"{place}/__main__.py"} & known, code


def test_every_parameter_output_metric_alarm_and_variable_that_is_named_is_there() -> None:
    folders = (
        "functions/",
        "chalice_app/",
        "infra/",
        "tests/faults/",
        "tests/conftest.py",
        "template.yaml",
        "localstack-compose.yml",
        "Makefile",
    )
    files = [ROOT / name for name in files_of_the_checkout() if name.startswith(folders)]
    kinds = {".py", ".yaml", ".yml", ".sql", ""}
    sources = "".join(file.read_text() for file in files if file.suffix in kinds and file.is_file())
    there = set(re.findall(r"\w+", sources))
    pages = [path for path in PAGES if path.parent.name != "adr"]  # a decision also names what was left out
    named = {code for path in pages for code in code_in(DOCS[path])}
    names = [name for name in named if re.fullmatch(r"[A-Z][A-Za-z]*[a-z][A-Z]\w*|[A-Z]+(_[A-Z]+)+", name)]
    assert len(names) > 100
    assert [name for name in names if name not in there] == []


@pytest.mark.parametrize("path", [path for path in DOCS if path.suffix == ".md"], ids=lambda path: path.stem)
def test_links_between_the_docs_lead_somewhere(path: Path) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", DOCS[path]):
        if "://" not in link:
            name, _, heading = link.partition("#")
            target = (path.parent / name) if name else path
            assert target.exists(), link
            if heading:
                assert heading in anchors(target.read_text()), link


def anchors(text: str) -> list[str]:
    """Return how GitHub names the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return [re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings]


def test_every_page_can_be_reached_from_the_readme() -> None:
    read_on = DOCS[ROOT / "README.md"]
    pages = [path for path in PAGES if path.parent == ROOT / "docs"]
    assert [path.name for path in pages if f"(docs/{path.name})" not in read_on] == []


def test_the_readme_stays_short() -> None:
    lines = len(DOCS[ROOT / "README.md"].splitlines())
    assert lines < 180, f"the README has {lines} lines: move something to a page of docs/, or shorten another part"


@pytest.mark.parametrize("path", [path for path in PAGES if path.parent.name != "adr"], ids=lambda path: path.stem)
def test_every_page_begins_with_a_summary_and_has_no_long_paragraph(path: Path) -> None:
    title, summary, *_ = blocks = re.sub(r"^```.*?^```$", "", DOCS[path], flags=re.DOTALL | re.MULTILINE).split("\n\n")
    assert title.startswith("# ")
    assert re.match(r"\w|`", summary), "a page begins with what it is about"
    prose = [part for block in blocks if not block.startswith("|") for part in re.split(r"\n(?=- |\d+\. )", block)]
    assert [part for part in prose if len(part.splitlines()) > 6] == []


def test_every_decision_record_is_listed_with_its_title() -> None:
    folder = ROOT / "docs" / "adr"
    listed = re.findall(r"^(\d+)\. \[(.+)\]\((\d{3}-[\w-]+\.md)\)$", (folder / "README.md").read_text(), re.MULTILINE)
    records = sorted(folder.glob("[0-9]*.md"))
    assert [file for _, _, file in listed] == [path.name for path in records]
    for (number, title, file), path in zip(listed, records, strict=True):
        assert int(file[:3]) == int(number)
        assert path.read_text().startswith(f"# {int(number)}. {title}\n")
        for part in ("Context", "Decision", "Consequences"):
            assert path.read_text().count(f"**{part}.**") == 1, path.name


def test_the_sums_of_what_it_costs_are_sums() -> None:
    page = (ROOT / "docs" / "cost.md").read_text()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines()]
    costs: list[float] = []
    sums = 0
    for row in rows:
        if row[0].startswith("-"):
            costs = []
        elif row[0] == "**sum**":
            total = row[2].partition("**")[2].partition("*")[0]
            decimals = len(total.partition(".")[2])
            assert round(sum(costs), decimals) == float(total), costs
            sums += 1
        elif len(row) == 3 and re.match(r"[\d.]+$", row[2]):
            costs.append(float(row[2]))
    assert sums == page.count("**sum**") > 0


def test_the_modules_of_the_functions_are_where_the_architecture_says() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text().partition("## Parts and directions")[2]
    for folder in ("functions/refresh", "chalice_app/chalicelib"):
        modules = {path.name for path in (ROOT / folder).rglob("*.py")} - {"__init__.py", "settings.py"}
        assert [name for name in sorted(modules) if f"`{name}`" not in page] == []


def test_the_tables_are_those_that_the_architecture_lists() -> None:
    section = (ROOT / "docs" / "architecture.md").read_text().partition("## Tables")[2].partition("\n## ")[0]
    sources = [*(ROOT / "infra" / "sql").rglob("*.sql"), ROOT / "functions/common/migrations.py"]
    statements = "".join(path.read_text() for path in sources)
    made = re.findall(r"CREATE TABLE (?:IF NOT EXISTS )?(?:voucher_customer\.)?(\w+)", statements)
    renamed = dict(re.findall(r"ALTER TABLE voucher_customer\.(\w+) RENAME TO (\w+)", statements))
    assert set(re.findall(r"^\| `(\w+)`", section, re.MULTILINE)) == {renamed.get(name, name) for name in made}


def test_the_issue_forms_and_workflows_are_yaml() -> None:
    for path in OTHERS:
        if path.suffix == ".yml":
            assert yaml.safe_load(DOCS[path])
