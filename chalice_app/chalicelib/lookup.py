"""Answers, made from what is published."""

from datetime import date
from typing import Any

import msgspec

from chalicelib.customers import AnyCustomer, read_customer
from chalicelib.published import Publication, SegmentUse
from functions.common.families import DIMENSION_OF_FAMILY, RECENCY, Segment, covering_segment, segment_number
from functions.common.fields import FieldsError


class NoAnswerError(Exception):
    """There is no amount for this customer; the message says why, for people."""


def most_used_amounts(publication: Publication, customer: AnyCustomer) -> list[float]:
    """Return the amounts with the highest count in the customer's segment, lowest first.

    More than one amount when they are tied.

    Raises
    ------
    NoAnswerError
        When the country is not served, no segment covers the customer, or no voucher was used in the segment.
    """
    return _find(publication, customer)[2].most_used


def explanation(publication: Publication, customer: AnyCustomer) -> dict[str, Any]:
    """Return the most used amounts with all that led to them.

    Raises
    ------
    NoAnswerError
        As `most_used_amounts`.
    """
    number, segment, use = _find(publication, customer)
    total = sum(amount.count for amount in use.amounts)
    highest = max(amount.count for amount in use.amounts)
    others = [amount.count for amount in use.amounts if amount.count < highest]
    second = max(others, default=None)
    return {
        "voucher_amount": use.most_used,
        "segment": segment._asdict(),
        "count": highest,
        "share": round(highest / total, 4),
        "runner_up": None
        if second is None
        else {
            "voucher_amount": [amount.voucher_amount for amount in use.amounts if amount.count == second],
            "count": second,
        },
        "days_since_last_order" if customer.segment_name == RECENCY else "total_orders": number,
        "as_of": publication.as_of.isoformat(),
        "refresh_id": publication.refresh_id,
    }


def explanations(publication: Publication, values: dict[str, Any], *, today: date) -> dict[str, Any]:
    """Return the explanation of each family, or of the one that `segment_name` names.

    Raises
    ------
    FieldsError, NoAnswerError
        For the family that is named; where none is, a family without an answer says why in its place.
    """
    if "segment_name" in values:
        return explanation(publication, read_customer(values, today=today))
    answers: dict[str, Any] = {}
    for family in DIMENSION_OF_FAMILY:
        customer = read_customer({**values, "segment_name": family}, today=today)
        try:
            answers[family] = explanation(publication, customer)
        except NoAnswerError as error:
            answers[family] = {"voucher_amount": [], "detail": str(error)}
    return answers


def batch_result(publication: Publication, values: dict[str, Any], *, today: date) -> dict[str, Any]:
    """Answer one customer of a batch: the amounts, or the customer's own problem."""
    result = {"customer_id": values["customer_id"]} if "customer_id" in values else {}
    try:
        return {**result, "voucher_amount": most_used_amounts(publication, read_customer(values, today=today))}
    except FieldsError as error:
        return {**result, "problem": {"status": 422, "errors": [problem._asdict() for problem in error.problems]}}
    except NoAnswerError as error:
        return {**result, "problem": {"status": 404, "detail": str(error)}}


def segments_of(publication: Publication, country_code: str) -> dict[str, Any]:
    """Return every family and segment of a country with its counts and its most used amounts.

    Raises
    ------
    NoAnswerError
        When the country is not served.
    """
    _check_served(publication, country_code)
    nothing = SegmentUse([], [])
    families = {
        family: [
            {
                "segment_type": segment.segment_type,
                "min_range": segment.min_range,
                "max_range": segment.max_range,
                "voucher_amount": (use := publication.uses.get((country_code, segment), nothing)).most_used,
                "amounts": [msgspec.structs.asdict(amount) for amount in use.amounts],
            }
            for segment in segments
        ]
        for family, segments in publication.families.items()
    }
    as_of = publication.as_of.isoformat()
    return {"country_code": country_code, "as_of": as_of, "refresh_id": publication.refresh_id, "families": families}


def _find(publication: Publication, customer: AnyCustomer) -> tuple[int, Segment, SegmentUse]:
    _check_served(publication, customer.country_code)
    family = customer.segment_name
    number = segment_number(family, customer.value, publication.as_of)
    segment = covering_segment(publication.families.get(family, []), number)
    if segment is None:
        raise NoAnswerError(_why_not(publication, family, number))
    use = publication.uses.get((customer.country_code, segment))
    if use is None:
        raise NoAnswerError(f"no voucher was used in {family} {segment.segment_type}")
    return number, segment, use


def _check_served(publication: Publication, country_code: str) -> None:
    if country_code not in publication.countries:
        served = ", ".join(publication.countries)
        raise NoAnswerError(f"country {country_code!r} is not served; served: {served}")


def _why_not(publication: Publication, family: str, number: int) -> str:
    unit = "days" if family == RECENCY else "orders"
    as_of = publication.as_of
    if family != RECENCY:
        customer = f"{number} orders"
    elif number < 0:
        customer = f"last order {-number} days after {as_of}, the day that is published"
    else:
        customer = f"last order {number} days ago, as of {as_of}"
    segments = publication.families.get(family, [])
    if segments and number < segments[0].min_range:
        return f"{customer}: {family} starts at {segments[0].min_range} {unit}"
    return f"{customer}: no {family} covers that"
