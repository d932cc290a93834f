"""The answers of the API, typed: its description is made from them and their docstrings.

An answer has its fields in this order, without those that are `UNSET`.
"""

from datetime import date
from functools import cache
from typing import Annotated, Any, Literal, cast

from msgspec import UNSET, Meta, Struct, UnsetType, defstruct

from functions.common.fields import FieldProblem
from functions.common.ranking import Doubt, Place, Share, Unknown

Positive = Annotated[int, Meta(ge=1)]
Amounts = list[Annotated[float, Meta(ge=0)]]
Moment = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]

Level = Literal["segment", "family", "country"]
"""Where an answer comes from: the segment asked for, the customer's segment in another family, all of the country."""


class Health(Struct, frozen=True):
    """Whether lookups can be answered, and how fresh the answers are.

    Attributes
    ----------
    status : str
        `stale` while answers come from memory because the database cannot be reached.
    database : str
        Whether the database answered when it was last asked.
    as_of : date
        The day that days are counted to.
    published_at : str
        When the answers were published.
    age_seconds : int
        How long ago that is.
    refresh_id : int
        The refresh that published.
    countries : list of str
        Every country that is served.
    version : str
        The release that answers.
    commit : str
        The commit that is deployed, with `-dirty` if files differed from it; empty where it is not known.
    """

    status: Literal["ok", "stale"]
    database: Literal["reachable", "away"]
    as_of: date
    published_at: Moment
    age_seconds: int
    refresh_id: int
    countries: list[str]
    version: str
    commit: str


class MostUsed(Struct, frozen=True):
    """The most used amounts of a customer's segment.

    Attributes
    ----------
    voucher_amount : list of float
        Amounts with the highest count, lowest first; more than one when they are tied.
    level : str
        Where the answer comes from, with `fallback` only: the segment asked for, the customer's segment of another
        family, or all of the country.
    """

    voucher_amount: Annotated[Amounts, Meta(min_length=1)]
    level: Level | UnsetType = UNSET


class SegmentRange(Struct, frozen=True):
    """A segment: customers whose number is in its range, both ends included.

    Attributes
    ----------
    segment_name : str
        The family.
    segment_type : str
        The segment's label.
    min_range : int
        The lowest number that the segment covers.
    max_range : int
        The highest number that the segment covers; as shipped 99999999 where there is no limit.
    """

    segment_name: str
    segment_type: str
    min_range: int
    max_range: int


class Explanation(MostUsed, frozen=True, kw_only=True):
    """The most used amounts with all that led to them.

    Attributes
    ----------
    segment : SegmentRange or None
        The segment that answers; null where a whole country does.
    count : int
        How often each of the amounts was used.
    share : float
        The count as a share of the vouchers of the segment, or of the country that answers.
    runner_up : Place or None
        The amounts with the next lower count; null if there are none.
    doubt : Doubt
        How sure the most used amount is.
    unknown : Unknown or None
        Which shares of the segment's vouchers have an unknown amount or number; null where a whole country answers, and
        until all objects that an earlier release counted are counted again.
    number : int
        The customer's number in the dimension of the family that answers, by the dimension's own name.
    as_of : date
        The day that days are counted to.
    refresh_id : int
        The refresh that published.
    """

    segment: SegmentRange | None
    count: Positive
    share: Share
    runner_up: Place[float] | None
    doubt: Doubt
    unknown: Unknown | None
    number: int | UnsetType = UNSET
    as_of: date
    refresh_id: int


@cache
def explanation_of(number_name: str) -> type[Explanation]:
    """Return the explanations in which the customer's number has this name; made once, because lookups need it."""
    return cast(
        type[Explanation],
        defstruct(
            "FamilyExplanation", [("number", int)], bases=(Explanation,), rename={"number": number_name},
            frozen=True, kw_only=True,
        ),
    )  # fmt: skip


Reason = Literal["country_not_served", "no_segment", "no_voucher"]
"""Why there is no amount: the country is not served, no segment covers the customer, or nothing was used in it."""


