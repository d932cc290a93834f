"""Cleaning: the short ways say what the long ones would."""

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.common.days import day_number, parse_day
from functions.common.dimensions import UNKNOWN
from functions.refresh.counting.cleaning import (
    DIRECT_CODE_LIMIT,
    ObjectError,
    Rejected,
    check_type,
    clean,
    dictionary_encode,
    try_direct_codes,
)
from tests.shipped import SHIPPED
from tests.text_dates import READ, REJECTED

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
    distinct = dictionary_encode(pa.array(values, kind), READ_AS[name])
    cleaned = clean(distinct.dictionary, name, READ_AS[name])
    return [cleaned[-1 if index is None else index] for index in distinct.indices.to_pylist()]


READ_AS = SHIPPED.columns
MOST = 2**63 - 1
FIRST_DAY, LAST_DAY = -719_162, 2_932_896


@pytest.mark.parametrize("name", ["total_orders", "voucher_amount"])
@pytest.mark.parametrize(
    ("values", "kind", "meant"),
    [
        (["2.0", " 2 ", "2e0", "0", "-0"], pa.string(), [2, 2, 2, 0, 0]),
        ([None, "", " ", "nan"], pa.large_string(), [UNKNOWN] * 4),
        ([None, float("nan"), 0.0, 2.0], pa.float64(), [UNKNOWN, UNKNOWN, 0, 2]),
        ([Decimal("2.00"), None], pa.decimal64(9, 2), [2, UNKNOWN]),
        ([MOST, MOST + 1], pa.uint64(), [MOST, "unreadable"]),
        (["1e999999999", "many", "-inf", "inf"], pa.string(), ["unreadable", "unreadable", "infinite", "infinite"]),
        ([-1, 1], pa.int8(), ["negative", 1]),
        ([-0.5, 0.5, 1e300], pa.float64(), ["negative", "fractional", "unreadable"]),
    ],
)
def test_numbers_mean_what_the_rules_say(name: str, values: list[Any], kind: pa.DataType, meant: list[Any]) -> None:
    expected = [Rejected(f"{name}_{meaning}") if isinstance(meaning, str) else meaning for meaning in meant]
    assert meanings(values, kind, name) == expected


@pytest.mark.parametrize(
    ("values", "kind", "meant"),
    [
        (["2020-01-06", " 2020-01-05T23:30:00-05:00"], pa.string(), [18267, 18267]),
        ([None, "", " "], pa.string(), ["missing"] * 3),
        (["soon", "2020-13-01"], pa.string_view(), ["unreadable"] * 2),
        (["0001-01-01", "9999-12-31", "9999-12-31 23:00-05:00"], pa.string(), [FIRST_DAY, LAST_DAY, "unreadable"]),
        ([FIRST_DAY, LAST_DAY], pa.date32(), [FIRST_DAY, LAST_DAY]),
        ([FIRST_DAY - 1, LAST_DAY + 1, None], pa.date32(), ["unreadable", "unreadable", "missing"]),
        ([-1, 86_399, 86_400, None], pa.timestamp("s"), [-1, 0, 1, "missing"]),
        ([-1, 86_399_999, 86_400_000], pa.timestamp("ms"), [-1, 0, 1]),
        ([-1, 86_399_999_999, 86_400_000_000], pa.timestamp("us"), [-1, 0, 1]),
        ([-1, 86_399_999_999_999, 86_400_000_000_000], pa.timestamp("ns", "America/Lima"), [-1, 0, 1]),
        ([-86_400_000, 86_400_000], pa.date64(), [-1, 1]),
    ],
)
def test_last_orders_mean_their_day(values: list[Any], kind: pa.DataType, meant: list[Any]) -> None:
    expected = [Rejected(f"last_order_ts_{meaning}") if isinstance(meaning, str) else meaning for meaning in meant]
    assert meanings(values, kind, "last_order_ts") == expected


