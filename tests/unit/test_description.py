"""The description of the API: made from the models, complete, and as strict as the API in what a schema can say."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any, get_args

import jsonschema_rs
import msgspec
import pytest

import app as lookup
from chalicelib import problems
from chalicelib.refreshes import Refresh
from functions import __version__
from functions.common.dimensions import RESERVED_COLUMNS
from functions.refresh.ledger import schema
from functions.refresh.results import Kind
from infra.checks.transform import TEMPLATE, read_template
from infra.description.__main__ import PAGE, stale_files
from infra.description.document import make_document
from infra.families import shipped_families
from tests.described import DESCRIPTION, REQUESTS, SCHEMAS, close_answers
from tests.families import OWN
from tests.support import ROOT
from tests.text_dates import READ, REJECTED

DEPLOYED = read_template(TEMPLATE)["Resources"]["LookupApi"]["Properties"]["DefinitionBody"]
OPERATIONS = [operation for methods in DESCRIPTION["paths"].values() for operation in methods.values()]


def resolved(node: Any) -> Any:
    """Follow a reference of the description."""
    while isinstance(node, dict) and "$ref" in node:
        found: Any = DESCRIPTION
        for name in node["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        node = found
    return node


def is_valid(name: str, value: Any) -> bool:
    schema = {"$ref": f"#/components/schemas/{name}", "components": DESCRIPTION["components"]}
    return bool(jsonschema_rs.validator_for(schema).is_valid(value))


def test_description_and_page_are_what_the_models_the_routes_and_the_own_families_say(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(schema, "FAMILIES_FILE", OWN)
    stale = [str(path.relative_to(ROOT)) for path in stale_files()]
    assert stale == [], "run `make fix`, which writes them"


def test_a_path_that_somebody_asked_for_in_vain_is_not_described(monkeypatch: pytest.MonkeyPatch) -> None:
    routes = defaultdict(dict, lookup.app.routes)
    monkeypatch.setattr(lookup.app, "routes", routes)
    assert routes["/no-such-route"] == {}  # as Chalice looks it up
    assert "/no-such-route" not in make_document()["paths"]


def test_every_operation_has_what_people_and_generators_look_for() -> None:
    tags = {tag["name"] for tag in DESCRIPTION["tags"]}
    assert len({operation["operationId"] for operation in OPERATIONS}) == len(OPERATIONS)
    assert all(operation["summary"] and operation["description"] for operation in OPERATIONS)
    assert {tag for operation in OPERATIONS for tag in operation["tags"]} == tags


def test_the_version_is_one_number() -> None:
    assert DESCRIPTION["info"]["version"] == DEPLOYED["info"]["version"] == __version__


def test_the_security_schemes_are_those_of_the_template() -> None:
    described = {
        name: {member: value for member, value in scheme.items() if member != "description"}
        for name, scheme in DESCRIPTION["components"]["securitySchemes"].items()
    }
    assert described == DEPLOYED["components"]["securitySchemes"]


def test_every_error_of_the_api_has_an_example() -> None:
    examples = [
        body["example"]
        for response in DESCRIPTION["components"]["responses"].values()
        for body in response.get("content", {}).values()
    ]
    assert {status.value for status in problems.STATUS_OF_ERROR.values()} | {415, 500} == {
        example["status"] for example in examples if "status" in example
    }


def test_every_operation_has_the_answers_that_api_gateway_gives_itself() -> None:
    page = (ROOT / "docs" / "api.md").read_text()
    [repeated] = re.findall(r"Repeat after a ([\d, or]+):", page)
    by_gateway = {"403", *re.findall(r"\d+", repeated)} - {"503"}
    assert by_gateway == {"403", "429", "500", "502", "504"}
    for operation in OPERATIONS:
        assert set(operation["responses"]) >= by_gateway, operation["operationId"]


def test_the_statuses_of_the_page_are_described() -> None:
    _, _, problems_of_page = (ROOT / "docs" / "api.md").read_text().partition("\n## Problems\n")
    named = {
        status
        for row in re.findall(r"^\| (\d{3}[\d, ]*) *\|", problems_of_page, re.MULTILINE)
        for status in row.split(", ")
    }
    described = {status for operation in OPERATIONS for status in operation["responses"]}
    # `chalice local` alone answers 405, to verbs that are not described.
    assert {status.strip() for status in named} - {"405"} == described - {"200", "304"}


def described_in(node: Any) -> Iterator[str]:
    """Find every description."""
    if isinstance(node, list):
        for value in node:
            yield from described_in(value)
    elif isinstance(node, dict):
        for name, value in node.items():
            if name == "description" and isinstance(value, str):
                yield value
            else:
                yield from described_in(value)


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_field_has_a_description_of_its_own(name: str) -> None:
    described = {field: schema.get("description") for field, schema in SCHEMAS[name].get("properties", {}).items()}
    assert [field for field, text in described.items() if not text] == []
    assert [text for text, times in Counter(described.values()).items() if times > 1] == []


def test_descriptions_are_without_words_of_python() -> None:
    words = re.compile(r"(?<!If-)\b(None|True|False|int|str|float|bool|dict|tuple|datetime|UNSET)\b")
    assert [text for text in described_in(DESCRIPTION) if words.search(text)] == []


@pytest.mark.parametrize("name", [name for name in SCHEMAS if "properties" in SCHEMAS[name]])
def test_what_is_described_may_have_other_fields(name: str) -> None:
    # An answer those of a later release, a request those that the API ignores.
    other = {"additionalProperties": SCHEMAS[name].get("additionalProperties", True)}
    assert jsonschema_rs.validator_for(other).is_valid({"added_later": "text"})
    closed = close_answers(DESCRIPTION)["components"]["schemas"][name].get("additionalProperties", True)
    assert closed is (name in REQUESTS)


def test_the_examples_are_of_the_form_that_they_show() -> None:
    checked = 0
    components = close_answers(DESCRIPTION)["components"]
    for operation in OPERATIONS:
        for part in (operation.get("requestBody", {}), *operation["responses"].values()):
            for body in resolved(part).get("content", {}).values():
                shown = [example["value"] for example in body.get("examples", {}).values()]
                for value in [*shown, *([body["example"]] if "example" in body else [])]:
                    jsonschema_rs.validate({**body["schema"], "components": components}, value)
                    checked += 1
    assert checked > 50


RECENCY = {"country_code": "Peru", "segment_name": "recency_segment", "last_order_ts": "2018-05-03 00:00:00"}
FREQUENT = {"country_code": "Peru", "segment_name": "frequent_segment", "total_orders": 15}
BOTH = {"country_code": "Peru", "last_order_ts": "2018-05-03", "total_orders": 15}


@pytest.mark.parametrize(
    "customer",
    [
        RECENCY,
        FREQUENT,
        {**FREQUENT, "total_orders": "15.0"},
        {**FREQUENT, "explain": "TRUE", "fallback": False, "customer_id": 123},
        {**BOTH, "explain": True},
        {"country_code": "Peru", "segment_name": "tenure_segment", "first_order_ts": "2018-05-03"},
    ],
)
def test_what_a_lookup_takes_is_valid(customer: dict[str, Any]) -> None:
    assert is_valid("Customer", customer)
    if "segment_name" in customer:
        assert is_valid("Batch", {"customers": [customer]})


@pytest.mark.parametrize(
    "customer",
    [
        {},
        BOTH,
        {**BOTH, "explain": False},
        {**BOTH, "explain": "false"},
        {"country_code": "Peru", "last_order_ts": "2018-05-03", "explain": True},
        {**RECENCY, "country_code": ""},
        {**RECENCY, "segment_name": ""},
        {**RECENCY, "last_order_ts": ""},
        {**RECENCY, "last_order_ts": None},
        {**RECENCY, "last_order_ts": "soon"},
        {"country_code": "Peru", "segment_name": "recency_segment", "total_orders": 15},
        {"country_code": "Peru", "segment_name": "frequent_segment", "last_order_ts": "2018-05-03"},
        {**FREQUENT, "total_orders": -1},
        {**FREQUENT, "total_orders": 1.5},
        {**FREQUENT, "total_orders": " 15"},
        {**FREQUENT, "total_orders": "015"},
        {**FREQUENT, "total_orders": True},
        {**FREQUENT, "explain": 0},
        {**FREQUENT, "explain": 1},
        {**FREQUENT, "explain": "yes"},
        {**FREQUENT, "explain": None},
        {**FREQUENT, "fallback": 0},
    ],
)
def test_what_a_lookup_refuses_is_invalid(customer: dict[str, Any]) -> None:
    assert not is_valid("Customer", customer)
    assert not is_valid("Batch", {"customers": [customer]}) or "explain" in customer


def test_a_result_of_a_batch_has_amounts_or_a_problem() -> None:
    assert is_valid("BatchResult", {"voucher_amount": [2640.0]})
    assert is_valid("BatchResult", {"customer_id": None, "problem": {"status": 404, "detail": "none"}})
    assert not is_valid("BatchResult", {"customer_id": 1})
    assert not is_valid("BatchResult", {"voucher_amount": [2640.0], "problem": {"status": 404}})


def test_the_pattern_of_dates_is_the_grammar() -> None:
    pattern = SCHEMAS["Customer"]["properties"]["last_order_ts"]["pattern"]
    validator = jsonschema_rs.validator_for({"type": "string", "pattern": pattern})
    assert [text for text in READ if not validator.is_valid(text)] == []
    # A pattern cannot tell which days there are.
    assert {text[:10] for text in REJECTED if validator.is_valid(text)} == {
        "0000-01-01", "0000-12-31", "0001-01-01", "2018-00-10", "2018-01-00", "2018-02-29", "2018-02-30",
        "2018-04-31", "2018-13-01", "9999-12-31",
    }  # fmt: skip


def test_no_field_of_an_explanation_can_be_a_dimension() -> None:
    numbers = {dimension.number_name for dimension in shipped_families().values()}
    assert set(SCHEMAS["Explanation"]["properties"]) - numbers <= RESERVED_COLUMNS


def test_every_trigger_of_a_run_is_described() -> None:
    [trigger] = [field for field in msgspec.structs.fields(Refresh) if field.name == "trigger"]
    assert set(get_args(trigger.type)) == set(get_args(Kind))


def test_the_page_shows_every_operation_and_schema_and_sends_no_request() -> None:
    page = PAGE.read_text()
    anchors = set(re.findall(r'id="(\w+)"', page))
    assert {operation["operationId"] for operation in OPERATIONS if "head_" not in operation["operationId"]} <= anchors
    assert set(SCHEMAS) <= anchors
    assert set(re.findall(r'href="#(\w+)"', page)) <= anchors
    assert "default-src 'none'" in page
    assert not re.search(r'<script|@import|url\(|(?:src|href)="(?!#|data:)', page)
    assert PAGE.relative_to(ROOT).as_posix() == "docs/api.html"
