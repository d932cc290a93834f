"""Doubt: how sure the first place of a segment is, beside exact computations that share no code with it."""

from decimal import ROUND_FLOOR, Decimal, localcontext
from fractions import Fraction
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.common.ranking import Ranking, drift, measure_doubt, rank

COUNTS = st.lists(st.integers(1, 2**63 - 1), min_size=1, max_size=8)


def exact_z(first: int, second: int) -> Decimal:
    with localcontext(prec=80):
        return Decimal(first - second) / Decimal(first + second).sqrt()


def sign_test(first: int, second: int) -> Fraction:
    """Return the exact two-sided probability of such a lead, or a larger one, where both amounts are used alike."""
    both = first + second
    tail = sum(comb(both, times) for times in range(first, both + 1))
    return min(Fraction(1), Fraction(2 * tail, 2**both))


def is_rounded(share: float, exact: Fraction) -> bool:
    """Whether a share is the exact one to four decimals; in the middle of two roundings either will do."""
    return abs(Fraction(str(share)) - exact) <= Fraction(1, 20_000) + Fraction(1, 10**12)


@given(COUNTS)
def test_z_is_that_of_an_exact_computation_and_agrees_with_its_limit(counts: list[int]) -> None:
    first, second = (*sorted(counts, reverse=True), 0)[:2]
    doubt = rank(enumerate(counts)).doubt
    exact = exact_z(first, second)
    assert doubt.lead == first - second
    assert Decimal(str(doubt.z)) == exact.quantize(Decimal("0.01"), ROUND_FLOOR)
    assert is_rounded(doubt.lead_share, Fraction(first - second, sum(counts)))
    assert doubt.decided == (exact >= Decimal("1.96") and first + second >= 30)


@pytest.mark.parametrize(
    ("vouchers", "at_most"), [(range(30, 100), 0.071), (range(100, 200), 0.062), (range(2000, 2010), 0.053)]
)
def test_a_decided_lead_comes_by_chance_in_about_one_case_of_twenty(vouchers: range, at_most: float) -> None:
    for both in vouchers:
        leads = [(first, both - first) for first in range((both + 1) // 2, both + 1)]
        smallest = next(number for number, pair in enumerate(leads) if measure_doubt(*pair, both).decided)
        # Whole vouchers make steps, and the normal distribution is not quite theirs: so the limit of 0.05 is blurred.
        assert sign_test(*leads[smallest]) <= Fraction(at_most)
        assert sign_test(*leads[smallest - 1]) > Fraction(0.05)


@pytest.mark.parametrize(
    ("first", "second", "decided"),
    [
        (29, 0, False),  # sure enough, and too few
        (30, 0, True),
        (21, 9, True),  # z is 2.19
        (20, 10, False),  # z is 1.82
        (15, 15, False),
        (4900 + 98, 4902, False),  # z is 0.96
        (5098, 4902, True),  # z is 1.96 to the last digit
        (5097, 4902, False),
    ],
)
def test_a_first_place_is_decided_from_the_limits_on(first: int, second: int, *, decided: bool) -> None:
    assert measure_doubt(first, second, first + second).decided is decided


def test_tied_amounts_have_no_lead_and_a_single_one_leads_over_nothing() -> None:
    assert rank([(2640, 50), (4400, 50), (3520, 1)]).doubt == measure_doubt(50, 50, 101)
    assert rank([(2640, 50)]).doubt == measure_doubt(50, 0, 50)


@given(COUNTS.flatmap(lambda counts: st.tuples(st.just(counts), st.permutations(counts))))
def test_doubt_depends_on_the_counts_alone_and_not_on_amounts_or_order(both: tuple[list[int], list[int]]) -> None:
    counts, shuffled = both
    assert rank(enumerate(shuffled, start=1000)).doubt == rank(enumerate(counts)).doubt


@given(COUNTS)
def test_one_more_voucher_of_the_most_used_amount_never_makes_it_less_sure(counts: list[int]) -> None:
    counts = sorted(counts, reverse=True)
    before, after = rank(enumerate(counts)).doubt, rank(enumerate([counts[0] + 1, *counts[1:]])).doubt
    assert (after.z, after.decided) >= (before.z, before.decided)
    assert after.lead == before.lead + 1


@given(COUNTS)
def test_a_kept_ranking_gives_the_doubt_that_was_published(counts: list[int]) -> None:
    ranked = rank(enumerate(counts))
    kept = Ranking("Peru", "family", "1+", [0], ranked.most_used.count, ranked.vouchers, ranked.doubt.lead)
    assert kept.doubt == ranked.doubt
    assert Ranking("Peru", "family", "1+", [0], ranked.most_used.count, ranked.vouchers).doubt is None


USAGE = st.dictionaries(st.integers(0, 4), st.integers(1, 1000), min_size=1)


@given(USAGE, USAGE)
def test_drift_is_half_the_sum_of_the_differences_of_shares(counts: dict[int, int], others: dict[int, int]) -> None:
    shares = [{amount: Fraction(used, sum(of.values())) for amount, used in of.items()} for of in (counts, others)]
    apart = sum(abs(shares[0].get(amount, Fraction(0)) - shares[1].get(amount, Fraction(0))) for amount in range(5))
    assert is_rounded(drift(counts, others), Fraction(apart, 2))
