"""Answers, made from what is published."""

from datetime import date
from typing import Any

import msgspec

from chalicelib.customers import Customer, read_customer
from chalicelib.published import Publication, SegmentUse
from functions.common.families import Family, Segment
from functions.common.fields import FieldsError


class NoAnswerError(Exception):
    """There is no amount for this customer; the message says why, for people."""


def most_used_amounts(publication: Publication, customer: Customer) -> list[float]:
    """Return the amounts with the highest count in the customer's segment, lowest first.

    More than one amount when they are tied.

    Raises
    ------
    NoAnswerError
        When the country is not served, no segment covers the customer, or no voucher was used in the segment.
    """
    return _find(publication, customer)[2].ranked.most_used.voucher_amount


def explanation(publication: Publication, customer: Customer) -> dict[str, Any]:
    """Return the most used amounts with all that led to them.

    Raises
    ------
    NoAnswerError
        As `most_used_amounts`.
    """
    number, segment, use = _find(publication, customer)
    most_used, runner_up = use.ranked.most_used, use.ranked.runner_up
    return {
        "voucher_amount": most_used.voucher_amount,
        "segment": segment._asdict(),
        "count": most_used.count,
        "share": round(most_used.count / use.ranked.vouchers, 4),
        "runner_up": runner_up and msgspec.structs.asdict(runner_up),
        "doubt": use.ranked.doubt,
        customer.family.dimension.number_name: number,
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
        return explanation(publication, read_customer(publication.customers, values, today=today))
    answers: dict[str, Any] = {}
    for family in publication.families:
        customer = read_customer(publication.customers, {**values, "segment_name": family}, today=today)
        try:
            answers[family] = explanation(publication, customer)
        except NoAnswerError as error:
            answers[family] = {"voucher_amount": [], "detail": str(error)}
    return answers


def batch_result(publication: Publication, values: dict[str, Any], *, today: date) -> dict[str, Any]:
    """Answer one customer of a batch: the amounts, or the customer's own problem."""
    result = {"customer_id": values["customer_id"]} if "customer_id" in values else {}
    try:
        customer = read_customer(publication.customers, values, today=today)
        return {**result, "voucher_amount": most_used_amounts(publication, customer)}
    except FieldsError as error:
        return {**result, "problem": {"status": 422, "errors": [problem._asdict() for problem in error.problems]}}
    except NoAnswerError as error:
        return {**result, "problem": {"status": 404, "detail": str(error)}}


def segments_of(publication: Publication, country_code: str) -> dict[str, Any]:
    """Return every family and segment of a country with its counts and its most used amounts.

    With them the dimension of each family, and the field that a lookup of it needs.

    Raises
    ------
    NoAnswerError
        When the country is not served.
    """
    _check_served(publication, country_code)
    families = {
        name: [
            {
                "segment_type": segment.segment_type,
                "min_range": segment.min_range,
                "max_range": segment.max_range,
                "voucher_amount": use.ranked.most_used.voucher_amount if use else [],
                "amounts": [msgspec.structs.asdict(amount) for amount in use.amounts] if use else [],
                "doubt": use and use.ranked.doubt,
            }
            for segment in family.segments
            for use in [publication.uses.get((country_code, segment))]
        ]
        for name, family in publication.families.items()
    }
    return {
        "country_code": country_code,
        "as_of": publication.as_of.isoformat(),
        "refresh_id": publication.refresh_id,
        "families": families,
        "dimensions": {
            name: {"dimension": str(family.dimension), "field": family.dimension.field}
            for name, family in publication.families.items()
        },
    }


def _find(publication: Publication, customer: Customer) -> tuple[int, Segment, SegmentUse]:
    _check_served(publication, customer.country_code)
    family = customer.family
    number = family.dimension.number_of_customer(customer.value, publication.as_of)
    segment = family.covering(number)
    if segment is None:
        raise NoAnswerError(_why_not(family, number, publication.as_of))
    use = publication.uses.get((customer.country_code, segment))
    if use is None:
        raise NoAnswerError(f"no voucher was used in {family.segment_name} {segment.segment_type}")
    return number, segment, use


def _check_served(publication: Publication, country_code: str) -> None:
    if country_code not in publication.countries:
        served = ", ".join(publication.countries)
        raise NoAnswerError(f"country {country_code!r} is not served; served: {served}")


def _why_not(family: Family, number: int, as_of: date) -> str:
    label = family.dimension.labels[0]
    unit = "days"
    if family.dimension.kind == "number":
        customer = f"{number} {label}"
        unit = label
    elif number < 0:
        customer = f"{label} {-number} days after {as_of}, the day that is published"
    else:
        customer = f"{label} {number} days ago, as of {as_of}"
    first = family.segments[0].min_range
    if number < first:
        return f"{customer}: {family.segment_name} starts at {first} {unit}"
    return f"{customer}: no {family.segment_name} covers that"
