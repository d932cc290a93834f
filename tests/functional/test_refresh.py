"""The refresh: after any changes of the bucket and in any order of events, the table is a recount of the bucket."""

import itertools
from datetime import date, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from functions.common.families import SegmentRulesError
from functions.refresh.ledger import schema
from functions.refresh.usecases.refresh import RefreshError
from infra.sample.sample import make_sample
from tests.families import SQL
from tests.functional.conftest import NOW, Pipeline
from tests.support import (
    BUCKET,
    PREFIX,
    REAL_FILE,
    WHY_SKIPPED,
    created,
    daily,
    deleted,
    parquet,
    published_table_of_peru,
    record,
    recount,
)

AS_OF = date(2020, 12, 22)


def test_the_sample_gives_the_published_table_of_the_source(pipeline: Pipeline) -> None:
    key = pipeline.put("vouchers.parquet.gzip", make_sample(), compression="gzip", compression_level=1)

    summary = pipeline.refresh(created(key))

    assert pipeline.published() == published_table_of_peru()
    assert (summary.rows_read, summary.rows_counted, summary.rows_rejected) == (511_427, 511_427, {})
    assert summary.rows_published == 20
    # An earlier day fills every recency segment.
    pipeline.refresh({"as_of": "2020-06-15"})
    rows: dict[str, int] = {}
    for (_, family, segment, *_), count in pipeline.published().items():
        if family == "recency_segment":
            rows[segment] = rows.get(segment, 0) + count
    assert rows == {"30-60": 6559, "60-90": 12181, "90-120": 6522, "120-180": 67829, "180+": 13456}


def test_the_published_rows_are_numbered_by_family_within_a_country(pipeline: Pipeline) -> None:
    countries = ["China", "Peru"]
    rows = [
        record(country_code=country, total_orders=orders, voucher_amount=amount)
        for country in countries for orders in ("20", "6", "1") for amount in (4400, 2640, 3300)
    ]  # fmt: skip
    pipeline.environ["COUNTRIES"] = ",".join(countries)
    pipeline.refresh(created(pipeline.put("v.parquet", rows)))
    for country in countries:
        numbered = pipeline.sql.run(
            "SELECT segment_name, index, min_range, voucher_amount FROM voucher_customer.voucher_segments"
            " WHERE country_code = :country ORDER BY segment_name, min_range, voucher_amount",
            country=country,
        )
        assert numbered == [
            ["frequent_segment", 0, 0, 2640], ["frequent_segment", 1, 0, 3300], ["frequent_segment", 2, 0, 4400],
            ["frequent_segment", 3, 5, 2640], ["frequent_segment", 4, 5, 3300], ["frequent_segment", 5, 5, 4400],
            ["frequent_segment", 6, 14, 2640], ["frequent_segment", 7, 14, 3300], ["frequent_segment", 8, 14, 4400],
            ["recency_segment", 0, 180, 2640], ["recency_segment", 1, 180, 3300], ["recency_segment", 2, 180, 4400],
        ]  # fmt: skip


def test_the_published_table_has_the_columns_of_the_source_in_their_order(pipeline: Pipeline) -> None:
    pipeline.make()
    pipeline.sql.run("SELECT * FROM voucher_customer.voucher_segments")
    assert [column["name"] for column in pipeline.sql.columns or []] == [
        "index", "min_range", "max_range", "segment_name", "voucher_amount", "count", "country_code", "segment_type",
    ]  # fmt: skip


@pytest.mark.skipif(not REAL_FILE.exists(), reason=WHY_SKIPPED)
@pytest.mark.parametrize("as_of", ["2018-08-05", "2020-12-22"])
def test_the_real_file_is_counted_as_by_hand(pipeline: Pipeline, as_of: str) -> None:
    countries = ["Peru", "China", "Australia", "Latvia"]
    pipeline.environ["COUNTRIES"] = ",".join(countries)
    key = pipeline.put("vouchers.parquet.gzip", REAL_FILE.read_bytes())

    summary = pipeline.refresh(created(key))
    pipeline.refresh({"as_of": as_of})

    rows = pq.read_table(REAL_FILE).to_pylist()
    assert summary.rows_counted == len(rows) == 285_570
    assert pipeline.published() == recount(rows, date.fromisoformat(as_of), countries)


