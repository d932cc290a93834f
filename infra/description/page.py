"""The page for people: one file without a script, made from the description. No request leaves it."""

import base64
import hashlib
import json
import re
from collections.abc import Iterable
from html import escape
from http import HTTPStatus
from pathlib import Path
from typing import Any

from chalicelib.problems import title_of
from infra.description.schemas import Schema

_LINE = 100
_LARGE = 2**31

_STYLE = Path(__file__).with_name("page.css")


def make_page(document: dict[str, Any]) -> str:
    """Return the page as HTML."""
    style = _STYLE.read_text()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    info = document["info"]
    return "\n".join((
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<link rel="icon" href="data:,">',
        f"<title>{escape(info['title'])} API</title>\n<style>{style}</style>\n</head>\n<body>",
        f'<header><h1>{escape(info["title"])} API</h1>\n<p>{_text(info["summary"])} {_text(info["description"])}</p>',
        f'<p class="soft">Release {escape(info["version"])}</p></header>',
        "<main>",
        _contents(document),
        *(_tag(tag, document) for tag in document["tags"]),
        _access(document),
        _problems(document),
        "<h2 id=\"schemas\">What requests and answers are made of</h2>",
        *(_schema(name, schema) for name, schema in document["components"]["schemas"].items()),
        "</main>\n</body>\n</html>\n",
    ))  # fmt: skip


def _contents(document: dict[str, Any]) -> str:
    lines = [
        f'<li><a href="#{operation["operationId"]}"><span class="method">{method}</span>'
        f"<code>{escape(path)}</code></a> {_text(operation['summary'])}</li>"
        for tag in document["tags"]
        for method, path, operation in _operations(document, tag["name"])
    ]
    others = (("access", "Addresses and access"), ("problems", "Problems"), ("schemas", "Schemas"))
    lines += [f'<li><a href="#{anchor}">{title}</a></li>' for anchor, title in others]
    return f'<nav aria-label="Contents"><ul>{"".join(lines)}</ul></nav>'


