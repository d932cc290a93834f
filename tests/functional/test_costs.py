"""What a refresh costs, without a clock: requests to S3, bytes fetched, statements, rows touched."""

import io
import threading
from collections import Counter
from typing import Any

import boto3
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pg8000.native import Connection

from functions.refresh.usecases import walk
from infra.sample.sample import make_sample
from tests.functional.conftest import Pipeline
from tests.functional.test_backlog import Backlog
from tests.functional.test_verification import verify
from tests.shipped import COLUMNS
from tests.support import created, daily, record

# The latest page, and that of the day.
REPORT = {"PutObject": 2}


class Costs:
    """Counts what goes to S3 and to PostgreSQL."""

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        self.bytes_fetched = 0
        self.statements = 0

    def clear(self) -> None:
        self.requests.clear()
        self.bytes_fetched = self.statements = 0


@pytest.fixture
def costs(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Costs:
    costs = Costs()

    def answered(model: Any, parsed: dict[str, Any], **_: Any) -> None:
        costs.requests[model.name] += 1
        if model.name == "GetObject":
            costs.bytes_fetched += parsed["ContentLength"]

    assert boto3.DEFAULT_SESSION is not None
    boto3.DEFAULT_SESSION.events.register("after-call.s3", answered)
    run = Connection.run

    def counted_run(connection: Connection, sql: str, *arguments: Any, **named: Any) -> Any:
        costs.statements += 1
        return run(connection, sql, *arguments, **named)

    monkeypatch.setattr(Connection, "run", counted_run)
    return costs


def test_an_item_that_is_counted_already_costs_no_request(pipeline: Pipeline, costs: Costs) -> None:
    # Given an item of one object, which is counted
    pipeline.put("other.parquet", [record()])
    pipeline.refresh(daily())
    pipeline.put("a.parquet", [record()])
    backlog = Backlog(pipeline)
    _, [item] = backlog.plan()
    backlog.count_all([item])
    # When it comes again, then the ledger says so
    costs.clear()
    assert backlog.count(item).objects_skipped == 1
    assert costs.requests == {}


@pytest.mark.parametrize("is_bounded", [False, True])
def test_objects_are_read_at_once_as_far_as_there_is_room(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, is_bounded: bool
) -> None:
    # Given objects of which each waits for another one to be read, and a bound that each of them reaches
    if is_bounded:
        monkeypatch.setattr(walk, "_BYTES_AT_ONCE", 1)
    for name in "abcd":
        pipeline.put(f"{name}.parquet", [record()])
    two, met = threading.Barrier(2), []

    def meet() -> None:
        try:
            met.append(two.wait(0.2 if is_bounded else 30))
        except threading.BrokenBarrierError:
            two.reset()

    pipeline.before_reading(meet)
    # When they are counted, or verified, then they meet only where there is no bound
    assert pipeline.refresh(daily()).objects_counted == 4
    assert len(met) == (0 if is_bounded else 4)
    met.clear()
    assert verify(pipeline).objects_verified == 4
    assert len(met) == (0 if is_bounded else 4)


def test_an_event_of_a_small_object_costs_three_requests(pipeline: Pipeline, costs: Costs) -> None:
    key = pipeline.put("a.parquet", [record()])
    refresh = pipeline.make()
    costs.clear()
    pipeline.refresh_with(refresh, created(key))
    # To tell its version, to open that, and to fetch it whole: it is smaller than the end that is fetched first.
    assert costs.requests == {"HeadObject": 2, "GetObject": 1, **REPORT}


def test_a_daily_run_with_nothing_new_lists_and_publishes_whatever_the_number_of_objects(
    pipeline: Pipeline, costs: Costs
) -> None:
    statements = []
    for names in (["first"], [f"object-{number}" for number in range(30)]):
        for name in names:
            pipeline.put(f"{name}.parquet", [record()])
        refresh = pipeline.make()
        pipeline.refresh_with(refresh, daily("2020-12-22"))
        costs.clear()
        pipeline.refresh_with(refresh, daily("2020-12-22"))
        assert costs.requests == {"ListObjectsV2": 1, **REPORT}
        statements.append(costs.statements)
    assert statements[0] == statements[1]


def test_a_daily_run_asks_nothing_twice_of_what_the_listing_told(pipeline: Pipeline, costs: Costs) -> None:
    # Without a record of a country, a run asks which countries there are.
    pipeline.put("first.parquet", [record()])
    refresh = pipeline.make()
    pipeline.refresh_with(refresh, daily("2020-12-22"))
    costs.clear()
    pipeline.refresh_with(refresh, daily("2020-12-22"))
    nothing_new = costs.statements
    for name in "abc":
        pipeline.put(f"{name}.parquet", [record()])
    costs.clear()
    pipeline.refresh_with(refresh, daily("2020-12-22"))
    assert costs.requests == {"ListObjectsV2": 1, "HeadObject": 3, "GetObject": 3, **REPORT}
    # For each: BEGIN, the lock, whether the entry is unchanged, totals, entry, COMMIT.
    assert costs.statements == nothing_new + 3 * 6


@pytest.mark.parametrize(("times", "row_group_rows"), [(1, 100_000), (2, 2_000_000)], ids=["narrow gap", "wide gap"])
def test_only_the_needed_columns_are_fetched_and_narrow_gaps_between_them(
    pipeline: Pipeline, costs: Costs, times: int, row_group_rows: int
) -> None:
    """A gap is what nobody needs between needed columns: up to a megabyte of it takes less than another request."""
    body = io.BytesIO()
    records = pa.concat_tables([make_sample()] * times)
    pq.write_table(records, body, compression="snappy", row_group_size=row_group_rows)
    metadata = pq.read_metadata(body)
    groups = [
        [metadata.row_group(number).column(column) for column in map(metadata.schema.names.index, COLUMNS)]
        for number in range(metadata.num_row_groups)
    ]
    needed = sum(chunk.total_compressed_size for chunks in groups for chunk in chunks)
    places = [(chunks[0].dictionary_page_offset, chunks[-1].dictionary_page_offset) for chunks in groups]
    together = sum(end - start for start, end in places) + sum(chunks[-1].total_compressed_size for chunks in groups)
    is_narrow = together - needed < len(groups) * 2**20
    key = pipeline.put("v.parquet", body.getvalue())
    refresh = pipeline.make()
    costs.clear()

    assert pipeline.refresh_with(refresh, created(key)).rows_counted == 511_427 * times

    assert is_narrow == (times == 1)
    assert costs.bytes_fetched < (together if is_narrow else needed) * 1.05 + 100_000 < len(body.getvalue())
    # The end of the object, and each row group at once, or in two where the gap is wide.
    assert costs.requests["GetObject"] == 1 + len(groups) * (1 if is_narrow else 2)


def test_one_more_record_touches_two_rows_of_the_totals(pipeline: Pipeline) -> None:
    rows = [record(total_orders=f"{number}.0", voucher_amount=100.0 * number) for number in range(50)]
    pipeline.refresh(created(pipeline.put("v.parquet", rows)))
    pipeline.refresh(created(pipeline.put("v.parquet", [*rows, rows[7]])))
    written = pipeline.column("SELECT count(*) FROM voucher_customer.usage_totals GROUP BY xmin ORDER BY count(*)")
    assert written == [2, 98]


@pytest.mark.parametrize("row_group_rows", [800_000, 150_000], ids=["one row group", "six row groups"])
def test_a_large_object_whose_rows_have_a_moment_each_is_counted_piece_by_piece(
    pipeline: Pipeline, costs: Costs, row_group_rows: int
) -> None:
    """More than is fetched at once, and more distinct values than a dictionary is kept for."""
    rows = 800_000
    seconds = np.arange(rows) * 2  # eighteen and a half days
    moments = (np.datetime64("2020-01-06T00:00:00.000000") + seconds.astype("timedelta64[s]")).astype(str)
    table = pa.table(
        {
            "country_code": pa.array(["Peru"] * rows),
            "last_order_ts": pa.array(np.char.add(moments, "+00:00")),
            "total_orders": pa.array(["2.0"] * rows),
            "voucher_amount": pa.array(np.full(rows, 2640.0)),
        }
    )
    body = io.BytesIO()
    pq.write_table(table, body, compression="none", row_group_size=row_group_rows)
    assert body.tell() > 16 * 2**20
    key = pipeline.put("v.parquet", body.getvalue())

    assert pipeline.refresh(created(key)).rows_counted == rows

    counts = pipeline.column(
        "SELECT count FROM voucher_customer.usage_totals WHERE dimension = 'days_since(last_order_ts)' ORDER BY value"
    )
    assert counts == [43_200] * 18 + [rows - 18 * 43_200]
    if row_group_rows == rows:
        # In pieces of a megabyte, each fetched once, but for what lies around the beginning of a column.
        assert 5 < costs.requests["GetObject"] < 12 + body.tell() / 2**20
        assert costs.bytes_fetched < body.tell() + 8 * 2**20
