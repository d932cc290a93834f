"""Histories: after any puts, overwrites and deletes, every answer equals a recount of the bucket."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.common.ranking import Ranking
from functions.refresh.publishing.rankings import read_rankings
from functions.refresh.results import Summary
from functions.refresh.usecases.refresh import Refresh
from functions.refresh.usecases.slices import SliceRequest, take_slice
from tests.functional.conftest import Pipeline
from tests.functional.test_slices import table
from tests.support import PREFIX, Published, created, daily, deleted, record, recount

AS_OF = date(2020, 12, 22)

RECORDS = st.lists(
    st.builds(
        record,
        country_code=st.sampled_from(["Peru", "China", "Latvia"]),
        total_orders=st.one_of(st.none(), st.just(""), st.integers(0, 50).map(lambda orders: f"{orders}.0")),
        voucher_amount=st.sampled_from([None, 0.0, 2640.0, 3520.0]),
        last_order_ts=st.dates(date(2020, 5, 1), date(2020, 12, 31)).map(lambda day: f"{day} 00:00:00+00:00"),
    ),
    min_size=1,
    max_size=8,
)
KEYS = st.sampled_from(["a", "b", "c"])
STEPS: st.SearchStrategy[list[tuple[str, str, list[dict[str, Any]]]]] = st.lists(
    st.one_of(
        st.tuples(st.just("put"), KEYS, RECORDS),
        st.tuples(st.just("delete"), KEYS, st.just([])),
        st.tuples(st.just("day"), KEYS, st.just([])),
    ),
    min_size=1,
    max_size=8,
)

_UNKNOWNS = """
    SELECT country_code, segment_name, segment_type, json_build_array(vouchers, unknown_amounts, unknown_numbers)
    FROM voucher_customer.segment_unknowns
"""

_LATEST_CHANGES = """
    SELECT DISTINCT ON (country_code, segment_name, segment_type) country_code, segment_name, segment_type, after
    FROM voucher_customer.ranking_changes ORDER BY country_code, segment_name, segment_type, refresh_id DESC
"""


@dataclass
class History:
    """A bucket that changes, and the function that gets only some of the events."""

    pipeline: Pipeline
    refresh: Refresh
    bucket: dict[str, list[dict[str, Any]]]
    today: date = AS_OF

    def take(self, action: str, name: str, rows: list[dict[str, Any]], *, is_heard: bool) -> None:
        key = f"{PREFIX}{name}.parquet"
        if action == "put":
            self.pipeline.put(f"{name}.parquet", rows)
            self.bucket[name] = rows
        elif action == "delete":
            self.pipeline.delete(key)
            self.bucket.pop(name, None)
        else:
            self.today += timedelta(days=17)
        if is_heard:
            self.hear((created if action == "put" else deleted)(key, day=str(self.today)))

    def hear(self, event: dict[str, Any]) -> Summary:
        return self.pipeline.refresh_with(self.refresh, event)

    def recount(self, keeps: Callable[[dict[str, Any]], bool] = lambda _: True) -> Published:
        rows = [row for rows in self.bucket.values() for row in rows if keeps(row)]
        return recount(rows, self.today, ["Peru", "China"])


def by_segment(table: Published) -> Counter[tuple[str, str, str]]:
    counts: Counter[tuple[str, str, str]] = Counter()
    for place, count in table.items():
        counts[place[:3]] += count
    return counts


def test_any_history_ends_in_a_recount_of_the_bucket(pipeline: Pipeline) -> None:
    """Events may be lost; the daily run at the end counts what they missed."""
    pipeline.environ["COUNTRIES"] = "Peru,China"
    refresh = pipeline.make()
    tables = pipeline.column(
        "SELECT tablename FROM pg_tables WHERE schemaname = 'voucher_customer' AND tablename <> 'migrations'"
    )

    @settings(max_examples=25, deadline=None)
    @given(steps=STEPS, heard=st.lists(st.booleans(), min_size=8, max_size=8))
    def check(steps: list[tuple[str, str, list[dict[str, Any]]]], heard: list[bool]) -> None:
        pipeline.sql.run(f"TRUNCATE {', '.join(f'voucher_customer.{name}' for name in tables)}")
        for key in "abc":
            pipeline.delete(f"{PREFIX}{key}.parquet")
        history = History(pipeline, refresh, {})
        for step, is_heard in zip(steps, heard, strict=False):
            history.take(*step, is_heard=is_heard)
        history.hear(daily(str(history.today)))
        published = pipeline.published()
        assert published == history.recount()
        # And so are the unknown values
        amounts = by_segment(history.recount(lambda row: row["voucher_amount"] is None))
        numbers = by_segment(history.recount(lambda row: row["total_orders"] in (None, "")))
        assert {tuple(place): counts for *place, counts in pipeline.sql.run(_UNKNOWNS)} == {
            place: [vouchers, amounts[place], numbers[place] if place[1] == "frequent_segment" else 0]
            for place, vouchers in by_segment(published).items()
        }
        # And the slice of everything is the publication, to which the slices of all objects add up
        assert table(take_slice(pipeline.database, SliceRequest(PREFIX))) == published
        slices = [table(take_slice(pipeline.database, SliceRequest(f"{PREFIX}{key}"))) for key in "abc"]
        assert sum(map(Counter, slices), Counter()) == published
        # And the last change of each segment led to what is most used now
        latest = {tuple(place): after for *place, after in pipeline.sql.run(_LATEST_CHANGES) if after}
        rankings = read_rankings(pipeline.sql)
        assert latest == {
            (one.country_code, one.segment_name, one.segment_type): one.voucher_amount for one in rankings
        }
        # And so does the history of the day
        kept = pipeline.column("SELECT rankings FROM voucher_customer.rankings ORDER BY as_of DESC LIMIT 1")
        assert msgspec.convert(kept, list[list[Ranking]]) == [rankings]

    check()
