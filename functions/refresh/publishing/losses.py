"""Losses: which countries have far fewer records than at the previous publication."""

from pg8000.native import Connection

from functions.common.database import array_literal
from functions.common.ranking import share
from functions.refresh.publishing.countries import RECORDS

_READ = f"""
    SELECT country_code, coalesce(before.records, 0), coalesce(after.records, 0)
    FROM voucher_customer.country_records AS before FULL JOIN ({RECORDS}) AS after USING (country_code)
    ORDER BY country_code
"""  # noqa: S608 - made of constants

_KEEP = """
    INSERT INTO voucher_customer.country_records (country_code, records)
    SELECT * FROM unnest(CAST(:countries AS text[]), CAST(:records AS bigint[]))
"""


def keep_records(connection: Connection, max_lost_share: float) -> dict[str, float]:
    """Keep the number of records of each country; return the countries that lost too many, each with its lost share."""
    countries = connection.run(_READ)
    kept = {country: after for country, _, after in countries if after}
    connection.run("DELETE FROM voucher_customer.country_records")
    connection.run(_KEEP, countries=array_literal(list(kept)), records=array_literal(list(kept.values())))
    lost = ((country, before - after, before) for country, before, after in countries if after < before)
    return {country: share(rows, before) for country, rows, before in lost if rows / before > max_lost_share}
