"""The lookup API: routes only, each a few lines over plain functions of `chalicelib`."""

import logging
import os
import time
from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import cache, wraps
from pathlib import Path
from typing import Any, cast, get_args

import msgspec
from aws_lambda_powertools import Logger
from chalice.app import Chalice, Request, Response

from chalicelib.answers import BatchResults, Explained, Health
from chalicelib.customers import Batch, Country, Flag, HistoryOfFamily, Latest
from chalicelib.history import read_history
from chalicelib.lookup import batch_result, lookup_or_explanations, segments_of
from chalicelib.problems import SERVED_ERRORS, MalformedError, TooLargeError, normalize_error, problem_response
from chalicelib.published import Publication, PublicationCache
from chalicelib.refreshes import read_refreshes
from chalicelib.request_log import SERVICE, log_request, request_ids
from chalicelib.settings import LookupSettings
from functions import __version__
from functions.common.database import Database
from functions.common.fields import FieldProblem, FieldsError, read_fields
from functions.common.settings import SettingsError, load_settings

# A silent server costs 5 s for a statement, 4 s for another connection and 5 s for signing in: less than the 20 s of
# the function's Timeout, at which Lambda would end the process, and the publication in its memory with it.
_DATABASE_TIMEOUT_SECONDS = 4

# A batch of a thousand customers takes a third of it.
_MAX_BODY_BYTES = 1_048_576

# How deep Python follows a nested body depends on its version; no field is deeper than three levels.
_MAX_LEVELS = 100

# `curl -X GET -d '{...}'` labels JSON as a form by default; the body is read as JSON anyway.
_CONTENT_TYPES = ["application/json", "application/x-www-form-urlencoded"]

_TOO_DEEP = f"the body is nested too deeply: at most {_MAX_LEVELS} levels are taken"

_READ = ["GET", "HEAD"]

_OPENAPI = Path(__file__).parent / "chalicelib" / "openapi.json"

# The logger of Powertools has the name that Chalice logs to, so that Chalice's errors are lines of JSON too.
logger = Logger(service=SERVICE)
app = Chalice(app_name=SERVICE, configure_logs=False)
# No answer here is binary. Chalice looks for each of its 23 binary types in every request otherwise, for 2 us.
app.api.binary_types = []

# Chalice keeps the request on the app, where threads of a local server would overwrite each other's.
_request: ContextVar[Request] = ContextVar("request")


def _add_request_ids(record: logging.LogRecord) -> bool:
    """Add the ids of the request to a line of log; setting them beforehand would cost every request 7 us."""
    if request := _request.get(None):
        vars(record).update(request_ids(request))
    return True


logger.addFilter(_add_request_ids)


@cache
def settings() -> LookupSettings:
    """Return the API's settings, read on first use."""
    return load_settings(LookupSettings, os.environ)


@cache
def database() -> Database:
    """Return the process's connection, made on first use."""
    return Database(settings(), timeout_seconds=_DATABASE_TIMEOUT_SECONDS)


@cache
def published() -> PublicationCache:
    """Return the process's cache of the publication, made on first use."""
    return PublicationCache(
        database(),
        check_seconds=settings().publication_check_seconds,
        stale_seconds=settings().publication_stale_seconds,
        monotonic=time.monotonic,
    )


def now() -> datetime:
    """Return the present moment."""
    return datetime.now(UTC)


@app.middleware("http")
def answer_in_one_form(request: Request, get_response: Callable[[Request], Response]) -> Response:
    """Give Chalice's own errors the form of the others, and leave a line of log."""
    started = time.perf_counter()
    _request.set(request)
    # An error in a view comes back as a response too.
    response = normalize_error(get_response(request))
    log_request(request, response.status_code, time.perf_counter() - started, _known())
    if request.method == "HEAD":
        response.body = ""
    return response


def with_problems(view: Callable[[], Any]) -> Callable[[], Any]:
    """Answer a caller's errors with problem documents; any other is a 500, whose reason is in the log only."""

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


@app.route("/", methods=_READ)
def index() -> Response:
    """Answer that the API is there."""
    return Response("OK", headers={"Content-Type": "text/plain"})


@app.route("/health", methods=_READ)
@with_problems
def health() -> Any:
    """Answer whether lookups can be answered, and how fresh the answers are."""
    publication = published().get()
    answer = Health(
        status="stale" if published().is_stale else "ok",
        database="away" if published().is_stale else "reachable",
        as_of=publication.as_of,
        published_at=publication.published_at.isoformat(),
        age_seconds=round((now() - publication.published_at).total_seconds()),
        refresh_id=publication.refresh_id,
        countries=publication.countries,
        version=__version__,
        commit=settings().commit,
    )
    return msgspec.to_builtins(answer)