def _operations(document: dict[str, Any], tag: str) -> Iterable[tuple[str, str, Schema]]:
    """Return the operations of a group, without HEAD: one sentence on the page covers it."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if method != "head" and tag in operation["tags"]:
                yield method.upper(), path, operation


def _tag(tag: Schema, document: dict[str, Any]) -> str:
    operations = "".join(_operation(*found) for found in _operations(document, tag["name"]))
    return f"<h2>{escape(tag['name'].capitalize())}</h2>\n<p>{_text(tag['description'])}</p>{operations}"


def _operation(method: str, path: str, operation: Schema) -> str:
    parts = [
        f'<section aria-labelledby="{operation["operationId"]}"><h3 id="{operation["operationId"]}">'
        f'<span class="method">{method}</span> <code>{escape(path)}</code></h3>',
        f"<p>{_text(operation['description'])}</p>",
    ]
    if parameters := operation.get("parameters"):
        rows = [
            (parameter["name"], parameter["required"], parameter["schema"], parameter["description"])
            for parameter in parameters
        ]
        parts.append(_table("Query string", rows))
    for kind, body in operation.get("requestBody", {}).get("content", {}).items():
        parts.append(f"<p>Body, <code>{kind}</code>: {_type(body['schema'])}</p>{_examples('Request', body)}")
    for kind, body in operation["responses"]["200"]["content"].items():
        parts.append(f"<p>Answer, <code>{kind}</code>: {_type(body['schema'])}</p>{_examples('Answer', body)}")
    errors = [
        f'<a href="#{response["$ref"].rpartition("/")[2]}">{status}</a>'
        for status, response in operation["responses"].items()
        if status != "200"
    ]
    return "\n".join((*parts, f"<p>Other statuses: {', '.join(errors)}.</p></section>"))


def _examples(what: str, body: Schema) -> str:
    return "".join(
        f"<details open><summary>{what}: {escape(example['summary'])} {_text(example.get('description', ''))}</summary>"
        f"{_json(example['value'])}</details>"
        for example in body.get("examples", {}).values()
    )


def _access(document: dict[str, Any]) -> str:
    servers = "".join(
        f"<li><code>{escape(server['url'])}</code> {_text(server['description'])}</li>"
        for server in document["servers"]
    )
    schemes = "".join(
        f"<li><code>{escape(scheme['name'])}</code>: {_text(scheme['description'])}</li>"
        for scheme in document["components"]["securitySchemes"].values()
    )
    return (
        f'<h2 id="access">Addresses and access</h2><ul>{servers}</ul>'
        f"<p>A deployment asks for one of these headers, or for none; <code>GET /</code> is open.</p><ul>{schemes}</ul>"
        "<p>HEAD answers as GET without a body.</p>"
    )


def _problems(document: dict[str, Any]) -> str:
    statuses = {
        response["$ref"].rpartition("/")[2]: status
        for methods in document["paths"].values()
        for operation in methods.values()
        for status, response in operation["responses"].items()
        if "$ref" in response
    }
    responses = document["components"]["responses"]
    return '<h2 id="problems">Problems</h2>' + "".join(
        f'<h3 id="{name}">{status} {escape(title_of(HTTPStatus(int(status))))}</h3>'
        f"<p>{_text(responses[name]['description'])}</p>"
        + "".join(_json(body["example"]) for body in responses[name].get("content", {}).values())
        for name, status in sorted(statuses.items(), key=lambda found: found[1])
    )


def _schema(name: str, schema: Schema) -> str:
    head = f'<h3 id="{name}">{escape(name)}</h3><p>{_text(schema.get("description", ""))}</p>'
    needed = schema.get("required", [])
    rows = [
        (field, field in needed, found, found.get("description", ""))
        for field, found in schema.get("properties", {}).items()
    ]
    more = schema.get("additionalProperties")
    if isinstance(more, dict):
        rows.append(("any other name", False, more, more.get("description", "")))
    return head + (_table("Fields", rows) if rows else "")


def _table(title: str, rows: list[tuple[str, bool, Schema, str]]) -> str:
    lines = "".join(
        f"<tr><td><code>{escape(name)}</code></td><td>{'yes' if is_needed else ''}</td><td>{_type(schema)}</td>"
        f"<td>{_text(description)}</td></tr>"
        for name, is_needed, schema, description in rows
    )
    return (
        f'<div class="wide" tabindex="0"><table><caption>{title}</caption>'
        f"<tr><th>Field</th><th>Required</th><th>Type</th><th>What</th></tr>{lines}</table></div>"
    )


def _type(schema: Schema) -> str:
    """Say in words what a value is, as HTML."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f'<a href="#{name}">{escape(name)}</a>'
    for several in ("anyOf", "allOf"):
        if several in schema:
            return " or ".join(_type(one) for one in schema[several])
    if "enum" in schema:
        return " or ".join(f"<code>{escape(json.dumps(value))}</code>" for value in schema["enum"])
    kind = str(schema.get("type", "any"))
    if kind == "array":
        return f"list of {_type(schema['items'])}"
    if kind == "object":
        values = schema.get("additionalProperties")
        return f"object of {_type(values)}" if isinstance(values, dict) else "object"
    return escape(str(schema.get("format", kind))) + _limits(schema)


def _limits(schema: Schema) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None and high < _LARGE:
        return f" {low} to {high}"
    return f" from {low}" if low is not None else ""


def _text(text: str) -> str:
    return re.sub("`([^`]*)`", r"<code>\1</code>", escape(text))


def _json(value: Any) -> str:
    return f'<pre tabindex="0">{escape(_lines(value, 0))}</pre>'


def _lines(value: Any, indent: int) -> str:
    """Write JSON with a line for each member, where one line does not hold all of them."""
    line = json.dumps(value, ensure_ascii=False)
    if indent + len(line) <= _LINE or not isinstance(value, (dict, list)):
        return line
    inner = " " * (indent + 2)
    if isinstance(value, dict):
        members = [f"{json.dumps(name)}: {_lines(member, indent + 2)}" for name, member in value.items()]
    else:
        members = [_lines(member, indent + 2) for member in value]
    start, end = "{}" if isinstance(value, dict) else "[]"
    return f"{start}\n{inner}" + f",\n{inner}".join(members) + f"\n{' ' * indent}{end}"
