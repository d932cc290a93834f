"""Completeness: which dimensions counted objects lack. A family is published once no object lacks its dimension."""

from typing import NamedTuple

from pg8000.native import Connection

from functions.common.dimensions import Dimensions


class Lacking(NamedTuple):
    """How many counted objects lack a dimension.

    Attributes
    ----------
    waiting : int
        Objects that are to be counted again.
    refused : int
        Objects that cannot be counted as they are now.
    """

    waiting: int
    refused: int


# Jumps in the index from one set of dimensions to the next: there are many entries but few sets.
_HAS_LACKING = """
    WITH RECURSIVE counted AS (
        (SELECT dimensions FROM voucher_customer.ledger WHERE etag IS NOT NULL ORDER BY dimensions LIMIT 1)
        UNION ALL
        SELECT (
            SELECT ledger.dimensions FROM voucher_customer.ledger
            WHERE etag IS NOT NULL AND ledger.dimensions > counted.dimensions ORDER BY ledger.dimensions LIMIT 1
        ) FROM counted WHERE counted.dimensions IS NOT NULL
    )
    SELECT EXISTS (SELECT FROM counted WHERE NOT dimensions @> CAST(:needed AS text[]))
"""

_COUNT_LACKING = """
    SELECT needed.dimension, count(*) FILTER (WHERE NOT is_refused), count(*) FILTER (WHERE is_refused)
    FROM (
        SELECT dimensions, refused_etag IS NOT NULL AND refused_dimensions <@ CAST(:needed AS text[]) AS is_refused
        FROM voucher_customer.ledger
        WHERE etag IS NOT NULL AND NOT dimensions @> CAST(:needed AS text[])
    ) AS lacking, unnest(CAST(:needed AS text[])) AS needed (dimension)
    WHERE needed.dimension <> ALL (dimensions)
    GROUP BY needed.dimension
"""

_FORGET_NEEDLESS_ERRORS = """
    UPDATE voucher_customer.ledger
    SET revision = revision + 1, error = NULL, refused_etag = NULL, refused_dimensions = '{}'
    WHERE refused_etag = etag AND dimensions @> CAST(:needed AS text[])
      AND NOT refused_dimensions <@ CAST(:needed AS text[])
"""


def count_lacking(connection: Connection, needed: Dimensions) -> dict[str, Lacking]:
    """Return for each needed dimension how many counted objects lack it, without dimensions that no object lacks."""
    names = needed.names
    [[has_lacking]] = connection.run(_HAS_LACKING, needed=names)
    if not has_lacking:
        return {}
    return {name: Lacking(*counts) for name, *counts in connection.run(_COUNT_LACKING, needed=names)}


def forget_needless_errors(connection: Connection, needed: Dimensions) -> None:
    """Remove errors of counted versions that concern only dimensions that no family needs any more."""
    connection.run(_FORGET_NEEDLESS_ERRORS, needed=needed.names)