@app.route("/voucher_amount", methods=[*_READ, "POST"], content_types=_CONTENT_TYPES)
@with_problems
def voucher_amount() -> Response:
    """Answer the most used amounts of a customer's segment.

    With `explain` the answer adds all that led to them and how sure they are; without `segment_name`, for every family.
    With `fallback` the answer comes from a wider level where the segment has none. Fields come as a JSON body or, on
    GET, as a query string.
    """
    body = _fields()
    flags = {name: value for name, value in _query().items() if name in get_args(Flag)}
    fields = {**flags, **body}
    today = now().date()
    return _published(lambda publication: lookup_or_explanations(publication, fields, today=today))


@app.route("/voucher_amounts", methods=["POST"], content_types=_CONTENT_TYPES)
@with_problems
def voucher_amounts() -> Response:
    """Answer up to 1,000 customers at once, in their order.

    Each has either amounts or a problem of its own.
    """
    batch = read_fields(Batch, _fields())
    today = now().date()
    return _published(
        lambda publication: BatchResults(
            [batch_result(publication, customer, today=today) for customer in batch.customers]
        )
    )


@app.route("/segments", methods=_READ)
@with_problems
def segments() -> Response:
    """Answer every segment of a country with the counts of its amounts, and how sure the most used one is."""
    country = read_fields(Country, _query())
    return _published(lambda publication: segments_of(publication, country.country_code))


@app.route("/history", methods=_READ)
@with_problems
def history() -> Response:
    """Answer the most used amounts of a family's segments by as-of day.

    The answer also says since when the latest amounts have been the most used ones, and why they changed.
    """
    asked = read_fields(HistoryOfFamily, _query())
    return _published(lambda publication: read_history(database(), publication, asked))


@app.route("/refreshes", methods=_READ)
@with_problems
def refreshes() -> Any:
    """Answer the latest runs of the refresh function, the last one first."""
    return msgspec.to_builtins(read_refreshes(database(), read_fields(Latest, _query()).limit))


@app.route("/openapi.json", methods=_READ)
def openapi() -> Response:
    """Answer this description, which test tools and generators of clients read."""
    return Response(_OPENAPI.read_text(), headers={"Content-Type": "application/json"})


def _known() -> Publication | None:
    try:
        return published().known
    except SettingsError:  # the answer reports it
        return None


def _query() -> dict[str, Any]:
    """Return the fields of the query string; a field that occurs twice is refused, because it has no single value."""
    query = _request.get().query_params
    if not query:
        return {}
    if twice := [name for name in query if len(query.getlist(name)) > 1]:
        raise FieldsError([FieldProblem(name, "occurs more than once") for name in twice])
    return dict(query)


def _fields() -> dict[str, Any]:
    """Take a request's fields from its JSON body, or from the query string where there is no body."""
    try:
        body = cast(bytes, _request.get().raw_body)  # a str only if it is empty
    except ValueError as error:  # not base64, or half of a surrogate pair
        raise MalformedError(f"the body cannot be decoded: {error}") from error
    if not body:
        return _query()
    if len(body) > _MAX_BODY_BYTES:
        raise TooLargeError(f"the body has {len(body):,} bytes: at most {_MAX_BODY_BYTES:,} are taken")
    try:
        fields = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedError(f"the body is not JSON: {error}") from error
    except RecursionError as error:
        raise MalformedError(_TOO_DEEP) from error
    if not isinstance(fields, dict):
        raise MalformedError("the body must be a JSON object")
    # Brackets are counted first: that takes a tenth of the time, and few bodies have that many.
    if body.count(b"{") + body.count(b"[") > _MAX_LEVELS and _is_too_deep(fields):
        raise MalformedError(_TOO_DEEP)
    return fields


def _is_too_deep(fields: dict[str, Any]) -> bool:
    level: list[Any] = [fields]
    for _ in range(_MAX_LEVELS):
        values = (value for found in level for value in (found.values() if isinstance(found, dict) else found))
        level = [value for value in values if isinstance(value, (dict, list))]
        if not level:
            return False
    return True


def _published(answer: Callable[[Publication], msgspec.Struct | Explained]) -> Response:
    """Answer from the publication, with headers that tie the answer to it."""
    publication = published().get()
    etag = publication.etag
    headers: dict[str, str | list[str]] = {
        "ETag": etag,
        "Cache-Control": f"private, max-age={settings().publication_check_seconds:.0f}",
    }
    if published().is_stale:
        headers["Voucher-Stale"] = "true"
    # Encoded here, because Chalice takes 2 us more for the shortest answer.
    body = msgspec.json.encode(answer(publication)).decode()
    if _request.get().method in _READ and etag in _request.get().headers.get("if-none-match", ""):
        return Response("", status_code=304, headers=headers)
    return Response(body, headers=headers)
