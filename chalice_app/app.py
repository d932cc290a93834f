"""The lookup API: routes only, each a few lines over plain functions of `chalicelib`."""

import os
from collections.abc import Callable
from functools import cache, wraps
from typing import Any

import msgspec
from aws_lambda_powertools import Logger
from chalice.app import Chalice, ConvertToMiddleware, Request, Response

from chalicelib.customers import read_customer
from chalicelib.lookup import most_used_amounts
from chalicelib.problems import SERVED_ERRORS, MalformedError, problem_response
from chalicelib.published import read_publication
from functions.common.database import Database
from functions.common.settings import DatabaseSettings, load_settings

# Below the 29 s after which API Gateway gives up, with room for a second try at connecting.
_DATABASE_TIMEOUT_SECONDS = 5

# `curl -X GET -d '{...}'` labels JSON as a form unless told otherwise; the body is read as JSON all the same.
_CONTENT_TYPES = ["application/json", "application/x-www-form-urlencoded"]

logger = Logger(service="lookup")
app = Chalice(app_name="voucher-lookup")
app.register_middleware(ConvertToMiddleware(logger.inject_lambda_context))


@cache
def database() -> Database:
    """Return the process's connection, made on first use."""
    return Database(load_settings(DatabaseSettings, os.environ), timeout_seconds=_DATABASE_TIMEOUT_SECONDS)


def with_problems(view: Callable[[], Any]) -> Callable[[], Any]:
    """Answer the errors that a caller can meet with problem documents; any other is a 500, told to the log only."""

    @wraps(view)
    def answer() -> Any:
        try:
            return view()
        except SERVED_ERRORS as error:
            response = problem_response(error)
            if response.status_code >= 500:
                logger.exception("answered with a problem")
            return response

    return answer


@app.route("/")
def index() -> Response:
    """Tell that the API is there."""
    return Response("OK", headers={"Content-Type": "text/plain"})


@app.route("/health")
@with_problems
def health() -> dict[str, Any]:
    """Tell whether lookups can be answered, and how fresh they are."""
    publication = read_publication(database(), "")
    return {
        "status": "ok",
        "refresh_id": publication.refresh_id,
        "as_of": publication.as_of.isoformat(),
        "published_at": publication.published_at.isoformat(),
        "countries": publication.countries,
    }


@app.route("/voucher_amount", methods=["GET", "POST"], content_types=_CONTENT_TYPES)
@with_problems
def voucher_amount() -> dict[str, list[float]]:
    """Answer the most used voucher amounts of a customer's segment."""
    customer = read_customer(_fields(app.current_request))
    publication = read_publication(database(), customer.country_code)
    return {"voucher_amount": most_used_amounts(publication, customer)}


def _fields(request: Request | None) -> dict[str, Any]:
    """Take a request's fields from its JSON body, or from the query string where there is no body."""
    assert request is not None  # noqa: S101 - chalice sets it before it calls a route
    if not request.raw_body:
        return dict(request.query_params or {})
    try:
        fields = msgspec.json.decode(request.raw_body)
    except msgspec.DecodeError as error:
        raise MalformedError(f"the body is no JSON: {error}") from error
    if not isinstance(fields, dict):
        raise MalformedError("the body must be a JSON object")
    return fields
