"""The most used amounts of each segment of the published table."""

from pg8000.native import Connection

from functions.common.ranking import Ranking

_READ = """
    SELECT country_code, segment_name, segment_type, array_agg(voucher_amount ORDER BY voucher_amount),
           max(count), CAST(max(vouchers) AS bigint)
    FROM (
        SELECT *, rank() OVER (segment ORDER BY count DESC) AS place, sum(count) OVER segment AS vouchers
        FROM voucher_customer.voucher_segments
        WINDOW segment AS (PARTITION BY country_code, segment_name, segment_type)
    ) AS placed
    WHERE place = 1
    GROUP BY country_code, segment_name, segment_type
    ORDER BY country_code, segment_name, min(min_range)
"""


def read_rankings(connection: Connection) -> list[Ranking]:
    """Return the rankings of the published table, by country, family and range."""
    return [Ranking(*row) for row in connection.run(_READ)]
