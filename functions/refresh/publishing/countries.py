"""The countries in the data, and those to publish."""

from collections.abc import Sequence

from pg8000.native import Connection

# By any dimension a country has the same records, unless refused objects lack the dimension.
RECORDS = """
    SELECT country_code, max(records) AS records FROM (
        SELECT country_code, CAST(sum(count) AS bigint) AS records
        FROM voucher_customer.usage_totals GROUP BY country_code, dimension
    ) AS by_dimension GROUP BY country_code
"""

_MISSING = """
    SELECT name FROM unnest(CAST(:countries AS text[])) AS name
    WHERE NOT EXISTS (SELECT FROM voucher_customer.usage_totals WHERE country_code = name)
"""

_COUNTED = "SELECT DISTINCT country_code FROM voucher_customer.usage_totals ORDER BY country_code LIMIT :at_most"

_MAX_NAMES = 20


def describe_missing(connection: Connection, countries: Sequence[str]) -> str:
    """Return which countries have no record, and which ones the data has; empty when none is missing or no data is."""
    missing = [name for (name,) in connection.run(_MISSING, countries=list(countries))]
    if not missing:
        return ""
    counted = [name for (name,) in connection.run(_COUNTED, at_most=_MAX_NAMES + 1)]
    if not counted:
        return ""
    return f"no record of {_listed(missing)}; the data has {_listed(counted)}"


def _listed(names: list[str]) -> str:
    more = " and others" if len(names) > _MAX_NAMES else ""
    return ", ".join(_shown(name) for name in names[:_MAX_NAMES]) + more


def _shown(name: str) -> str:
    """Return a name as it is, or quoted if it could be misread: commas, blanks around it, invisible characters."""
    return name if name.isprintable() and name == name.strip() and not set(",;\"'") & set(name) else repr(name)
