"""Codes: what a value means depends neither on its column's type nor on the values beside it."""

from collections import defaultdict
from collections.abc import Callable
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from functions.common.days import day_number
from functions.refresh.counting import cleaning
from functions.refresh.counting.cleaning import DIRECT_CODE_LIMIT
from functions.refresh.counting.encoding import ColumnEncoder
from tests.shipped import SHIPPED

# A column's type, and a value as such a column holds it.
Form = tuple[pa.DataType, Any]

EPOCH = datetime(1970, 1, 1)
FIRST_DAY, LAST_DAY = -719_162, 2_932_896

# Around the ends of what needs no dictionary, of what a float holds, and of what is a number at all.
EDGES = st.sampled_from([0, 10_000, DIRECT_CODE_LIMIT, 2**31, 2**53, 2**63])
WHOLE = st.integers(0, 70_000) | st.builds(int.__add__, EDGES, st.integers(-2, 2))
NUMBERS = st.none() | st.builds(lambda whole, part: whole + Decimal(part), WHOLE, st.sampled_from(["0", "0", "0.5"]))
DAYS = st.none() | st.integers(-2, 70_000) | st.integers(FIRST_DAY, LAST_DAY)


def forms_of_number(number: Decimal | None) -> list[Form]:
    """Return each way in which parquet can hold a number."""
    decimal = pa.decimal128(30, 2)
    kinds = [pa.int8(), pa.int32(), pa.int64(), pa.uint64(), pa.float16(), pa.float32(), pa.float64()]
    if number is None:
        forms = [(kind, None) for kind in [*kinds, pa.string(), decimal]]
        return [*forms, (pa.string(), " "), (pa.string(), "nan"), (pa.float32(), np.nan), (pa.float64(), np.nan)]
    texts = [f" {number}", f"{number:e}"]
    return [(pa.string(), text) for text in texts] + [
        (kind, number) for kind in [*kinds, decimal] if holds(kind, number)
    ]


def holds(kind: pa.DataType, number: Decimal) -> bool:
    """Return whether a type holds a number exactly."""
    try:
        return bool(pa.scalar(raw(kind, number), kind).as_py() == number)
    except (OverflowError, pa.ArrowInvalid):
        return False


def raw(kind: pa.DataType, value: Any) -> Any:
    """Return a value as Arrow takes it for a type."""
    if isinstance(value, Decimal) and not pa.types.is_decimal(kind):
        if pa.types.is_integer(kind):
            return int(value)
        with np.errstate(over="ignore"):
            return np.dtype(kind.to_pandas_dtype()).type(value)
    return value


def forms_of_day(day: int | None) -> list[Form]:
    """Return each way in which parquet can hold a moment of a day."""
    kinds = [pa.date32(), pa.date64(), pa.timestamp("s"), pa.timestamp("ms", "UTC"), pa.timestamp("us")]
    if day is None:
        return [(kind, None) for kind in [*kinds, pa.string()]] + [(pa.string(), "")]
    first = EPOCH + timedelta(day)
    last = datetime.combine(first, time(23, 59, 59))
    if 1678 <= first.year <= 2261:
        kinds.append(pa.timestamp("ns", "America/Lima"))
    forms: list[Form] = [(pa.string(), first.isoformat()[:10]), (pa.string(), f"{last}Z")]
    return forms + [(kind, last.date() if pa.types.is_date(kind) else last) for kind in kinds]


def encoded(name: str, kind: pa.DataType, values: list[Any]) -> list[Any]:
    """Return what an encoder says of values, after it encoded the first of them in a batch of its own."""
    encoder = ColumnEncoder(name, SHIPPED.columns[name])
    column = pa.array([raw(kind, value) for value in values], kind)
    encoder.encode(column[:1])
    codes = encoder.encode(column).tolist()
    assert encoder.rejects or min(codes) >= 0
    # No date is unknown: the day number of 1969-12-31 only looks like it.
    unknown = None if SHIPPED.columns[name] == "date" else encoder.unknown
    return [
        encoder.reason(code) if code < 0 else (encoder.take(np.array([code]), pa.int64())[0].as_py(), code == unknown)
        for code in codes
    ]


def verdicts(name: str, values: list[list[Form]]) -> list[Any]:
    """Return what each value means, which has to be the same in every type, alone and among the others."""
    found: list[set[Any]] = [set() for _ in values]
    batches: defaultdict[pa.DataType, list[tuple[int, Any]]] = defaultdict(list)
    for place, forms in enumerate(values):
        for kind, value in forms:
            found[place].update(encoded(name, kind, [value]))
            batches[kind].append((place, value))
    for kind, members in batches.items():
        for (place, _), verdict in zip(members, encoded(name, kind, [value for _, value in members]), strict=True):
            found[place].add(verdict)
    return [verdict for [verdict] in found]


@settings(deadline=None, max_examples=40)
@given(st.lists(NUMBERS, min_size=1, max_size=4), st.sampled_from(["total_orders", "voucher_amount"]))
def test_a_number_means_the_same_in_every_type_alone_and_among_others(numbers: list[Decimal | None], name: str) -> None:
    for number, verdict in zip(numbers, verdicts(name, list(map(forms_of_number, numbers))), strict=True):
        if number is None:
            assert verdict == (-1, True)
        elif 0 <= number < 2**63 and number == int(number):
            assert verdict == (number, False)
        else:
            assert verdict.startswith(f"{name}_")


@settings(deadline=None, max_examples=40)
@example([-1])
@given(st.lists(DAYS, min_size=1, max_size=4))
def test_a_moment_means_the_same_day_in_every_type_alone_and_among_others(days: list[int | None]) -> None:
    due = ["last_order_ts_missing" if day is None else (day, False) for day in days]
    assert verdicts("last_order_ts", list(map(forms_of_day, days))) == due


@pytest.mark.parametrize(
    ("name", "limit", "forms_of"),
    [
        ("voucher_amount", 10_000, forms_of_number),
        ("total_orders", 516, forms_of_number),
        ("last_order_ts", day_number(datetime(2020, 5, 12)), forms_of_day),
    ],
)
@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(0, 70_000), min_size=1, max_size=4))
def test_a_rule_that_is_added_holds_in_every_type(
    name: str, limit: int, forms_of: Callable[[Any], list[Form]], numbers: list[int]
) -> None:
    read_as = SHIPPED.columns[name]
    rule = cleaning._RULES[read_as]

    def with_limit(value: Any) -> Any:
        meant = rule(value)
        if isinstance(meant, int) and meant > limit:
            raise cleaning._RejectedError("too_high")
        return meant

    values = [forms_of(Decimal(number) if forms_of is forms_of_number else number) for number in numbers]
    with pytest.MonkeyPatch.context() as changed:
        changed.setitem(cleaning._RULES, read_as, with_limit)
        due = [f"{name}_too_high" if number > limit else (number, False) for number in numbers]
        assert verdicts(name, values) == due
