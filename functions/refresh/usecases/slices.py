"""Slices: the table of the objects under a prefix, from the ledger, beside that of another prefix."""

import msgspec
from pg8000.exceptions import DatabaseError
from pg8000.native import Connection

from functions.common.database import Database
from functions.common.ranking import drift
from functions.common.settings import NonEmpty
from functions.refresh.publishing.causes import read_basis
from functions.refresh.publishing.placing import Placed, place_totals
from functions.refresh.publishing.trial import CountedSegment, count_segments, describe_excess
from functions.refresh.usecases.events import QuestionError

# Shorter than the limit on every statement, so that the error says what to do.
_SECONDS = 50

_CANCELLED = "57014"

_OBJECTS = """
    SELECT count(*), CAST(coalesce(sum(rows_counted), 0) AS bigint) FROM voucher_customer.ledger
    WHERE etag IS NOT NULL AND starts_with(key, :prefix)
"""

# Counts are summed by value first, so that each value's segment is looked up once. MATERIALIZED keeps that a separate
# step: with the filter on countries in it, PostgreSQL expects few rows and sorts millions. Unnesting the arrays of an
# entry as columns of a SELECT takes half the time of unnesting them as a table.
_USED = """
    WITH counted AS MATERIALIZED (
        SELECT country_code, dimension, value, greatest(voucher_amount, 0) AS voucher_amount, sum(count) AS count
        FROM (
            SELECT unnest(usage_country_code) AS country_code, unnest(usage_dimension) AS dimension,
                   unnest(usage_value) AS value, unnest(usage_voucher_amount) AS voucher_amount,
                   unnest(usage_count) AS count
            FROM voucher_customer.ledger WHERE starts_with(key, :prefix)
        ) AS taken_apart
        WHERE :amount_is_used OR voucher_amount >= 0
        GROUP BY country_code, dimension, value, greatest(voucher_amount, 0)
    )
    TABLE counted
"""


class SliceRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The prefix of the objects to count, and the prefix of objects to compare them with; empty means none."""

    slice: NonEmpty
    against: str = ""


class SliceSegment(CountedSegment, frozen=True):
    """A segment, by the objects of a slice.

    Attributes
    ----------
    drift : float or None
        The share of vouchers that has other amounts than in the slice to compare with: 0 where shares are the same, 1
        where no amount is in both; None where that slice has no voucher in the segment, or there is none.
    """

    drift: float | None = None


class Slice(msgspec.Struct, frozen=True):
    """The table of the objects under a prefix: `objects` of them, with `rows_counted` rows."""

    prefix: str
    objects: int
    rows_counted: int
    segments: list[SliceSegment]


class SliceAnswer(msgspec.Struct, frozen=True):
    """A slice by the published rules and as of the published day, and the one to compare with, if there is one."""

    as_of: str
    slice: Slice
    against: Slice | None


def take_slice(database: Database, request: SliceRequest) -> SliceAnswer:
    """Return the table of the objects under a prefix, beside that of another; parquet is not read.

    Raises
    ------
    QuestionError
        When nothing is published, or the objects are too many for the time or their amounts for the answer.
    """
    with database.transaction() as connection:
        connection.run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        connection.run(f"SET LOCAL statement_timeout = '{_SECONDS}s'")
        # Room for a hash table of the distinct values, instead of sorting all counts. Parallel workers do not pay: they
        # would have to pass on every count.
        connection.run("SET LOCAL work_mem = '64MB'")
        connection.run("SET LOCAL max_parallel_workers_per_gather = 0")
        basis = read_basis(connection)
        if basis is None:
            raise QuestionError("nothing is published, so there are no rules to count by: run make refresh first")
        placed, _ = place_totals(connection, basis.families, basis.countries, basis.as_of, basis.unknowns)
        against = _read(connection, request.against, placed) if request.against else None
        asked = _read(connection, request.slice, placed)
    if against:
        asked = msgspec.structs.replace(asked, segments=_with_drift(asked, against))
    return SliceAnswer(basis.as_of.isoformat(), asked, against)


def _read(connection: Connection, prefix: str, placed: Placed) -> Slice:
    try:
        [[objects, rows]] = connection.run(_OBJECTS, prefix=prefix)
        segments = count_segments(connection, SliceSegment, _USED, prefix=prefix, **placed)
    except DatabaseError as error:
        if error.args[0].get("C") == _CANCELLED:
            what = f"the objects under {prefix!r} take more than {_SECONDS} s"
            raise QuestionError(f"{what}: name a longer prefix") from error
        raise
    if excess := describe_excess(segments):
        raise QuestionError(f"{prefix!r} has {excess}: name a longer prefix")
    return Slice(prefix, objects, rows, segments)


def _with_drift(found: Slice, against: Slice) -> list[SliceSegment]:
    others = {_place(segment): dict(segment.amounts) for segment in against.segments}
    return [
        msgspec.structs.replace(segment, drift=drift(dict(segment.amounts), others[_place(segment)]))
        if _place(segment) in others
        else segment
        for segment in found.segments
    ]


def _place(segment: SliceSegment) -> tuple[str, str, int]:
    return segment.country_code, segment.segment_name, segment.min_range
