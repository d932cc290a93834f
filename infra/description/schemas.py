"""The schemas of the description: models as msgspec describes them, with what their docstrings say of each field."""

import inspect
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from chalicelib.answers import BatchResults, Explanation, Health, MostUsed, NoExplanation, Segments
from chalicelib.customers import FLAGS_AS_TEXT, Batch, CustomerFields, Day, customer_of
from chalicelib.history import History
from chalicelib.problems import GatewayProblem, Problem
from chalicelib.refreshes import Refreshes
from functions.common.days import OFFSET_PATTERN, OWN_DAY_PATTERN
from functions.common.dimensions import Dimension
from functions.common.families import Family

Schema = dict[str, Any]

_ANSWERS: tuple[type[msgspec.Struct], ...] = (
    MostUsed, Explanation, NoExplanation, BatchResults, Segments, History, Refreshes, Health, Problem, GatewayProblem,
)  # fmt: skip

# As `find_day` and msgspec read them. A pattern cannot say which days there are, nor how large a number may be.
_GRAMMAR = re.sub(r"\?P<\w+>", "?:", f"{OWN_DAY_PATTERN}|{OFFSET_PATTERN}")
_DATE_AS_TEXT = rf"^[ \t\n\v\f\r]*(?:{_GRAMMAR})[ \t\n\v\f\r]*$"
_NUMBER_AS_TEXT = r"^-?(?:0|[1-9][0-9]*)(?:[.][0-9]+)?(?:[eE][+-]?[0-9]+)?$"

_SEGMENT_NAME: Schema = {
    "type": "string",
    "minLength": 1,
    "description": "A published segment family; `GET /segments` lists them all, and the field that each needs.",
    "examples": ["recency_segment"],
}
COUNTRY: Schema = {
    **msgspec.json.schema(CustomerFields)["$defs"]["CustomerFields"]["properties"]["country_code"],
    "description": "A published country.",
    "examples": ["Peru"],
}


def reference(name: str) -> Schema:
    """Refer to a schema of the description."""
    return {"$ref": f"#/components/schemas/{name}"}


def any_of(title: str, *schemas: Schema) -> Schema:
    """Describe a value that has one of several forms, the larger first: generated clients take the first that fits.

    Some generators make a class of it, to which they give the title.
    """
    return {"title": title, "anyOf": list(schemas)}


def lookup_fields(families: Mapping[str, Dimension]) -> dict[str, Schema]:
    """Describe the fields of a lookup, by name, including those that each family needs."""
    return {
        "country_code": COUNTRY,
        "segment_name": _SEGMENT_NAME,
        **{dimension.field: _field(dimension, families) for dimension in families.values()},
        "explain": _flag("Adds all that led to the answer."),
        "fallback": _flag("Answers from a wider level where the segment has no answer, and names the level."),
    }


def _flag(description: str) -> Schema:
    as_text = {"type": "string", "pattern": f"^(?:{'|'.join(FLAGS_AS_TEXT)})$"}
    # No `default`: because of one, openapi-typescript would require every caller to send the field.
    forms = any_of("FlagOrText", {"type": "boolean"}, as_text)
    return {"description": f"{description} Left out, it is false.", **forms}


def _field(dimension: Dimension, families: Mapping[str, Dimension]) -> Schema:
    needed = ", ".join(name for name, other in families.items() if other.field == dimension.field)
    model = customer_of(Family("", dimension, []))
    [described] = msgspec.json.schema(model, schema_hook=_describe_day)["$defs"].values()
    schema = described["properties"][dimension.field]
    if dimension.column_kind == "number":
        as_text = {"type": "string", "pattern": _NUMBER_AS_TEXT}
        schema = {**any_of("NumberOrText", schema, as_text), "examples": [15]}
    return {"description": f"Needed for {needed}. {_READ_AS[dimension.column_kind]}", **schema}


def _number(dimension: Dimension) -> Schema:
    is_number = dimension.kind == "number"
    what = f"The customer's `{dimension.field}`" if is_number else f"Days from `{dimension.field}` to the as-of day"
    return {"description": f"{what}; only where a family that needs this field answers."}


_READ_AS = {
    "number": "A whole number, or the same number as text.",
    "date": "A day that exists, alone or with a time, with or without a zone (UTC without), not after today in UTC.",
}