class NoExplanation(Struct, frozen=True):
    """Why a family has no amount for the customer.

    Attributes
    ----------
    voucher_amount : list of float
        Empty.
    detail : str
        Why, for people.
    reason : str
        Why, for programs: no segment covers the customer, no voucher was used in it, or the country is not served.
    """

    voucher_amount: Annotated[Amounts, Meta(max_length=0)]
    detail: str
    reason: Reason


Explained = Explanation | dict[str, Explanation | NoExplanation]
"""The explanation of one family, or of every family by name."""


class CustomerProblem(Struct, frozen=True):
    """Why a customer of a batch has no amount.

    Attributes
    ----------
    status : int
        404 where the customer has no amount, 422 where fields are missing or wrong.
    detail : str
        With 404, why, for people.
    reason : str
        With 404, why, for programs: no segment covers the customer, no voucher was used in it, or the country is not
        served.
    errors : list of FieldProblem
        With 422, every field that is missing or wrong.
    """

    status: Literal[404, 422]
    detail: str | UnsetType = UNSET
    reason: Reason | UnsetType = UNSET
    errors: list[FieldProblem] | UnsetType = UNSET


class BatchResult(Struct, frozen=True):
    """The answer for one customer of a batch: amounts, or a problem.

    Attributes
    ----------
    customer_id : any
        As it was sent; left out if it was not.
    voucher_amount : list of float
        Amounts with the highest count, lowest first; more than one when they are tied.
    level : str
        Where the answer comes from, with `fallback` only.
    problem : CustomerProblem
        In place of amounts.
    """

    customer_id: Any = UNSET
    voucher_amount: Amounts | UnsetType = UNSET
    level: Level | UnsetType = UNSET
    problem: CustomerProblem | UnsetType = UNSET


class BatchResults(Struct, frozen=True):
    """The answers for a batch.

    Attributes
    ----------
    results : list of BatchResult
        One for each customer, in the order of the request.
    """

    results: list[BatchResult]


class AmountUse(Struct, frozen=True):
    """How often an amount was used.

    Attributes
    ----------
    voucher_amount : float
        The amount.
    count : int
        How many vouchers had it.
    """

    voucher_amount: Annotated[float, Meta(ge=0)]
    count: Positive


class SegmentCounts(Struct, frozen=True):
    """A segment with the counts of its amounts.

    Attributes
    ----------
    segment_type : str
        The segment's label.
    min_range : int
        The lowest number that the segment covers.
    max_range : int
        The highest number that the segment covers; as shipped 99999999 where there is no limit.
    voucher_amount : list of float
        Amounts with the highest count, lowest first; empty where no voucher was used.
    amounts : list of AmountUse
        Every amount that was used, lowest first.
    doubt : Doubt or None
        How sure the most used amount is; null where no voucher was used.
    unknown : Unknown or None
        Which shares of the segment's vouchers have an unknown amount or number; null where no voucher was used, and
        until all objects that an earlier release counted are counted again.
    """

    segment_type: str
    min_range: int
    max_range: int
    voucher_amount: Amounts
    amounts: list[AmountUse]
    doubt: Doubt | None
    unknown: Unknown | None


class FamilyDimension(Struct, frozen=True):
    """The dimension that a family divides into ranges, and the field that a lookup needs.

    Attributes
    ----------
    dimension : str
        As in `segment_families`: a column, `days_since(column)` or `days_between(column, column)`.
    field : str
        The field of a lookup: the number's column, or the first date's.
    """

    dimension: str
    field: str


class Segments(Struct, frozen=True):
    """Every family and segment of a country.

    Attributes
    ----------
    country_code : str
        The country, as it was asked for.
    as_of : date
        The day that days are counted to.
    refresh_id : int
        The refresh that published.
    families : dict
        The segments of each family, lowest range first.
    dimensions : dict
        The dimension of each family.
    """

    country_code: str
    as_of: date
    refresh_id: int
    families: dict[str, list[SegmentCounts]]
    dimensions: dict[str, FamilyDimension]
