"""The responses that several operations share: errors, and an answer that did not change."""

from http import HTTPStatus
from typing import NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from chalicelib.problems import GatewayProblem, Problem, title_of
from functions.common.fields import FieldProblem
from infra.description.schemas import Schema, reference


class Refusal(NamedTuple):
    """An error: its name, when it comes, and the answer as an example."""

    name: str
    when: str
    example: Problem | GatewayProblem


def _refusal(
    status: int, name: str, when: str, detail: str, errors: list[FieldProblem] | UnsetType = UNSET
) -> dict[int, Refusal]:
    problem = Problem("about:blank", title_of(HTTPStatus(status)), status, detail, errors)
    return {status: Refusal(name, when, problem)}


_REFUSALS: dict[int, Refusal] = {
    **_refusal(
        400,
        "Malformed",
        "The body is not a JSON object, or nested more than 100 levels deep.",
        "the body must be a JSON object",
    ),
    # On AWS alone, before a request reaches the app: `x-amazon-apigateway-gateway-responses` in template.yaml.
    403: Refusal(
        "Forbidden",
        "API Gateway found no valid signature, or no key.",
        GatewayProblem("about:blank", "Missing Authentication Token", "MISSING_AUTHENTICATION_TOKEN"),
    ),
    **_refusal(
        404,
        "NoAnswer",
        "The country is not served, no segment covers the customer, or no voucher was used in it.",
        "last order 12 days ago, as of 2020-12-22: recency_segment starts at 30 days",
    ),
    **_refusal(
        413,
        "TooLarge",
        "The body is over 1 MiB.",
        "the body has 2,000,000 bytes: at most 1,048,576 are taken",
    ),
    **_refusal(
        415,
        "UnsupportedMediaType",
        "The body is labelled as something other than JSON.",
        "Unsupported media type: text/xml",
    ),
    **_refusal(
        422,
        "BadFields",
        "Fields are missing, wrong, or occur more than once in the query string; `errors` names each.",
        "fields are missing or wrong",
        [FieldProblem("total_orders", "is missing")],
    ),
    429: Refusal(
        "TooManyRequests",
        "API Gateway was asked more often than `ApiRate` and `ApiBurst` allow.",
        GatewayProblem("about:blank", "Too Many Requests", "THROTTLED"),
    ),
    **_refusal(
        503,
        "Unavailable",
        "Nothing is published yet, or the database has been away for too long.",
        "the database cannot be reached: ask again shortly",
    ),
}

NOT_MODIFIED = 304
BY_GATEWAY = tuple(status for status, refusal in _REFUSALS.items() if isinstance(refusal.example, GatewayProblem))


def shared_responses() -> dict[str, Schema]:
    """Return every shared response by its name."""
    unchanged = {"NotModified": {"description": "The answer is still that of the refresh in `If-None-Match`."}}
    return {refusal.name: _response(refusal) for refusal in _REFUSALS.values()} | unchanged


def _response(refusal: Refusal) -> Schema:
    schema = reference(type(refusal.example).__name__)
    body = {"schema": schema, "example": msgspec.to_builtins(refusal.example)}
    return {"description": refusal.when, "content": {"application/problem+json": body}}


def response_of(status: int) -> Schema:
    """Refer to the shared response of a status."""
    name = "NotModified" if status == NOT_MODIFIED else _REFUSALS[status].name
    return {"$ref": f"#/components/responses/{name}"}
