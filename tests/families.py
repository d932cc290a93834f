"""The families that ship, which tests rely on, and families that a user adds, as docs/segments.md shows.

The checkout's own file, infra/sql/customer_segments.sql, is a user's to edit. So no test of behaviour may load it.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from functions.refresh.ledger import schema
from infra import ROOT
from tests.support import Published

SQL = ROOT / "tests" / "sql" / "customer_segments.sql"
"""The families that ship."""
OWN = ROOT / "infra" / "sql" / SQL.name
"""The checkout's own families: those that ship, and what a user added."""

TENURE, SILENCE = "tenure_segment", "silence_segment"

_RANGES = {
    TENURE: (("0-89", 0, 89), ("90-364", 90, 364), ("365-729", 365, 729), ("730+", 730, 99_999_999)),
    SILENCE: (
        ("0-29", 0, 29), ("30-60", 30, 60), ("61-90", 61, 90), ("91-120", 91, 120), ("121-179", 121, 179),
        ("180+", 180, 99_999_999),
    ),
}  # fmt: skip


def pin_families() -> None:
    """Let this process load the families that ship, whatever the checkout's own file holds."""
    schema.FAMILIES_FILE = SQL


def example() -> str:
    """Return the SQL that docs/segments.md appends."""
    [block] = re.findall(r"```sql\n(.*?)```", (ROOT / "docs" / "segments.md").read_text(), re.DOTALL)
    return str(block)


def append_example(file: Path) -> None:
    """Add the two families to a file of families, as a user would."""
    file.write_text(f"{SQL.read_text()}\n{example()}")


def recount_added(rows: Iterable[Mapping[str, Any]], as_of: date, countries: Iterable[str]) -> Published:
    """Count good rows one by one in the two families, in plain Python."""
    number: dict[str, Callable[[Mapping[str, Any]], int]] = {
        TENURE: lambda row: (as_of - _day(row["first_order_ts"])).days,
        SILENCE: lambda row: (_day(row["timestamp"]) - _day(row["last_order_ts"])).days,
    }
    countries = set(countries)
    table: Counter[tuple[str, str, str, int, int, int]] = Counter()
    for row in rows:
        if row["country_code"] not in countries:
            continue
        for name, ranges in _RANGES.items():
            days = number[name](row)
            for label, low, high in ranges:
                if low <= days <= high:
                    table[row["country_code"], name, label, low, high, int(row["voucher_amount"] or 0)] += 1
    return dict(table)


def _day(value: Any) -> date:
    return date.fromisoformat(str(value)[:10])
