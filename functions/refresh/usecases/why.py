"""Why: the latest changes of a segment's most used amounts, as they were kept."""

from datetime import datetime

import msgspec
from pg8000.native import Connection

from functions.common.database import Database
from functions.common.ranking import KeptChange
from functions.common.settings import NonEmpty
from functions.refresh.usecases.events import QuestionError

_MAX_CHANGES = 20

_SEGMENT = """
    (:segment IN (segment_name, segment_name || ' ' || segment_type)) AND (:country_code IN ('', country_code))
"""

_CHANGES = f"""
    SELECT CAST(coalesce(json_agg(found), '[]') AS text) FROM (
        SELECT changes.*, published_at
        FROM voucher_customer.ranking_changes AS changes JOIN voucher_customer.refreshes USING (refresh_id)
        WHERE {_SEGMENT}
        ORDER BY refresh_id DESC, country_code, segment_name, segment_type LIMIT :at_most
    ) AS found
"""  # noqa: S608 - made of constants

_IS_PUBLISHED = f"SELECT EXISTS (SELECT FROM voucher_customer.voucher_segments WHERE {_SEGMENT})"  # noqa: S608

_KNOWN = """
    SELECT DISTINCT segment_name || ' ' || segment_type FROM voucher_customer.customer_segments ORDER BY 1 LIMIT 50
"""


class WhyRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A family, or one of its segments such as `recency_segment 180+`; a country, or all where it is empty."""

    why: NonEmpty
    country_code: str = ""


class PublishedChange(KeptChange, frozen=True, kw_only=True):
    """A change with the time of its publication."""

    published_at: datetime


class Why(msgspec.Struct, frozen=True):
    """The latest changes, the last one first."""

    changes: list[PublishedChange]


def answer_why(database: Database, request: WhyRequest) -> Why:
    """Return the latest changes of a segment's most used amounts, with causes and objects.

    Raises
    ------
    QuestionError
        When there is no change of it, and nothing is published of it either.
    """
    with database.transaction() as connection:
        connection.run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        asked = {"segment": request.why, "country_code": request.country_code}
        [[found]] = connection.run(_CHANGES, **asked, at_most=_MAX_CHANGES)
        changes = msgspec.json.decode(found, type=list[PublishedChange])
        if not changes and connection.run(_IS_PUBLISHED, **asked) == [[False]]:
            raise QuestionError(_unknown(connection, request))
    return Why(changes)


def _unknown(connection: Connection, request: WhyRequest) -> str:
    of_country = f" in {request.country_code!r}" if request.country_code else ""
    known = ", ".join(name for (name,) in connection.run(_KNOWN)) or "nothing yet"
    return f"there is no segment {request.why!r} with vouchers{of_country}; published: {known}"
