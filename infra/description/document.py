"""The description: every route of the app, with what it takes and answers."""

import inspect
from typing import Any, NamedTuple
from urllib.parse import urlencode

import msgspec

import app as lookup
from chalicelib.customers import HistoryOfFamily, Latest
from functions import __version__
from infra import ROOT
from infra.description.responses import NOT_MODIFIED, ON_EVERY_ROUTE, response_of, shared_responses
from infra.description.schemas import COUNTRY, Schema, any_of, lookup_fields, make_schemas, reference
from infra.families import shipped_families

EXAMPLES = ROOT / "infra" / "description" / "examples.json"
"""Requests and their answers for the sample, published as of 2020-12-22, by operation."""

_INFO = {
    "title": "Voucher lookup",
    "version": __version__,
    "summary": "Which voucher amount is most used in a customer's segment.",
    "description": (
        "Answers come from the table that the refresh function published last. Errors are problem documents"
        " (RFC 9457) that name every bad field."
    ),
    "contact": {"name": "Whoever runs the deployment"},
    "license": {"name": "MIT", "identifier": "MIT"},
}
_SERVERS = [
    {
        "url": "https://{api}.execute-api.{region}.amazonaws.com/v1",
        "description": "On AWS: the stack's output `ApiUrl`.",
        "variables": {
            "api": {"default": "a1b2c3d4e5", "description": "The id that API Gateway gave the API."},
            "region": {"default": "us-east-1", "description": "The region of the stack."},
        },
    },
    {"url": "http://127.0.0.1:8000", "description": "`chalice local`"},
]
# As template.yaml has them; a deployment chooses one, or none.
_SECURITY = {
    "SignedRequest": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": (
            "As shipped: AWS Signature Version 4 for the service `execute-api`, by credentials that may"
            " `execute-api:Invoke`."
        ),
        "x-amazon-apigateway-authtype": "awsSigv4",
    },
    "api_key": {
        "type": "apiKey",
        "in": "header",
        "name": "x-api-key",
        "description": "With `ApiAuthorization=API_KEY`; the stack's output `ApiKeyId` names the first key.",
    },
}
_TAGS = {
    "lookups": "Which amount is most used where a customer belongs.",
    "publication": "What is published, how sure it is, and since when.",
    "operation": "Whether lookups can be answered, and how fresh the answers are.",
}
_TEXT = {"schema": {"type": "string"}}
_HEADERS = {
    "ETag": {"description": "Names the refresh that the answer comes from.", **_TEXT},
    "Cache-Control": {"description": "How long the answer holds.", **_TEXT},
    "Voucher-Stale": {"description": "`true` while the database is away and answers come from memory.", **_TEXT},
}


class Route(NamedTuple):
    """What the description adds to a route of the app.

    Attributes
    ----------
    tag : str
        Its group.
    answer : dict
        The schema of its answer.
    errors : tuple of int
        The error statuses that the app answers on it, besides those of every route.
    query : dict of str to dict
        The fields of its query string, by name; those in `needed` are required.
    body : str
        The schema of the body that POST takes.
    is_published : bool
        Whether it answers from the publication, and carries its `ETag`.
    """

    tag: str
    answer: Schema
    errors: tuple[int, ...] = ()
    query: dict[str, Schema] = {}  # noqa: RUF012
    needed: tuple[str, ...] = ()
    body: str = ""
    is_published: bool = False


def _routes(fields: dict[str, Schema]) -> dict[str, Route]:
    lookups = any_of("LookupAnswer", reference("Explanation"), reference("MostUsed"), reference("Explanations"))
    history = {"country_code": COUNTRY, "segment_name": fields["segment_name"], "limit": _limit(HistoryOfFamily)}
    return {
        "/": Route("operation", {"const": "OK", "type": "string"}),
        "/health": Route("operation", reference("Health"), (503,)),
        "/voucher_amount": Route(
            "lookups", lookups, (400, 404, 413, 422, 503), fields, ("country_code",), "Customer", is_published=True
        ),
        "/voucher_amounts": Route(
            "lookups", reference("BatchResults"), (400, 413, 422, 503), body="Batch", is_published=True
        ),
        "/segments": Route(
            "publication", reference("Segments"), (404, 422, 503), {"country_code": COUNTRY}, ("country_code",),
            is_published=True,
        ),
        "/history": Route(
            "publication", reference("History"), (404, 422, 503), history, ("country_code", "segment_name"),
            is_published=True,
        ),
        "/refreshes": Route("operation", reference("Refreshes"), (422, 503), {"limit": _limit(Latest)}),
        "/openapi.json": Route("operation", {"type": "object", "additionalProperties": True}),
    }  # fmt: skip


