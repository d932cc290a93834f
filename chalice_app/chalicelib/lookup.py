"""Answers to lookups, made from the publication."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import date
from typing import Any, NamedTuple

from msgspec import UNSET, UnsetType

from chalicelib.answers import (
    BatchResult,
    CustomerProblem,
    Explained,
    Explanation,
    FamilyDimension,
    Level,
    MostUsed,
    NoExplanation,
    Reason,
    SegmentCounts,
    SegmentRange,
    Segments,
    explanation_of,
)
from chalicelib.customers import Customer, Flag, read_customer, read_flag
from chalicelib.published import Publication, SegmentUse
from functions.common.families import Family, Segment
from functions.common.fields import FieldProblem, FieldsError
from functions.common.ranking import share


class NoAnswerError(Exception):
    """There is no amount for this customer; the message says why, for people.

    Attributes
    ----------
    reason : Reason
        Why, for programs.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason: Reason = reason


class Answer(NamedTuple):
    """The segment or country that answers a lookup, and what was used in it.

    Attributes
    ----------
    use : SegmentUse
        What was used in it.
    family, number, segment : Family, int, Segment or None
        The segment, its family and the customer's number; not set where a whole country answers.
    level : Level
        Which level answers; set with `fallback` only.
    """

    use: SegmentUse
    family: Family | None = None
    number: int | UnsetType = UNSET
    segment: Segment | None = None
    level: Level | UnsetType = UNSET


def lookup_or_explanations(publication: Publication, values: Mapping[str, Any], *, today: date) -> MostUsed | Explained:
    """Return what `lookup_answer` returns, or with `explain` what `explanations` returns; raises what they raise."""
    if _read_flag(values, "explain", lambda: lookup_answer(publication, values, today=today)):
        return explanations(publication, values, today=today)
    return lookup_answer(publication, values, today=today)


def lookup_answer(publication: Publication, values: Mapping[str, Any], *, today: date) -> MostUsed:
    """Return the amounts with the highest count in the customer's segment, lowest first.

    More than one amount when they are tied. With `fallback` also the level that they come from.

    Raises
    ------
    FieldsError
        Naming every field that is missing or wrong.
    NoAnswerError
        When the country is not served, no segment covers the customer, or no voucher was used in the segment; with
        `fallback` only when the country is not served or has no voucher.
    """
    answer = _answer(publication, values, today=today)
    return MostUsed(answer.use.ranked.most_used.voucher_amount, answer.level)


def explanation(publication: Publication, values: Mapping[str, Any], *, today: date) -> Explanation:
    """Return the most used amounts with all that led to them.

    Raises
    ------
    FieldsError, NoAnswerError
        As `lookup_answer`.
    """
    answer = _answer(publication, values, today=today)
    ranked = answer.use.ranked
    kind = explanation_of(answer.family.dimension.number_name) if answer.family else Explanation
    return kind(
        voucher_amount=ranked.most_used.voucher_amount,
        level=answer.level,
        segment=SegmentRange(*answer.segment) if answer.segment else None,
        count=ranked.most_used.count,
        share=share(ranked.most_used.count, ranked.vouchers),
        runner_up=ranked.runner_up,
        doubt=ranked.doubt,
        unknown=publication.unknown(values["country_code"], answer.segment) if answer.segment else None,
        number=answer.number,
        as_of=publication.as_of,
        refresh_id=publication.refresh_id,
    )


def explanations(publication: Publication, values: Mapping[str, Any], *, today: date) -> Explained:
    """Return the explanation of each family, or of the one that `segment_name` names.

    Raises
    ------
    FieldsError
        Naming every field that is missing or wrong, without `segment_name` those of all families.
    NoAnswerError
        For the family that `segment_name` names. Without it, a family that has no answer has the reason in its place.
    """
    if "segment_name" in values:
        return explanation(publication, values, today=today)
    answers: dict[str, Explanation | NoExplanation] = {}
    problems: list[FieldProblem] = []
    for family in publication.families:
        try:
            answers[family] = explanation(publication, {**values, "segment_name": family}, today=today)
        except NoAnswerError as error:
            answers[family] = NoExplanation([], str(error), error.reason)
        except FieldsError as error:
            problems += (problem for problem in error.problems if problem not in problems)
    if problems:
        raise FieldsError(problems)
    return answers


