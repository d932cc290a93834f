"""The sample: voucher records that give exactly the source system's published table.

The file behind that table is not public. This one has its rows, its types and its quirks: four countries,
orders as text such as "2.0" or "", amounts that are null, last orders after the voucher was sent, and an
index column that nobody needs. `python -m infra.sample.sample FILE` writes it.
"""

import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import csv

_SEED = 20200515
_PERU_DAYS = Path(__file__).with_name("peru_rows_by_last_order_day.csv")

_PERU_AMOUNTS = (0, 2640, 3520, 4400)
_PERU_FREQUENT = {
    (0, 4): (4543, 16496, 7758, 7402),
    (5, 13): (253, 4112, 1374, 1272),
    (14, 37): (1501, 11813, 4391, 4225),
    (38, 516): (7653, 16681, 8514, 8559),
}
"""Rows by orders, then by amount: the published table."""

_PERU_BLANK_ORDERS = 8_594
_SHARE_OF_BLANK_ORDERS = 0.08
_SHARE_OF_LATE_ORDERS = 0.08
_SECONDS_PER_DAY = 86_400


class Country(NamedTuple):
    """A country other than Peru, with the amounts that it uses for few and for many orders."""

    name: str
    rows: int
    null_amounts: int
    amounts: tuple[int, ...]
    shares_to_13_orders: tuple[float, ...]
    shares_from_14_orders: tuple[float, ...]


_OTHERS = (
    Country(
        "Australia", 134_004, 5_200, (1760, 2200, 3520, 5720, 11000),
        (0.07, 0.50, 0.06, 0.17, 0.20), (0.05, 0.21, 0.06, 0.44, 0.24),
    ),
    Country(
        "China", 169_722, 7_100, (1760, 3080, 4400, 5720, 8800),
        (0.55, 0.05, 0.14, 0.05, 0.21), (0.36, 0.06, 0.25, 0.07, 0.26),
    ),
    Country(
        "Latvia", 101_154, 3_413, (1540, 3080, 4400, 8800, 13200),
        (0.06, 0.05, 0.45, 0.15, 0.29), (0.05, 0.05, 0.28, 0.20, 0.42),
    ),
)  # fmt: skip

Integers = npt.NDArray[np.int64]


def make_sample() -> pa.Table:
    """Make the sample, the same at every call.

    Returns
    -------
    pyarrow.Table
        511,427 rows with the columns and types of the source's file.
    """
    random = np.random.default_rng(_SEED)
    days = csv.read_csv(_PERU_DAYS)
    day_numbers = days["last_order_day"].cast(pa.date32()).cast(pa.int32()).to_numpy().astype(np.int64)
    day_counts = days["rows"].to_numpy()

    parts = [_peru(random, np.repeat(day_numbers, day_counts))]
    for country in _OTHERS:
        chosen = random.choice(day_numbers, size=country.rows, p=day_counts / day_counts.sum())
        parts.append(_other(random, country, chosen))
    records = pa.concat_tables(parts)
    return _dress(random, records.take(random.permutation(records.num_rows)))


def _peru(random: np.random.Generator, last_order_days: Integers) -> pa.Table:
    order_parts: list[Integers] = []
    amount_parts: list[Integers] = []
    for (low, high), counts in _PERU_FREQUENT.items():
        for amount, count in zip(_PERU_AMOUNTS, counts, strict=True):
            order_parts.append(_orders_between(random, low, high, count))
            amount_parts.append(np.full(count, amount))
    orders, amounts = np.concatenate(order_parts), np.concatenate(amount_parts)
    # Blank means none, so blanks come from the first segment, which they must not leave.
    few = sum(_PERU_FREQUENT[(0, 4)])
    blank = np.zeros(len(orders), dtype=bool)
    blank[random.choice(few, size=_PERU_BLANK_ORDERS, replace=False)] = True
    # An amount of 0 in the published table was null in the file.
    return _records("Peru", random.permutation(last_order_days), orders, blank, amounts, amounts == 0)


def _other(random: np.random.Generator, country: Country, last_order_days: Integers) -> pa.Table:
    ranges = random.choice(4, size=country.rows, p=(0.45, 0.20, 0.20, 0.15))
    orders = np.empty(country.rows, dtype=np.int64)
    amounts = np.empty(country.rows, dtype=np.int64)
    for number, (low, high) in enumerate(_PERU_FREQUENT):
        where = ranges == number
        count = int(np.count_nonzero(where))
        orders[where] = _orders_between(random, low, high, count)
        shares = country.shares_to_13_orders if high <= 13 else country.shares_from_14_orders
        amounts[where] = random.choice(country.amounts, size=count, p=shares)
    blank = random.random(country.rows) < _SHARE_OF_BLANK_ORDERS
    null = np.zeros(country.rows, dtype=bool)
    null[random.choice(country.rows, size=country.null_amounts, replace=False)] = True
    return _records(country.name, last_order_days, orders, blank, amounts, null)


def _orders_between(random: np.random.Generator, low: int, high: int, count: int) -> Integers:
    """Draw orders, small ones more often; the highest is drawn at least once."""
    drawn = low + np.minimum(random.geometric(3 / (high - low + 1), size=count) - 1, high - low)
    drawn[:1] = high
    return drawn


def _records(
    country: str,
    days: Integers,
    orders: Integers,
    blank: npt.NDArray[np.bool_],
    amounts: Integers,
    null: npt.NDArray[np.bool_],
) -> pa.Table:
    numbers = pa.array([f"{number}.0" for number in range(int(np.max(orders)) + 1)])
    texts = pc.if_else(pa.array(blank), "", numbers.take(pa.array(orders)))
    return pa.table(
        {
            "country_code": pa.array([country]).take(pa.array(np.zeros(len(days), dtype=np.int64))),
            "last_order_day": days,
            "total_orders": texts,
            "voucher_amount": pa.array(amounts.astype(np.float64), mask=null),
        }
    )


def _dress(random: np.random.Generator, records: pa.Table) -> pa.Table:
    """Give the records the columns and the types of the source's file."""
    rows = records.num_rows
    last_order = records["last_order_day"].to_numpy() * _SECONDS_PER_DAY
    # A voucher is sent some days after the last order, in noisy rows before it.
    late = random.random(rows) < _SHARE_OF_LATE_ORDERS
    sent = last_order + np.where(late, -1, 1) * random.integers(_SECONDS_PER_DAY, 30 * _SECONDS_PER_DAY, size=rows)
    first_order = last_order - random.integers(0, 3 * 365, size=rows) * _SECONDS_PER_DAY
    moments = pa.array(sent * 1_000_000 + random.integers(1, 1_000_000, size=rows), pa.timestamp("us"))
    days = pa.array(last_order, pa.timestamp("s"))
    zone = pa.scalar("+00:00")
    return pa.table(
        {
            "index": pa.array(np.arange(rows)),
            "timestamp": pc.binary_join_element_wise(moments.cast(pa.string()), zone, ""),
            "country_code": records["country_code"],
            "last_order_ts": pc.binary_join_element_wise(days.cast(pa.string()), zone, ""),
            "first_order_ts": pa.array(first_order * 1_000_000_000, pa.timestamp("ns", "UTC")),
            "total_orders": records["total_orders"],
            "voucher_amount": records["voucher_amount"],
        }
    )


def write_sample(path: Path) -> None:
    """Write the sample as parquet: one row group, gzip, as the source's file."""
    table = make_sample()
    pq.write_table(table, path, compression="gzip", compression_level=1, row_group_size=table.num_rows)


if __name__ == "__main__":
    write_sample(Path(sys.argv[1]))