@pytest.mark.parametrize(
    ("country", "fault"),
    [
        ("Peru", ""), (" Peru ", ""), ("x" * 100, ""), ("x" * 101, "unreadable"), ("Pe\0ru", "unreadable"),
        ("Pe\ufffdru", "unreadable"), (None, "blank"), ("", "blank"), (" ", "blank"),
    ],
)  # fmt: skip
def test_a_country_means_itself(country: str | None, fault: str) -> None:
    expected = Rejected(f"country_code_{fault}") if fault else country
    assert meanings([country], pa.string(), "country_code") == [expected]


@pytest.mark.parametrize("value", [pa.string(), pa.large_string(), pa.string_view()], ids=str)
@pytest.mark.parametrize("name", ["country_code", "last_order_ts", "total_orders", "voucher_amount"])
def test_every_column_is_read_from_text_and_from_nothing(name: str, value: pa.DataType) -> None:
    for kind in (value, pa.dictionary(pa.int32(), value), pa.null()):
        check_type(name, READ_AS[name], kind)


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (pa.int8(), ("total_orders", "voucher_amount")),
        (pa.float16(), ("total_orders", "voucher_amount")),
        (pa.decimal128(9, 2), ("total_orders", "voucher_amount")),
        (pa.timestamp("ns"), ("last_order_ts",)),
        (pa.date32(), ("last_order_ts",)),
        (pa.bool_(), ()),
        (pa.binary(), ()),
        (pa.time32("s"), ()),
    ],
    ids=str,
)
def test_numbers_and_moments_are_read_where_they_are_meant(kind: pa.DataType, names: tuple[str, ...]) -> None:
    for name in ("country_code", "last_order_ts", "total_orders", "voucher_amount"):
        if name in names:
            check_type(name, READ_AS[name], kind)
        else:
            with pytest.raises(ObjectError, match=re.escape(f"column {name} is of type {kind}; it can be read from")):
                check_type(name, READ_AS[name], kind)


@pytest.mark.parametrize(("index", "is_there"), [(0, True), (1, True), (2, False), (-1, False), (None, True)])
def test_a_value_outside_its_dictionary_is_found(index: int | None, is_there: bool) -> None:
    indices = pa.array([0, index], pa.int8())
    damaged = pa.DictionaryArray.from_arrays(indices, pa.array(["Peru", "China"]), safe=False)
    if is_there:
        assert dictionary_encode(damaged, "country") is damaged
    else:
        with pytest.raises(ObjectError, match="a value is not in its dictionary"):
            dictionary_encode(damaged, "country")


def test_text_that_is_not_utf_8_is_unreadable_and_other_values_are_not() -> None:
    texts = pa.array([b"7", b"\xb1\xff", None], pa.binary()).view(pa.string())
    cleaned = clean(dictionary_encode(texts, "country").dictionary, "country_code", "country")
    assert cleaned == ["7", Rejected("country_code_unreadable"), Rejected("country_code_blank")]


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (pa.int8(), [None, 0, 127]),
        (pa.uint16(), [None, 0, 65_535]),
        (pa.float16(), [None, 0, 65_504]),
        (pa.int32(), [None, 0, 65_535]),
        (pa.float32(), [None, 0, 65_535]),
        (pa.int64(), [65_535]),
        (pa.date32(), [None, 0, 65_535]),
        (pa.int64(), []),
    ],
    ids=str,
)
def test_a_null_among_small_numbers_is_distinguished_from_them(kind: pa.DataType, values: list[int | None]) -> None:
    small = try_direct_codes(pa.array(values, pa.int32()).cast(kind))
    assert small is not None
    assert small.tolist() == [DIRECT_CODE_LIMIT if value is None else value for value in values]


@pytest.mark.parametrize(
    "column",
    [
        pa.array([0.5, None], pa.float16()),
        pa.array([65_536, None], pa.int32()),
        pa.array([65_536], pa.uint32()),
        pa.array([2**32 + 1], pa.int64()),
        pa.array(["1"]),
        pa.array([Decimal(1)], pa.decimal128(9, 2)),
        pa.array([-1], pa.date32()),
    ],
    ids=lambda column: str(column.type),
)
def test_a_batch_of_other_than_small_numbers_needs_a_dictionary(column: pa.Array) -> None:
    assert try_direct_codes(column) is None