def batch_result(publication: Publication, values: dict[str, Any], *, today: date) -> BatchResult:
    """Answer one customer of a batch: the amounts, or the customer's own problem."""
    customer_id = values.get("customer_id", UNSET)
    try:
        answer = lookup_answer(publication, values, today=today)
    except FieldsError as error:
        return BatchResult(customer_id, problem=CustomerProblem(422, errors=error.problems))
    except NoAnswerError as error:
        return BatchResult(customer_id, problem=CustomerProblem(404, str(error), error.reason))
    return BatchResult(customer_id, answer.voucher_amount, answer.level)


def segments_of(publication: Publication, country_code: str) -> Segments:
    """Return every family and segment of a country with its counts and its most used amounts.

    The answer also has the dimension of each family, and the field that a lookup of it needs.

    Raises
    ------
    NoAnswerError
        When the country is not served.
    """
    check_served(publication, country_code)
    families = publication.families
    return Segments(
        country_code=country_code,
        as_of=publication.as_of,
        refresh_id=publication.refresh_id,
        families={
            name: [_counts(publication, country_code, segment) for segment in family.segments]
            for name, family in families.items()
        },
        dimensions={
            name: FamilyDimension(str(family.dimension), family.dimension.field) for name, family in families.items()
        },
    )


def _counts(publication: Publication, country_code: str, segment: Segment) -> SegmentCounts:
    use = publication.uses.get((country_code, segment))
    return SegmentCounts(
        segment_type=segment.segment_type,
        min_range=segment.min_range,
        max_range=segment.max_range,
        voucher_amount=use.ranked.most_used.voucher_amount if use else [],
        amounts=use.amounts if use else [],
        doubt=use.ranked.doubt if use else None,
        unknown=publication.unknown(country_code, segment),
    )


def _read_flag(values: Mapping[str, Any], name: Flag, read_others: Callable[[], object]) -> bool:
    """Read a flag; if it is wrong, name the other fields that are wrong too."""
    try:
        return read_flag(values, name)
    except FieldsError as wrong:
        try:
            with suppress(NoAnswerError):
                read_others()
        except FieldsError as error:
            raise FieldsError([*error.problems, *wrong.problems]) from None
        raise


def _answer(publication: Publication, values: Mapping[str, Any], *, today: date) -> Answer:
    """Find the customer's segment; with `fallback`, else that of another family with most vouchers, or the country."""

    def read() -> Customer:
        return read_customer(publication.customers, values, today=today)

    has_fallback = _read_flag(values, "fallback", read)
    customer = read()
    if not has_fallback:
        return _find(publication, customer)
    try:
        return _find(publication, customer)._replace(level="segment")
    except NoAnswerError:
        others = list(_others(publication, values, today=today))
        if others:
            return max(others, key=lambda answer: answer.use.ranked.vouchers)
        if customer.country_code not in publication.uses_of_countries:
            raise
        return Answer(publication.uses_of_countries[customer.country_code], level="country")


def _others(publication: Publication, values: Mapping[str, Any], *, today: date) -> Iterator[Answer]:
    """Find the customer's segment in each family whose field is there and can be read."""
    for name in publication.families:
        with suppress(FieldsError, NoAnswerError):
            customer = read_customer(publication.customers, {**values, "segment_name": name}, today=today)
            yield _find(publication, customer)._replace(level="family")


def _find(publication: Publication, customer: Customer) -> Answer:
    check_served(publication, customer.country_code)
    family = customer.family
    number = family.dimension.number_of_customer(customer.value, publication.as_of)
    segment = family.covering(number)
    if segment is None:
        raise NoAnswerError("no_segment", _why_not(family, number, publication.as_of))
    use = publication.uses.get((customer.country_code, segment))
    if use is None:
        raise NoAnswerError("no_voucher", f"no voucher was used in {family.segment_name} {segment.segment_type}")
    return Answer(use, family, number, segment)


def check_served(publication: Publication, country_code: str) -> None:
    """Check that a country is served.

    Raises
    ------
    NoAnswerError
        When it is not.
    """
    if country_code not in publication.countries:
        served = ", ".join(publication.countries)
        raise NoAnswerError("country_not_served", f"country {country_code!r} is not served; served: {served}")


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
