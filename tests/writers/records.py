"""The records that every foreign file holds."""

import random
from datetime import datetime, timedelta
from typing import Any

# Spark's first and last days, Hive's and Impala's, and some around.
SENTINELS = [
    "0001-01-01", "1582-10-04", "1582-10-15", "1677-09-20", "1900-01-01", "1969-12-31", "2262-04-12", "9999-12-31"
]  # fmt: skip

_FIRST = datetime(2018, 1, 1)
_SECONDS = 900 * 86_400


def make_records(count: int = 120) -> list[dict[str, Any]]:
    """Return made-up voucher records, the same ones each time: nulls, ties and text that is no ASCII among them."""
    generator = random.Random(7)
    return [
        {
            "country_code": generator.choice(["Peru", "Perú", "Chile", "Bolivia"]),
            "last_order_ts": str(_FIRST + timedelta(seconds=generator.randrange(_SECONDS))),
            "total_orders": generator.choice([None, 0, 1, 2, 5, 9, 14, 20, 38, 60]),
            "voucher_amount": generator.choice([None, 0, 2640, 3520, 4400]),
        }
        for _ in range(count)
    ]
