"""The responses that several operations share: errors, and an answer that did not change."""

from http import HTTPStatus
from typing import NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from chalicelib.answers import Reason
from chalicelib.problems import GatewayProblem, Problem, title_of
from functions.common.fields import FieldProblem
from infra.description.schemas import Schema, any_of, reference


class Refusal(NamedTuple):
    """An error.

    Attributes
    ----------
    name : str
        Its name among the shared responses.
    when : str
        When it comes.
    example : Problem or GatewayProblem
        An answer, of the form that the error has.
    is_also_of_gateway : bool
        Whether API Gateway may answer it in place of the API, in its own form.
    """

    name: str
    when: str
    example: Problem | GatewayProblem
    is_also_of_gateway: bool = False


def _refusal(
    status: int,
    name: str,
    when: str,
    detail: str,
    reason: Reason | UnsetType = UNSET,
    errors: list[FieldProblem] | UnsetType = UNSET,
    *,
    is_also_of_gateway: bool = False,
) -> dict[int, Refusal]:
    problem = Problem("about:blank", title_of(HTTPStatus(status)), status, detail, reason, errors)
    return {status: Refusal(name, when, problem, is_also_of_gateway)}


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
        "API Gateway found no valid signature or no key, or refuses the caller's address.",
        GatewayProblem("about:blank", "Missing Authentication Token", "MISSING_AUTHENTICATION_TOKEN"),
    ),
    **_refusal(
        404,
        "NoAnswer",
        "The country is not served, no segment covers the customer, or no voucher was used in it; `reason` says which.",
        "last order 12 days ago, as of 2020-12-22: recency_segment starts at 30 days",
        "no_segment",
    ),
    **_refusal(
        413,
        "TooLarge",
        "The body is over 1 MiB. API Gateway itself refuses one of over 10 MB.",
        "the body has 2,000,000 bytes: at most 1,048,576 are taken",
        is_also_of_gateway=True,
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
        errors=[FieldProblem("total_orders", "is missing")],
    ),
    429: Refusal(
        "TooManyRequests",
        "API Gateway was asked more often than `ApiRate` and `ApiBurst` allow.",
        GatewayProblem("about:blank", "Too Many Requests", "THROTTLED"),
    ),
    # https://docs.aws.amazon.com/lambda/latest/dg/services-apigateway-errors.html
    **_refusal(
        500,
        "Failed",
        "The API failed for a reason that is in its log, or API Gateway could not start it, because too many requests"
        " are answered at once. Ask again.",
        "An internal server error occurred.",
        is_also_of_gateway=True,
    ),
    502: Refusal(
        "Crashed",
        "The API ended without an answer that API Gateway could read. Ask again.",
        GatewayProblem("about:blank", "Internal server error", "DEFAULT_5XX"),
    ),
    **_refusal(
        503,
        "Unavailable",
        "Nothing is published yet, or the database has been away for too long.",
        "the database cannot be reached: ask again shortly",
    ),
    504: Refusal(
        "TimedOut",
        "The API did not answer in time. Ask again.",
        GatewayProblem("about:blank", "Endpoint request timed out", "INTEGRATION_TIMEOUT"),
    ),
}

NOT_MODIFIED = 304
ON_EVERY_ROUTE = (403, 415, 429, 500, 502, 504)


def shared_responses() -> dict[str, Schema]:
    """Return every shared response by its name."""
    unchanged = {"NotModified": {"description": "The answer is still that of the refresh in `If-None-Match`."}}
    return {refusal.name: _response(refusal) for refusal in _REFUSALS.values()} | unchanged


def _response(refusal: Refusal) -> Schema:
    form = reference(type(refusal.example).__name__)
    schema = any_of("AnyProblem", form, reference("GatewayProblem")) if refusal.is_also_of_gateway else form
    body = {"schema": schema, "example": msgspec.to_builtins(refusal.example)}
    return {"description": refusal.when, "content": {"application/problem+json": body}}


def response_of(status: int) -> Schema:
    """Refer to the shared response of a status."""
    name = "NotModified" if status == NOT_MODIFIED else _REFUSALS[status].name
    return {"$ref": f"#/components/responses/{name}"}