@settings(deadline=None)
@given(st.lists(MOMENTS | REAL_MOMENTS | st.text(max_size=12), min_size=1, max_size=20))
def test_of_many_moments_each_means_the_day_that_it_means_alone(moments: list[str]) -> None:
    alone = [meanings([moment], pa.string(), "last_order_ts")[0] for moment in moments]
    assert meanings([*moments, *MANY], pa.string(), "last_order_ts")[: len(moments)] == alone


@pytest.mark.parametrize("kind", [pa.string(), pa.string_view()], ids=str)
def test_many_moments_of_few_days_are_few_values(kind: pa.DataType) -> None:
    assert len(dictionary_encode(pa.array(MANY, kind), "date").dictionary) == 1


def test_among_many_moments_one_that_is_no_utf_8_is_unreadable_alone() -> None:
    moments = pa.array([*(text.encode() for text in MANY), b"\xb1\xff"]).view(pa.string())
    distinct = dictionary_encode(moments, "date").dictionary
    unreadable, missing = Rejected("last_order_ts_unreadable"), Rejected("last_order_ts_missing")
    assert clean(distinct, "last_order_ts", "date") == [*[17897] * len(MANY), unreadable, missing]


@settings(deadline=None)
@given(st.lists(st.floats() | st.integers(0, 70_000).map(float) | st.none(), max_size=20))
def test_small_numbers_mean_themselves(values: list[float | None]) -> None:
    column = pa.array(values, pa.float64())
    small = try_direct_codes(column)
    if small is not None:
        assert small.tolist() == [
            meanings([value], pa.float64(), "voucher_amount")[0] if value is not None else DIRECT_CODE_LIMIT
            for value in values
        ]


@pytest.mark.parametrize("value", [-1.0, 0.5, 65_536.0, 1e300, float("nan"), float("inf"), float("-inf")])
def test_one_number_that_is_not_small_and_whole_sends_its_batch_the_long_way(value: float) -> None:
    assert try_direct_codes(pa.array([1.0, value])) is None


@pytest.mark.parametrize("kind", [pa.timestamp("s"), pa.timestamp("ns", "UTC"), pa.date32(), pa.date64()])
def test_moments_of_any_unit_are_small_days(kind: pa.DataType) -> None:
    day = datetime(2020, 1, 6, tzinfo=UTC)
    moments = pa.array([day.replace(tzinfo=None), (day + timedelta(days=1)).replace(tzinfo=None)]).cast(kind)
    small = try_direct_codes(moments)
    assert small is not None
    assert small.tolist() == [18267, 18268]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()], ids=str)
def test_of_many_text_dates_each_means_its_day(kind: pa.DataType) -> None:
    texts = [*READ, *REJECTED]
    expected: list[Any] = [day_number(date.fromisoformat(day)) for day in READ.values()]
    expected += [Rejected(f"last_order_ts_{'unreadable' if text.strip() else 'missing'}") for text in REJECTED]
    assert meanings(texts, kind, "last_order_ts") == expected
    assert meanings([*texts, *MANY], kind, "last_order_ts")[: len(texts)] == expected
    # Where none names its day itself, too
    zoned = [f"{text}-05:00" for text in MANY]
    assert meanings(zoned, kind, "last_order_ts") == [17897] * 19 * 60 + [17898] * 5 * 60


@pytest.mark.parametrize("offset", ["+05:30", "-0530", "+05", " -05", "+00:00", "-00", "+14", " +23:59"])
def test_many_text_dates_with_an_offset_are_few_values(offset: str) -> None:
    texts = [f"{text}{offset}" for text in MANY]
    distinct = dictionary_encode(pa.array([None, *texts]), "date")
    assert len(distinct.dictionary) <= 2
    assert meanings(texts, pa.string(), "last_order_ts") == [day_number(parse_day(text)) for text in texts]
