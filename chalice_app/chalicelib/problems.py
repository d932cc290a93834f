"""Problem answers (RFC 9457), and the one table from error to answer."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Literal

import msgspec
from chalice.app import Response
from msgspec import UNSET, Struct, UnsetType
from pg8000.exceptions import Error as PostgresError

from chalicelib.answers import Reason
from chalicelib.lookup import NoAnswerError
from chalicelib.published import NothingPublishedError
from functions.common.database import DatabaseUnreachableError
from functions.common.fields import FieldProblem, FieldsError


class Problem(Struct, frozen=True):
    """Why a request was not answered, in the form of RFC 9457.

    Attributes
    ----------
    type : str
        Always `about:blank`: the status says which kind of problem it is.
    title : str
        The status in words.
    status : int
        The status as a number.
    detail : str
        Why, for people.
    reason : str
        With 404, why, for programs: no segment covers the customer, no voucher was used in it, or the country is not
        served.
    errors : list of FieldProblem
        With 422, every field that is missing or wrong.
    """

    type: Literal["about:blank"]
    title: str
    status: int
    detail: str
    reason: Reason | UnsetType = UNSET
    errors: list[FieldProblem] | UnsetType = UNSET


class GatewayProblem(Struct, frozen=True):
    """Why API Gateway answered in place of the API.

    Attributes
    ----------
    type : str
        Always `about:blank`: the status alone says which kind of problem it is.
    title : str
        API Gateway's own message.
    detail : str
        API Gateway's name of the kind of answer.
    """

    type: Literal["about:blank"]
    title: str
    detail: str


class MalformedError(Exception):
    """A request's body cannot be read; the message says why."""


class TooLargeError(Exception):
    """A request's body is too large; the message says how large it may be."""


STATUS_OF_ERROR: dict[type[Exception], HTTPStatus] = {
    MalformedError: HTTPStatus.BAD_REQUEST,
    TooLargeError: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    FieldsError: HTTPStatus.UNPROCESSABLE_ENTITY,
    NoAnswerError: HTTPStatus.NOT_FOUND,
    NothingPublishedError: HTTPStatus.SERVICE_UNAVAILABLE,
    DatabaseUnreachableError: HTTPStatus.SERVICE_UNAVAILABLE,
    PostgresError: HTTPStatus.SERVICE_UNAVAILABLE,
}

# The reasons of internal errors are for the log, not for the caller.
_DETAIL_OF_ERROR: dict[type[Exception], str] = {
    FieldsError: "fields are missing or wrong",
    NothingPublishedError: "nothing is published yet: ask again after the first refresh",
    DatabaseUnreachableError: "the database cannot be reached: ask again shortly",
    PostgresError: "the database did not answer as it should: ask again shortly",
}

# As RFC 9110 names them; Python before 3.13 has the names of its predecessor.
_TITLES = {
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "Content Too Large",
    HTTPStatus.UNPROCESSABLE_ENTITY: "Unprocessable Content",
}

SERVED_ERRORS = tuple(STATUS_OF_ERROR)


def title_of(status: HTTPStatus) -> str:
    """Return a status in words."""
    return _TITLES.get(status, status.phrase)


def problem_response(error: Exception) -> Response:
    """Answer an error of `SERVED_ERRORS` with a problem document.

    Parameters
    ----------
    error : Exception
        An instance of one of `SERVED_ERRORS`.

    Returns
    -------
    chalice.Response
        `application/problem+json`; with `reason` where there is no amount; for bad fields with `errors`, an entry of
        `field` and `detail` each.
    """
    kind = next(kind for kind in SERVED_ERRORS if isinstance(error, kind))
    return _respond(
        STATUS_OF_ERROR[kind],
        _DETAIL_OF_ERROR.get(kind) or str(error),
        reason=error.reason if isinstance(error, NoAnswerError) else UNSET,
        errors=error.problems if isinstance(error, FieldsError) else UNSET,
    )


def normalize_error(response: Response) -> Response:
    """Turn an error that Chalice answers by itself (wrong verb, media type, internal failure) into a problem document.

    Parameters
    ----------
    response : chalice.Response
        Any response; if it is not an error of Chalice's, it is returned unchanged.
    """
    body = response.body
    if response.status_code < HTTPStatus.BAD_REQUEST or not isinstance(body, dict) or "Message" not in body:
        return response
    return _respond(HTTPStatus(response.status_code), body["Message"], dict(response.headers))


def _respond(
    status: HTTPStatus,
    detail: str,
    headers: Mapping[str, Any] | None = None,
    *,
    reason: Reason | UnsetType = UNSET,
    errors: list[FieldProblem] | UnsetType = UNSET,
) -> Response:
    problem = Problem("about:blank", title_of(status), status.value, detail, reason, errors)
    kept = {name: value for name, value in (headers or {}).items() if name.lower() != "content-type"}
    kept["Content-Type"] = "application/problem+json"
    return Response(msgspec.to_builtins(problem), status_code=status.value, headers=kept)
