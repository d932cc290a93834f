"""Losses: which countries have far fewer records than at the previous publication."""

from collections.abc import Sequence

from pg8000.native import Connection

from functions.common.families import Family
from functions.common.ranking import share

# By any dimension each country has the same records, unless refused objects lack it.
_READ = """
    SELECT country_code, before.records, CAST(coalesce(after.records, 0) AS bigint)
    FROM voucher_customer.country_records AS before
    LEFT JOIN (
        SELECT country_code, sum(count) AS records FROM voucher_customer.usage_totals
        WHERE dimension = :dimension GROUP BY country_code
    ) AS after USING (country_code)
    WHERE coalesce(after.records, 0) < before.records
    ORDER BY country_code
"""

_KEEP = """
    INSERT INTO voucher_customer.country_records (country_code, records)
    SELECT country_code, sum(count) FROM voucher_customer.usage_totals
    WHERE dimension = :dimension GROUP BY country_code
"""


def keep_records(connection: Connection, families: Sequence[Family], max_lost_share: float) -> dict[str, float]:
    """Keep the number of records of each country; return the countries that lost too many, each with its lost share."""
    if not families:
        return {}
    dimension = str(families[0].dimension)
    fewer = connection.run(_READ, dimension=dimension)
    connection.run("DELETE FROM voucher_customer.country_records")
    connection.run(_KEEP, dimension=dimension)
    lost = ((country, before - after, before) for country, before, after in fewer)
    return {country: share(rows, before) for country, rows, before in lost if rows / before > max_lost_share}
