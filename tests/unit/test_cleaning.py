"""Cleaning: the short ways say what the long ones would."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.refresh.cleaning import SMALL, as_distinct, as_small_numbers, clean

# So many that they are cut down to their days first.
MANY = [f"2019-01-01 {hour:02}:{minute:02}:00" for hour in range(24) for minute in range(60)]

DIGITS = st.integers(0, 99).map("{:02}".format)
MOMENTS = st.builds(
    "{}{}-{}-{}{}{}:{}:{}{}{}".format,
    DIGITS, DIGITS, DIGITS, DIGITS,
    st.sampled_from([" ", "T", "t", "", "  "]),
    DIGITS, DIGITS, DIGITS,
    st.sampled_from(["", ".5", ".123456", ".123456789", ",5", "."]),
    st.sampled_from(["", "Z", "z", "+00:00", "+00", "+0000", "-00:00", "+01:00", "-05:00", " UTC"]),
)  # fmt: skip
REAL_MOMENTS = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)).flatmap(
    lambda moment: st.sampled_from([str(moment), f"{moment}+00:00", moment.isoformat() + "Z", f"{moment}-05:00"])
)


def meanings(values: list[Any], kind: pa.DataType, name: str) -> list[Any]:
    """Return what each value means, by way of the dictionary."""
    distinct = as_distinct(pa.array(values, kind), name)
    cleaned = clean(distinct.dictionary, name)
    return [cleaned[index] for index in distinct.indices.to_pylist()]


@settings(deadline=None)
@given(st.lists(MOMENTS | REAL_MOMENTS | st.text(max_size=12), min_size=1, max_size=20))
def test_of_many_moments_each_means_the_day_that_it_means_alone(moments: list[str]) -> None:
    alone = [meanings([moment], pa.string(), "last_order_ts")[0] for moment in moments]
    assert meanings([*moments, *MANY], pa.string(), "last_order_ts")[: len(moments)] == alone


def test_many_moments_of_few_days_are_few_values() -> None:
    assert len(as_distinct(pa.array(MANY), "last_order_ts").dictionary) == 1


@settings(deadline=None)
@given(st.lists(st.floats() | st.integers(0, 70_000).map(float) | st.none(), max_size=20))
def test_small_numbers_mean_themselves(values: list[float | None]) -> None:
    column = pa.array(values, pa.float64())
    small = as_small_numbers(column)
    if small is not None:
        assert small.tolist() == [
            meanings([value], pa.float64(), "voucher_amount")[0] if value is not None else SMALL for value in values
        ]


@pytest.mark.parametrize("value", [-1.0, 0.5, 65_536.0, 1e300, float("nan"), float("inf"), float("-inf")])
def test_one_number_that_is_not_small_and_whole_sends_its_batch_the_long_way(value: float) -> None:
    assert as_small_numbers(pa.array([1.0, value])) is None


@pytest.mark.parametrize("kind", [pa.timestamp("s"), pa.timestamp("ns", "UTC"), pa.date32(), pa.date64()])
def test_moments_of_any_unit_are_small_days(kind: pa.DataType) -> None:
    day = datetime(2020, 1, 6, tzinfo=UTC)
    moments = pa.array([day.replace(tzinfo=None), (day + timedelta(days=1)).replace(tzinfo=None)]).cast(kind)
    small = as_small_numbers(moments)
    assert small is not None
    assert small.tolist() == [18267, 18268]