def test_putting_overwriting_and_deleting_change_the_table(pipeline: Pipeline) -> None:
    first = pipeline.put("a.parquet", [record()] * 3)
    second = pipeline.put("b.parquet", [record()] * 2)
    pipeline.refresh(created(first))
    pipeline.refresh(created(second))
    assert set(pipeline.published().values()) == {5}

    pipeline.put("a.parquet", [record(voucher_amount=4400)])
    assert pipeline.refresh(created(first)).objects_counted == 1
    assert {key[5]: count for key, count in pipeline.published().items()} == {2640: 2, 4400: 1}

    pipeline.delete(second)
    assert pipeline.refresh(deleted(second)).objects_removed == 1
    assert {key[5]: count for key, count in pipeline.published().items()} == {4400: 1}


def test_counts_that_differ_only_in_country_or_dimension_are_added_apart(pipeline: Pipeline) -> None:
    # Given customers of two countries with as many orders as there are days from 1970 to their last one
    rows = [
        record(country_code=country, total_orders="18267", last_order_ts="2020-01-06") for country in ("Peru", "China")
    ]
    # When two objects hold them
    for name in ("a.parquet", "b.parquet"):
        pipeline.refresh(created(pipeline.put(name, rows)))
    # Then each of the four counts is two
    totals = pipeline.sql.run("SELECT country_code, dimension, value, count FROM voucher_customer.usage_totals")
    assert sorted(totals) == [
        [country, dimension, 18267, 2]
        for country in ("China", "Peru")
        for dimension in ("days_since(last_order_ts)", "total_orders")
    ]


def test_duplicate_late_and_false_events_change_nothing(pipeline: Pipeline) -> None:
    key = pipeline.put("a.parquet", [record()])
    pipeline.refresh(created(key))
    before = pipeline.published()
    for event in (created(key), deleted(key), created(PREFIX + "never.parquet"), deleted(PREFIX + "never.parquet")):
        summary = pipeline.refresh(event)
        assert (summary.objects_skipped, summary.rows_read) == (1, 0)
        assert pipeline.published() == before


def test_a_late_event_does_not_take_the_as_of_day_back(pipeline: Pipeline) -> None:
    key = pipeline.put("a.parquet", [record(last_order_ts="2020-11-22")])
    pipeline.refresh(daily("2020-12-22"))
    assert pipeline.refresh(created(key, day="2020-12-20")).as_of == date(2020, 12, 22)
    assert pipeline.refresh({"as_of": "2020-01-01"}).as_of == date(2020, 1, 1)  # a person may
    assert pipeline.refresh(daily("2020-12-24")).as_of == date(2020, 12, 24)
    assert pipeline.refresh(created(key, day="2020-12-23")).as_of == date(2020, 12, 24)
    # Nor do later days of a person's, or of runs that published nothing, take it forward
    assert pipeline.refresh({"as_of": "2021-06-01"}).as_of == date(2021, 6, 1)
    pipeline.sql.run(
        "INSERT INTO voucher_customer.refreshes (trigger, as_of, started_at, outcome)"
        " VALUES ('daily', '2021-01-01', '2021-01-01', 'failed')"
    )
    assert pipeline.refresh(daily("2020-12-25")).as_of == date(2020, 12, 25)


def test_the_daily_run_repairs_what_events_missed(pipeline: Pipeline) -> None:
    stays, changes, goes = (pipeline.put(f"{name}.parquet", [record()]) for name in "abc")
    pipeline.refresh(daily())
    pipeline.put("b.parquet", [record(voucher_amount=3520)] * 2)
    pipeline.delete(goes)
    pipeline.put("d.parquet.gzip", [record(voucher_amount=4400)])

    summary = pipeline.refresh(daily())

    assert (summary.objects_skipped, summary.objects_counted, summary.objects_removed) == (1, 2, 1)
    assert {key[5]: count for key, count in pipeline.published().items()} == {2640: 1, 3520: 2, 4400: 1}
    assert stays != changes


def test_only_parquet_under_the_prefix_belongs_to_the_dataset(pipeline: Pipeline) -> None:
    pipeline.put("data.parquet/_SUCCESS", b"")
    pipeline.put("notes.csv", b"a,b")
    pipeline.s3.put_object(Bucket=BUCKET, Key="elsewhere/v.parquet", Body=parquet([record()]))
    key = pipeline.put("data.parquet/part-0.snappy.parquet", [record()])
    assert pipeline.refresh(daily()).objects_counted == 1
    summary = pipeline.refresh(created("elsewhere/v.parquet"))
    assert (summary.objects_counted, summary.objects_skipped) == (0, 0)
    assert pipeline.column("SELECT key FROM voucher_customer.ledger") == [key]


