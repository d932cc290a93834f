"""The most used amounts of each segment of the published table."""

from pg8000.native import Connection

from functions.common.ranking import Ranking, rank

# One JSON value for each segment, because pg8000 decodes rows field by field.
_READ = """
    SELECT country_code, segment_name, segment_type, json_agg(json_build_array(voucher_amount, count))
    FROM voucher_customer.voucher_segments
    GROUP BY country_code, segment_name, segment_type
    ORDER BY country_code, segment_name, min(min_range)
"""


def read_rankings(connection: Connection) -> list[Ranking]:
    """Return the rankings of the published table, by country, family and range."""
    return [_ranking(*row) for row in connection.run(_READ)]


def _ranking(country_code: str, segment_name: str, segment_type: str, counts: list[list[int]]) -> Ranking:
    ranked = rank((amount, count) for amount, count in counts)
    amounts, count = ranked.most_used.voucher_amount, ranked.most_used.count
    return Ranking(country_code, segment_name, segment_type, amounts, count, ranked.vouchers, ranked.doubt.lead)