def _limit(model: type[msgspec.Struct]) -> Schema:
    limit: Schema = msgspec.json.schema(model)["$defs"][model.__name__]["properties"]["limit"]
    return {"description": "How many at most.", **limit}


def make_document() -> dict[str, Any]:
    """Return the description of the app's routes, the models that answer and the families that are shipped."""
    families = shipped_families()
    routes = _routes(lookup_fields(families))
    examples: dict[str, list[Schema]] = msgspec.json.decode(EXAMPLES.read_bytes())
    paths: dict[str, Schema] = {
        path: {method.lower(): _operation(path, method, routes[path], examples) for method in sorted(methods)}
        for path, methods in lookup.app.routes.items()
        if methods  # Chalice adds an unknown path, without methods, where somebody asks for it
    }
    return {
        "openapi": "3.1.0",
        "info": _INFO,
        "servers": _SERVERS,
        "security": [*({name: []} for name in _SECURITY), {}],
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "paths": paths,
        "components": {
            "securitySchemes": _SECURITY,
            "headers": _HEADERS,
            "responses": shared_responses(),
            "schemas": make_schemas(families),
        },
    }


def _operation(path: str, method: str, route: Route, examples: dict[str, list[Schema]]) -> Schema:
    views = lookup.app.routes[path]
    view = views[method].view_function
    is_one_of_two = method == "HEAD" or "POST" in views
    name = f"{method.lower()}_{view.__name__}" if is_one_of_two else view.__name__
    summary, _, more = (inspect.getdoc(view) or view.__name__).partition("\n")
    operation: Schema = {
        "operationId": name,
        "tags": [route.tag],
        "summary": summary.rstrip(".").replace("`", ""),
        "description": "As GET, without a body." if method == "HEAD" else f"{summary} {' '.join(more.split())}".strip(),
    }
    if path == "/":
        operation["security"] = []
    shown = examples.get(name, [])
    if route.query and method != "POST":
        operation["parameters"] = [
            _parameter(*field, is_needed=field[0] in route.needed) for field in route.query.items()
        ]
    if route.body and method == "POST":
        content = {"schema": reference(route.body)} | _shown(shown, "body")
        operation["requestBody"] = {"required": True, "content": {"application/json": content}}
    operation["responses"] = _responses(method, route, shown)
    return operation


def _parameter(name: str, schema: Schema, *, is_needed: bool) -> Schema:
    schema = dict(schema)
    parameter = {"name": name, "in": "query", "required": is_needed, "description": schema.pop("description")}
    if "examples" in schema:  # which stay, so that generators find the schema to be that of the body's field
        parameter["example"] = schema["examples"][0]
    return {**parameter, "schema": schema}


def _responses(method: str, route: Route, shown: list[Schema]) -> Schema:
    kind = "text/plain" if route.answer.get("const") else "application/json"
    ok: Schema = {"description": "The answer.", "content": {kind: {"schema": route.answer} | _shown(shown, "answer")}}
    if route.is_published:
        ok["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in _HEADERS}
    others = [*((NOT_MODIFIED,) if route.is_published and method != "POST" else ()), *ON_EVERY_ROUTE, *route.errors]
    if method == "HEAD":
        return {str(status): {"description": "As GET, without a body."} for status in sorted([200, *others])}
    return {"200": ok} | {str(status): response_of(status) for status in sorted(others)}


def _shown(examples: list[Schema], member: str) -> Schema:
    """Return the examples of a request's body or of an answer by what they show; those of a GET with their query."""
    values = {
        example["shows"].replace(" ", "_"): {
            "summary": example["shows"],
            **({"description": f"`?{urlencode(example['query'])}`"} if "query" in example else {}),
            "value": example[member],
        }
        for example in examples
        if member in example
    }
    return {"examples": values} if values else {}