@pytest.mark.parametrize(
    "name",
    ["a b+c.parquet", "100%25.parquet", "v[1]*?.parquet", "ñandú/ü.parquet", "a//b.parquet", "k" * 1000 + ".parquet"],
)
def test_keys_are_taken_as_they_are(pipeline: Pipeline, name: str) -> None:
    key = pipeline.put(name, [record()])
    pipeline.put(name + ".copy", [record()] * 7)  # a neighbour that a prefix would match too
    assert pipeline.refresh(created(key)).rows_read == 1


def test_an_overwrite_replaces_the_counts_of_what_the_object_still_holds(pipeline: Pipeline) -> None:
    for times in (2, 5, 3):
        rows = [record()] * times
        pipeline.refresh(created(pipeline.put("a.parquet", rows)))
        assert pipeline.published() == recount(rows, AS_OF, ["Peru"])


def test_a_bad_overwrite_keeps_what_was_counted_until_the_object_is_repaired(pipeline: Pipeline) -> None:
    key = pipeline.put("a.parquet", [record()])
    pipeline.refresh(created(key))
    before = pipeline.published()
    pipeline.put("a.parquet", b"garbage")
    with pytest.raises(RefreshError):
        pipeline.refresh(created(key))
    assert pipeline.published() == before

    pipeline.put("a.parquet", [record(voucher_amount=4400)])
    pipeline.refresh(created(key))

    assert {key[5] for key in pipeline.published()} == {4400}
    assert pipeline.column("SELECT error FROM voucher_customer.ledger") == [None]


def test_a_bad_object_that_is_deleted_is_not_a_failure_any_more(pipeline: Pipeline) -> None:
    key = pipeline.put("a.parquet", b"garbage")
    with pytest.raises(RefreshError):
        pipeline.refresh(daily())
    pipeline.delete(key)
    assert pipeline.refresh(daily()).objects_removed == 1
    assert pipeline.column("SELECT error FROM voucher_customer.ledger") == [None]


def test_a_bad_object_does_not_stop_the_others(pipeline: Pipeline) -> None:
    pipeline.put("a.parquet", [record()])
    pipeline.put("b.parquet", b"garbage")
    pipeline.put("c.parquet", [record()])
    with pytest.raises(RefreshError, match=r"^vouchers/b\.parquet: ") as failure:
        pipeline.refresh(daily())
    assert failure.value.summary.objects_counted == 2
    assert set(pipeline.published().values()) == {2}


def test_an_entry_holds_all_of_the_version_that_came_last(pipeline: Pipeline) -> None:
    # Given a counted object
    key = pipeline.put("a.parquet", [record()])
    pipeline.refresh(created(key))
    # When it is overwritten by an event with another sequencer
    pipeline.put("a.parquet", [record(country_code="China", total_orders=""), record(country_code="")])
    event = created(key)
    event["detail"]["object"]["sequencer"] = "0062E99A88DC407461"
    pipeline.refresh(event)
    # Then the entry is all of the new one
    [entry] = pipeline.sql.run(
        "SELECT sequencer, rows_read, rows_counted, rows_rejected, values_defaulted, usage_country_code"
        " FROM voucher_customer.ledger"
    )
    filled = {"total_orders": 1, "voucher_amount": 0}
    assert entry == ["0062E99A88DC407461", 2, 1, {"country_code_blank": 1}, filled, ["China", "China"]]
    # And of a failure it keeps the sequencer
    pipeline.put("a.parquet", b"garbage")
    event["detail"]["object"]["sequencer"] = "0062E99A88DC407462"
    with pytest.raises(RefreshError):
        pipeline.refresh(event)
    assert pipeline.column("SELECT sequencer FROM voucher_customer.ledger") == ["0062E99A88DC407462"]