def make_schemas(families: Mapping[str, Dimension]) -> dict[str, Schema]:
    """Return every schema by name: the models that answer, and the requests of a lookup of these families."""
    _, found = msgspec.json.schema_components(_ANSWERS, ref_template="#/components/schemas/{name}")
    # Of the ranking's two kinds of amounts the API has one.
    found = msgspec.json.decode(msgspec.json.encode(found).replace(b"Place_float_", b"Place"))
    schemas = {name: _model(schema) for name, schema in found.items()}
    for model in _ANSWERS:
        for base in model.__mro__[1:]:
            _describe_fields(schemas[model.__name__], inspect.getdoc(base) or "")
    numbers = schemas["Explanation"]["properties"]
    number = numbers.pop("number")
    numbers.update({dimension.number_name: {**number, **_number(dimension)} for dimension in families.values()})
    # A family that is added has another name for its number. Without its type, which fields of later releases lack.
    schemas["Explanation"]["additionalProperties"] = {"description": _OTHER_NUMBER}
    schemas["Explanations"] = {
        "type": "object",
        "description": "The explanation of each family, by name; of a family without an answer the reason.",
        "additionalProperties": any_of("FamilyAnswer", reference("Explanation"), reference("NoExplanation")),
    }
    schemas["BatchResult"] |= {
        "if": _require("problem"),
        "then": {"properties": {"voucher_amount": False}},
        "else": _require("voucher_amount"),
    }
    return {**schemas, **_requests(families)}


def _requests(families: Mapping[str, Dimension]) -> dict[str, Schema]:
    fields = lookup_fields(families)
    # A batch has no `explain`.
    of_batch = {name: field for name, field in fields.items() if name != "explain"}
    true = [True, *(text for text, is_true in FLAGS_AS_TEXT.items() if is_true)]
    needed = {dimension.field: None for dimension in families.values()}
    every_field = _require("explain", *needed, explain={"enum": true})
    batch = _model(msgspec.json.schema(Batch)["$defs"]["Batch"])
    batch["properties"]["customers"] |= {"items": reference("BatchCustomer"), "description": _BATCH}
    return {
        "Customer": {
            "type": "object",
            "description": _CUSTOMER,
            "required": ["country_code"],
            "properties": fields,
            **_needs(families, otherwise={"if": _require("segment_name"), "else": every_field}),
        },
        "BatchCustomer": {
            "type": "object",
            "description": _CUSTOMER,
            "required": ["country_code", "segment_name"],
            "properties": {"customer_id": {"description": "Comes back with the answer, as it is."}, **of_batch},
            **_needs(families, otherwise={}),
        },
        "Batch": batch,
    }


_OTHER_NUMBER = (
    "The customer's number in the dimension of an added family, an integer by the dimension's own name, or a field that"
    " a later release adds."
)
_CUSTOMER = "A customer. Families that were added may need other fields than these: `GET /segments` names them."
_BATCH = "A customer that lacks fields, or has wrong ones, has a problem of its own in the answer."


def _needs(families: Mapping[str, Dimension], otherwise: Schema) -> Schema:
    """Say which field each family needs: each `if` inside the `else` before, because generators merge an `allOf`."""
    rule = otherwise
    for name, dimension in reversed(list(families.items())):
        named = _require("segment_name", segment_name={"const": name})
        rule = {"if": named, "then": _require(dimension.field), "else": rule}
    return rule


def _require(*names: str, **schemas: Schema) -> Schema:
    """Require fields, which linters want named as properties too."""
    return {"required": list(names), "properties": {name: schemas.get(name, {}) for name in names}}


def _describe_day(kind: type) -> Schema:
    if kind is not Day:
        raise NotImplementedError(f"no schema is known of {kind.__name__}")
    return {"type": "string", "pattern": _DATE_AS_TEXT, "examples": ["2018-05-03 00:00:00"]}


def _model(schema: Schema) -> Schema:
    """Make a schema of msgspec's ready: its enumerations typed, each of its fields described."""
    doc = inspect.cleandoc(schema.pop("description"))
    ready: Schema = _typed({**schema, "description": " ".join(doc.partition("\n\nAttributes\n")[0].split())})
    ready.pop("title")
    _describe_fields(ready, doc)
    return ready


def _typed(node: Any) -> Any:
    """Give enumerations the type of their values, which generators of clients look for."""
    if isinstance(node, list):
        return [_typed(value) for value in node]
    if not isinstance(node, dict):
        return node
    kind = {"type": "integer" if isinstance(node["enum"][0], int) else "string"} if "enum" in node else {}
    return {**kind, **{name: _typed(value) for name, value in node.items()}}


def _describe_fields(schema: Schema, doc: str) -> None:
    """Add what a docstring says of fields under "Attributes", where nothing is said of them yet."""
    _, _, attributes = doc.partition("\nAttributes\n----------\n")
    for name, text in re.findall(r"^(\w+) : .*\n((?:    .*\n?)+)", attributes, re.MULTILINE):
        if name in schema["properties"]:
            field = schema["properties"][name]
            # Older generators ignore what stands beside a reference.
            described = {"allOf": [field]} if "$ref" in field else field
            schema["properties"][name] = {"description": " ".join(text.split()), **described}
