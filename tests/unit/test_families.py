"""Families: one segment for each customer, and rules that contradict themselves are refused."""

import pytest

from functions.common.families import Family, Segment, SegmentRulesError, check_families

FEW = Segment("frequent_segment", "0-4", 0, 4)
MORE = Segment("frequent_segment", "5-13", 5, 13)
OLD = Segment("recency_segment", "180+", 180, 99999999)
ORDERS = ("frequent_segment", "total_orders")
DAYS = ("recency_segment", "days_since(last_order_ts)")


def frequent(*segments: Segment) -> Family:
    [family] = check_families([ORDERS], segments)
    return family


def test_families_are_ordered_by_name_and_their_segments_by_range() -> None:
    few, old = check_families([DAYS, ORDERS], [OLD, MORE, FEW])
    assert (few.segment_name, str(few.dimension), few.segments) == (*ORDERS, [FEW, MORE])
    assert (old.segment_name, str(old.dimension), old.segments) == (*DAYS, [OLD])


def test_rules_may_leave_gaps() -> None:
    wide = Segment("frequent_segment", "9+", 9, 99)
    assert frequent(FEW, wide).covering(7) is None


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ([Segment("orders", "0-4", 0, 4)], r"orders 0-4 \(0-4\) belongs to no family: .* has frequent_segment"),
        ([Segment("frequent_segment", "4-0", 4, 0)], r"frequent_segment 4-0 \(4-0\) runs backwards"),
        ([FEW, Segment("frequent_segment", "4-9", 4, 9)], r"0-4 \(0-4\) and frequent_segment 4-9 \(4-9\) overlap"),
        ([FEW, FEW], "overlap"),
        ([FEW, MORE, Segment("frequent_segment", "9+", 9, 99)], r"5-13 \(5-13\) and frequent_segment 9\+ \(9-99\)"),
        ([Segment("frequent_segment", "all", 0, 99), MORE], r"all \(0-99\) and frequent_segment 5-13 \(5-13\) overlap"),
        (
            [FEW, Segment("frequent_segment", "0-4", 5, 13)],
            "frequent_segment has two ranges with the label 0-4: give each its own",
        ),
        ([], "frequent_segment has no range"),
    ],
)
def test_rules_that_contradict_themselves_are_refused_and_named(rules: list[Segment], says: str) -> None:
    with pytest.raises(SegmentRulesError, match=says):
        frequent(*rules)


@pytest.mark.parametrize(
    ("families", "says"),
    [
        ([ORDERS, ORDERS], "frequent_segment is twice in segment_families"),
        ([("frequent_segment", "days_sinse(x)")], r"frequent_segment: dimension 'days_sinse\(x\)' cannot be read"),
        ([("frequent_segment", "country_code")], "frequent_segment: dimension 'country_code' cannot be used"),
        (
            [ORDERS, ("tenure", "days_since(total_orders)")],
            "tenure: column total_orders cannot be read as a number and",
        ),
    ],
)
def test_families_that_cannot_be_used_are_refused_and_named(families: list[tuple[str, str]], says: str) -> None:
    with pytest.raises(SegmentRulesError, match=says):
        check_families(families, [FEW])


def test_a_range_may_be_one_number() -> None:
    once = Segment("frequent_segment", "1", 1, 1)
    assert frequent(once).covering(1) == once


def test_equal_ranges_of_two_families_do_not_overlap() -> None:
    check_families([ORDERS, DAYS], [FEW, Segment("recency_segment", "0-4", 0, 4)])


@pytest.mark.parametrize(("orders", "segment"), [(0, FEW), (4, FEW), (5, MORE), (13, MORE), (14, None), (-1, None)])
def test_both_ends_of_a_range_belong_to_it(orders: int, segment: Segment | None) -> None:
    assert frequent(FEW, MORE).covering(orders) == segment