def test_rules_that_contradict_themselves_are_refused_and_the_table_stays(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    key = pipeline.put("a.parquet", [record()])
    pipeline.refresh(created(key))
    before = pipeline.published()
    rules, file = SQL.read_text(), tmp_path / SQL.name
    file.write_text(rules.replace("180, 99999999", "170, 99999999"))
    refresh = pipeline.make()
    monkeypatch.setattr(schema, "FAMILIES_FILE", file)

    with pytest.raises(SegmentRulesError, match=r"120-180 \(121-179\) and recency_segment 180\+ \(170-99999999\)"):
        pipeline.refresh_with(refresh, daily())

    assert pipeline.published() == before
    assert pipeline.column("SELECT min_range FROM voucher_customer.customer_segments ORDER BY 1")[-1] == 180
    [run] = pipeline.sql.run(
        "SELECT outcome, published_at FROM voucher_customer.refreshes ORDER BY refresh_id DESC LIMIT 1"
    )
    assert run == ["failed", None]


def test_a_change_of_the_rules_republishes_without_reading_parquet(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    pipeline.refresh(created(pipeline.put("a.parquet", [record(total_orders="6")])))
    rules, file = SQL.read_text(), tmp_path / SQL.name
    changed = rules.replace("'5-13',    5,   13", "'5-6', 5, 6").replace("'13-37',   14,", "'7-37', 7,")
    file.write_text(changed)
    refresh = pipeline.make()
    monkeypatch.setattr(schema, "FAMILIES_FILE", file)

    summary = pipeline.refresh_with(refresh, daily())

    assert (summary.rows_read, summary.rows_counted) == (0, 0)
    assert {key[2:5] for key in pipeline.published() if key[1] == "frequent_segment"} == {("5-6", 5, 6)}


def test_a_run_is_logged_with_what_it_did(pipeline: Pipeline) -> None:
    recent = [record(last_order_ts="2020-12-20", voucher_amount=amount) for amount in (2640, 4400)]
    key = pipeline.put("a.parquet", [record(), record(country_code=""), *recent])
    moments = (NOW + timedelta(seconds=2 * looks) for looks in itertools.count())
    summary = pipeline.refresh_with(pipeline.make(lambda: next(moments)), created(key))
    [row] = pipeline.sql.run(
        "SELECT trigger, as_of, countries, objects_counted, objects_skipped, objects_removed, objects_refused,"
        " objects_refused_before, objects_deferred, backlog_bytes, rows_read, rows_counted, rows_rejected,"
        " rows_published, rows_in_no_segment, outcome, error, published_at, took_ms FROM voucher_customer.refreshes"
    )
    assert row == [
        "object_created", AS_OF, ["Peru"], 1, 0, 0, 0, 0, 0, 0, 4, 3, {"country_code_blank": 1}, 3,
        {"recency_segment": 2, "frequent_segment": 0}, "published", None, NOW + timedelta(seconds=4), 4000,
    ]  # fmt: skip
    assert (summary.took_ms, summary.report_ms) == (4000, 2000)
    assert pipeline.column("SELECT refresh_id FROM voucher_customer.publication") == [summary.refresh_id]
    [entry] = pipeline.sql.run("SELECT key, rows_read, rows_counted, sequencer FROM voucher_customer.ledger")
    assert entry == [key, 4, 3, "0062E99A88DC407460"]


@pytest.mark.parametrize("trigger", ["event", "daily"])
def test_a_run_that_dies_is_logged_with_the_reason(pipeline: Pipeline, trigger: str) -> None:
    # Given an object that is too much for the process
    key = pipeline.put("a.parquet", [record()])

    def die() -> None:
        raise MemoryError("no room for it")

    pipeline.before_reading(die)
    # When it is refreshed, then the run ends, and its row says why
    with pytest.raises(MemoryError):
        pipeline.refresh(created(key) if trigger == "event" else daily())
    assert pipeline.sql.run("SELECT outcome, error, published_at FROM voucher_customer.refreshes") == [
        ["failed", "MemoryError: no room for it", None]
    ]


def test_s3_that_refuses_fails_the_run_and_names_the_reason(pipeline: Pipeline) -> None:
    pipeline.environ["BUCKET"] = "no-such-bucket"
    with pytest.raises(Exception, match="NoSuchBucket"):
        pipeline.refresh_with(pipeline.make(), {})
    [[outcome, error]] = pipeline.sql.run("SELECT outcome, error FROM voucher_customer.refreshes")
    assert outcome == "failed"
    assert "NoSuchBucket" in error


def test_noise_in_place_of_values_is_refused_before_it_fills_memory(pipeline: Pipeline) -> None:
    rows = 260_000  # each with an amount of its own, in both measures
    noise = pa.table(
        {
            "country_code": ["Peru"] * rows,
            "last_order_ts": ["2020-01-06"] * rows,
            "total_orders": ["1.0"] * rows,
            "voucher_amount": list(range(rows)),
        }
    )
    with pytest.raises(RefreshError, match="more than 500,000 combinations of country, dimension, value and amount"):
        pipeline.refresh(created(pipeline.put("a.parquet", noise)))
