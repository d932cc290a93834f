"""Slices: the table of the objects under a prefix, from the ledger, exact under overwrites and deletes."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.common.ranking import drift
from functions.refresh.publishing import trial
from functions.refresh.usecases import slices
from functions.refresh.usecases.events import QuestionError
from functions.refresh.usecases.slices import SliceAnswer, SliceRequest, take_slice
from infra.sample.sample import make_sample
from tests.functional.conftest import Pipeline
from tests.support import Published, daily, record

COUNTS = st.dictionaries(st.integers(0, 9), st.integers(1, 2**40), min_size=1, max_size=6)


def table(answer: SliceAnswer) -> Published:
    return {
        (one.country_code, one.segment_name, one.segment_type, one.min_range, one.max_range, amount): count
        for one in answer.slice.segments
        for amount, count in one.amounts
    }


def test_a_slice_of_everything_is_the_publication(pipeline: Pipeline) -> None:
    sample = make_sample()
    for number in range(3):
        pipeline.put(f"{number}.parquet", sample.slice(number * 170_000, 170_000))
    pipeline.put("other.parquet", [record(country_code="China"), record(last_order_ts="2020-12-20")])
    pipeline.put("gone.parquet", [record(voucher_amount=1.0)])
    pipeline.refresh(daily())
    # When objects are overwritten and deleted
    pipeline.put("2.parquet", [record()])
    pipeline.delete("vouchers/gone.parquet")
    pipeline.refresh({"as_of": "2020-06-15"})
    answer = take_slice(pipeline.database, SliceRequest("vouchers/"))
    assert table(answer) == pipeline.published()
    assert (answer.as_of, answer.slice.objects, answer.against) == ("2020-06-15", 4, None)
    # Then the slices of the parts add up to it
    parts = [table(take_slice(pipeline.database, SliceRequest(f"vouchers/{name}"))) for name in ("0", "1", "2", "o")]
    summed = {place: sum(part.get(place, 0) for part in parts) for place in pipeline.published()}
    assert summed == pipeline.published()


def test_two_prefixes_are_compared_segment_by_segment(pipeline: Pipeline) -> None:
    pipeline.put("04/a.parquet", [record(), record(voucher_amount=4400.0)])
    pipeline.put("05/a.parquet", [record()] * 3 + [record(voucher_amount=4400.0), record(total_orders="7")])
    pipeline.refresh(daily())
    answer = take_slice(pipeline.database, SliceRequest("vouchers/05/", "vouchers/04/"))
    few, more, old = answer.slice.segments
    assert (few.segment_type, few.amounts, few.voucher_amount, few.vouchers) == (
        "0-4",
        [(2640, 3), (4400, 1)],
        [2640],
        4,
    )
    assert (few.drift, few.doubt.lead, few.doubt.decided) == (0.25, 2, False)
    assert (more.segment_type, more.drift) == ("5-13", None)
    assert old.drift == 0.3
    assert answer.against is not None
    assert [one.drift for one in answer.against.segments] == [None, None]
    # A prefix is taken as it is
    assert take_slice(pipeline.database, SliceRequest("vouchers/0_/")).slice.objects == 0


def test_a_slice_that_cannot_be_answered_says_what_to_ask(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline.make()
    with pytest.raises(QuestionError, match="nothing is published"):
        take_slice(pipeline.database, SliceRequest("vouchers/"))
    pipeline.put("a.parquet", [record(), record(voucher_amount=4400.0)])
    pipeline.refresh(daily())
    with monkeypatch.context() as small:
        small.setattr(trial, "MAX_CELLS", 3)
        with pytest.raises(
            QuestionError, match=r"'vouchers/' has 6 segments and amounts, an answer holds 3: name a longer"
        ):
            take_slice(pipeline.database, SliceRequest("vouchers/"))
    # Given a ledger whose entries take longer than a slice may
    slow = "CREATE FUNCTION voucher_customer.slow() RETURNS text[] LANGUAGE sql AS 'SELECT pg_sleep(9); SELECT NULL'"
    pipeline.sql.run(slow.replace("SELECT NULL", "SELECT CAST(NULL AS text[])"))
    pipeline.sql.run("ALTER TABLE voucher_customer.ledger RENAME TO ledger_itself")
    columns = "key, etag, rows_counted, usage_dimension, usage_value, usage_voucher_amount, usage_count"
    pipeline.sql.run(
        f"CREATE VIEW voucher_customer.ledger AS SELECT {columns}, voucher_customer.slow() AS usage_country_code"  # noqa: S608
        " FROM voucher_customer.ledger_itself"
    )
    monkeypatch.setattr(slices, "_SECONDS", 1)
    with pytest.raises(QuestionError, match="take more than 1 s: name a longer prefix"):
        take_slice(pipeline.database, SliceRequest("vouchers/"))


@given(COUNTS, COUNTS)
def test_drift_is_the_total_variation_distance(one: dict[int, int], other: dict[int, int]) -> None:
    def share(counts: dict[int, int], amount: int) -> Fraction:
        return Fraction(counts.get(amount, 0), sum(counts.values()))

    exact = sum((abs(share(one, amount) - share(other, amount)) for amount in {**one, **other}), Fraction(0)) / 2
    assert abs(Fraction(drift(one, other)) - exact) <= Fraction(1, 19_000)
    assert drift(one, other) == drift(other, one)
    assert drift(one, one) == 0
    assert drift(one, {amount: 3 * count for amount, count in one.items()}) == 0
