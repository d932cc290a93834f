"""The answer to a lookup: the most used voucher amounts of a customer's segment."""

from chalicelib.customers import FrequentCustomer, RecencyCustomer
from chalicelib.published import Publication
from functions.common.segments import RECENCY, covering_segment, segment_number


class NoAnswerError(Exception):
    """There is no amount for this customer; the message says why, for people."""


def most_used_amounts(publication: Publication, customer: FrequentCustomer | RecencyCustomer) -> list[float]:
    """Return the amounts with the highest count in the customer's segment, lowest first.

    More than one amount when they are tied.

    Raises
    ------
    NoAnswerError
        When the country is not served, no segment covers the customer, or no voucher was used in the segment.
    """
    if customer.country_code not in publication.countries:
        raise NoAnswerError(
            f"country {customer.country_code!r} is not served; served: {', '.join(publication.countries)}"
        )
    family = customer.segment_name
    number = segment_number(family, customer.value, publication.as_of)
    segment = covering_segment(publication.segments, family, number)
    if segment is None:
        raise NoAnswerError(f"{_in_words(family, number, publication)}: no {family} covers that")
    amounts = publication.amounts.get((family, segment.min_range))
    if not amounts:
        raise NoAnswerError(f"no voucher was used in {family} {segment.segment_type}")
    highest = max(count for _, count in amounts)
    return sorted(float(amount) for amount, count in amounts if count == highest)


def _in_words(family: str, number: int, publication: Publication) -> str:
    if family == RECENCY:
        return f"last order {number} days before {publication.as_of}"
    return f"{number} orders"
