"""Segments: one for each customer, and rules that contradict themselves are refused."""

from datetime import date

import pytest

from functions.common.days import day_number
from functions.common.families import Segment, SegmentRulesError, check_segments, covering_segment, segment_number

FEW = Segment("frequent_segment", "0-4", 0, 4)
MORE = Segment("frequent_segment", "5-13", 5, 13)
OLD = Segment("recency_segment", "180+", 180, 99999999)


def test_rules_are_ordered_by_family_and_range() -> None:
    assert check_segments([OLD, MORE, FEW]) == [FEW, MORE, OLD]


def test_rules_may_leave_gaps() -> None:
    wide = Segment("frequent_segment", "9+", 9, 99)
    assert check_segments([FEW, wide]) == [FEW, wide]
    assert covering_segment([FEW, wide], 7) is None


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ([], "no segment rule"),
        ([Segment("orders", "0-4", 0, 4)], r"orders 0-4 \(0-4\) is of no known family"),
        ([Segment("frequent_segment", "4-0", 4, 0)], r"frequent_segment 4-0 \(4-0\) runs backwards"),
        ([FEW, Segment("frequent_segment", "4-9", 4, 9)], r"0-4 \(0-4\) and frequent_segment 4-9 \(4-9\) overlap"),
        ([FEW, FEW], "overlap"),
        ([Segment("frequent_segment", "all", 0, 99), MORE], r"all \(0-99\) and frequent_segment 5-13 \(5-13\) overlap"),
    ],
)
def test_rules_that_contradict_themselves_are_refused_and_named(rules: list[Segment], says: str) -> None:
    with pytest.raises(SegmentRulesError, match=says):
        check_segments(rules)


def test_a_range_may_be_one_number() -> None:
    once = Segment("frequent_segment", "1", 1, 1)
    assert covering_segment(check_segments([once]), 1) == once


def test_equal_ranges_of_two_families_do_not_overlap() -> None:
    check_segments([FEW, Segment("recency_segment", "0-4", 0, 4)])


@pytest.mark.parametrize(("orders", "segment"), [(0, FEW), (4, FEW), (5, MORE), (13, MORE), (14, None), (-1, None)])
def test_both_ends_of_a_range_belong_to_it(orders: int, segment: Segment | None) -> None:
    assert covering_segment([FEW, MORE], orders) == segment


def test_recency_is_days_and_frequency_is_orders() -> None:
    as_of = date(2020, 12, 22)
    assert segment_number("recency_segment", day_number(date(2020, 12, 2)), as_of) == 20
    assert segment_number("frequent_segment", 20, as_of) == 20
