"""Families are data: added and removed in the SQL file, counted for all objects, published when they are complete."""

import re
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from functions.common.families import SegmentRulesError
from functions.refresh.ledger import schema
from functions.refresh.reading.bucket import ObjectVersion, Part
from functions.refresh.results import Summary
from functions.refresh.usecases.refresh import RefreshError
from functions.refresh.usecases.work_items import PlannedObject, WorkItem
from tests.families import OWN, SILENCE, SQL, TENURE, append_example, recount_added
from tests.functional.conftest import Call, Pipeline
from tests.functional.test_backlog import Backlog
from tests.functional.test_verification import differences, verify
from tests.support import (
    BUCKET,
    PREFIX,
    REAL_FILE,
    ROOT,
    WHY_SKIPPED,
    Published,
    created,
    daily,
    deleted,
    record,
    recount,
)

AS_OF = date(2020, 12, 22)
SHIPPED_FAMILIES = ["frequent_segment", "recency_segment"]

Deploy = Callable[[Callable[[Path], object]], None]


def dated(number: int, **values: Any) -> dict[str, Any]:
    """Return a record with the dates that the added families need."""
    return record(
        first_order_ts=f"2019-{1 + number % 12:02}-11",
        timestamp=f"2020-02-{1 + number % 28:02} 12:00:00",
        voucher_amount=[2640.0, 3520.0, 4400.0][number % 3],
        total_orders=str(number % 50),
        **values,
    )


ADDED = """
    INSERT INTO voucher_customer.segment_families (segment_name, dimension)
        VALUES ('{0}', 'days_since(first_order_ts)');
    INSERT INTO voucher_customer.customer_segments (segment_name, segment_type, min_range, max_range)
        VALUES ('{0}', 'all', 0, 99999999);
"""
OLD = [record(), record(voucher_amount=4400.0)]
MANY = [dated(number) for number in range(60)]


@pytest.fixture
def deploy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Deploy:
    """Deploy another file of families."""
    file = tmp_path / SQL.name
    shutil.copy(SQL, file)
    monkeypatch.setattr(schema, "FAMILIES_FILE", file)

    def edit(change: Callable[[Path], object]) -> None:
        change(file)

    return edit


def restore(file: Path) -> None:
    file.write_text(SQL.read_text())


def families(pipeline: Pipeline) -> list[str]:
    return sorted({family for _, family, *_ in pipeline.published()})


def of(table: Published, *names: str) -> Published:
    return {place: count for place, count in table.items() if place[1] in names}


def refused(pipeline: Pipeline, event: dict[str, Any]) -> Summary:
    """Refresh, with an object that cannot be counted."""
    with pytest.raises(RefreshError) as error:
        pipeline.refresh(event)
    return error.value.summary


def rules(pipeline: Pipeline) -> set[tuple[Any, ...]]:
    rows = pipeline.sql.run(
        "SELECT * FROM voucher_customer.segment_families JOIN voucher_customer.customer_segments USING (segment_name)"
    )
    return {tuple(row) for row in rows}


def families_of_api(call: Call) -> list[str]:
    return list(call("GET", "/segments", query={"country_code": "Peru"})[1]["dimensions"])


def test_the_own_file_is_valid(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "FAMILIES_FILE", OWN)
    assert pipeline.refresh(daily()).outcome == "published"


def test_the_own_file_has_every_family_that_ships(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline.refresh(daily())
    ships = rules(pipeline)
    monkeypatch.setattr(schema, "FAMILIES_FILE", OWN)
    pipeline.refresh(daily())
    assert ships - rules(pipeline) == set()


def test_a_family_that_is_added_is_published_when_every_object_is_counted_by_it(
    pipeline: Pipeline, deploy: Deploy, call: Call
) -> None:
    # Given two objects that are counted
    pipeline.refresh(created(pipeline.put("a.parquet", MANY)))
    pipeline.refresh(created(pipeline.put("b.parquet", MANY[:7])))
    before = pipeline.published()
    # When two families are added, and the next run is about another object
    deploy(append_example)
    summary = pipeline.refresh(created(pipeline.put("c.parquet", MANY[:1])))
    # Then the two that were published stay, with the newest counts, and the run tells what the others wait for
    assert (summary.families_waiting, summary.families_partial) == ({SILENCE: 2, TENURE: 2}, {})
    assert families(pipeline) == families_of_api(call) == SHIPPED_FAMILIES
    assert sum(pipeline.published().values()) == sum(before.values()) + 2
    assert pipeline.column("SELECT families_waiting FROM voucher_customer.refreshes ORDER BY refresh_id")[-1] == {
        SILENCE: 2, TENURE: 2,
    }  # fmt: skip
    # When the daily run finds the objects, then all four are published, as a recount has them
    summary = pipeline.refresh(daily())
    assert (summary.objects_counted, summary.objects_skipped, summary.families_waiting) == (2, 1, {})
    rows = [*MANY, *MANY[:7], *MANY[:1]]
    due = recount(rows, AS_OF, ["Peru"]) | recount_added(rows, AS_OF, ["Peru"])
    assert pipeline.published() == due
    assert families_of_api(call) == [*SHIPPED_FAMILIES, SILENCE, TENURE]
    assert summary.report_error == ""


def test_removing_families_and_adding_them_again_reads_no_object_again(pipeline: Pipeline, deploy: Deploy) -> None:
    deploy(append_example)
    pipeline.refresh(created(pipeline.put("a.parquet", MANY)))
    all_four = pipeline.published()
    deploy(restore)
    summary = pipeline.refresh(daily())
    assert (summary.objects_counted, summary.objects_skipped) == (0, 1)
    assert pipeline.published() == of(all_four, *SHIPPED_FAMILIES)
    assert differences(verify(pipeline)) == []
    deploy(append_example)
    summary = pipeline.refresh(daily())
    assert (summary.objects_counted, summary.objects_skipped) == (0, 1)
    assert pipeline.published() == all_four


def test_rows_that_only_a_removed_family_rejected_are_counted_again(pipeline: Pipeline, deploy: Deploy) -> None:
    # Given a row that has no first order
    deploy(append_example)
    rows = [*MANY, dated(1) | {"first_order_ts": None}]
    summary = pipeline.refresh(created(pipeline.put("a.parquet", rows)))
    assert summary.rows_rejected == {"first_order_ts_missing": 1}
    assert of(pipeline.published(), *SHIPPED_FAMILIES) == recount(MANY, AS_OF, ["Peru"])
    # When the families are removed, then it counts
    deploy(restore)
    assert pipeline.refresh(daily()).objects_counted == 1
    assert pipeline.published() == recount(rows, AS_OF, ["Peru"])


def test_rows_without_a_value_of_an_added_family_leave_all_families_and_are_lost(
    pipeline: Pipeline, deploy: Deploy
) -> None:
    # Given an object of which some rows have no first order
    without = [record(first_order_ts=None, timestamp=None)] * 30
    pipeline.refresh(created(pipeline.put("a.parquet", [*MANY, *without])))
    assert of(pipeline.published(), *SHIPPED_FAMILIES) == recount([*MANY, *without], AS_OF, ["Peru"])
    # When families that need it are added
    deploy(append_example)
    summary = pipeline.refresh(daily())
    # Then these rows are in no family, and the run says that it lost them
    assert (summary.rows_counted, summary.rows_lost) == (60, 30)
    assert summary.rows_rejected == {"first_order_ts_missing": 30}
    assert of(pipeline.published(), *SHIPPED_FAMILIES) == recount(MANY, AS_OF, ["Peru"])


def test_an_old_object_without_the_column_is_refused_by_name_and_keeps_its_counts(
    pipeline: Pipeline, deploy: Deploy
) -> None:
    # Given an object from before the column was written, and one with it
    old = pipeline.put("old.parquet", OLD)
    pipeline.put("new.parquet", MANY)
    pipeline.refresh(daily())
    # When the families are added
    deploy(append_example)
    summary = refused(pipeline, daily())
    # Then it is named with the columns, and holds up no family
    [error] = summary.errors
    assert error.startswith(f"{old}: needed column missing: ['first_order_ts', 'timestamp']; ")
    assert (summary.families_waiting, summary.families_partial) == ({}, {SILENCE: 1, TENURE: 1})
    # And its counts stay in the families that it has
    assert of(pipeline.published(), *SHIPPED_FAMILIES) == recount([*OLD, *MANY], AS_OF, ["Peru"])
    assert of(pipeline.published(), SILENCE, TENURE) == recount_added(MANY, AS_OF, ["Peru"])
    # And the daily run tries it no more
    summary = pipeline.refresh(daily())
    assert (summary.objects_counted, summary.objects_refused_before, summary.objects_skipped) == (0, 1, 1)
    assert summary.families_partial == {SILENCE: 1, TENURE: 1}
    # When the families are removed, then it is as it was, without being read again
    deploy(restore)
    pipeline.before_reading(lambda: pytest.fail("an object was read again"))
    summary = pipeline.refresh(daily())
    assert (summary.objects_skipped, summary.objects_refused_before, summary.errors) == (2, 0, [])
    assert pipeline.column("SELECT error FROM voucher_customer.ledger") == [None, None]
    assert pipeline.published() == recount([*OLD, *MANY], AS_OF, ["Peru"])


def test_records_of_an_object_that_lacks_the_column_of_an_added_family_are_no_loss(
    pipeline: Pipeline, deploy: Deploy
) -> None:
    # Given an object that lacks the column, and one with it
    old = pipeline.put("old.parquet", OLD * 50)
    pipeline.refresh(created(old))
    pipeline.refresh(created(pipeline.put("new.parquet", MANY)))
    # When a family that needs the column is added, before or behind the others by its name
    deploy(lambda file: file.write_text(file.read_text() + ADDED.format("age_segment") + ADDED.format("zone_segment")))
    # Then the object is refused, but its records are not lost
    summary = refused(pipeline, daily())
    assert summary.families_partial == {"age_segment": 1, "zone_segment": 1}
    assert (summary.rows_lost, summary.countries_shrunk) == (0, {})
    # When it is deleted, then they are
    pipeline.delete(old)
    summary = pipeline.refresh(deleted(old))
    assert (summary.rows_lost, summary.countries_shrunk) == (100, {"Peru": 0.625})


def test_a_refused_object_is_tried_again_when_other_dimensions_are_needed(pipeline: Pipeline, deploy: Deploy) -> None:
    # Given an object that lacks one of two columns
    half = [{name: value for name, value in row.items() if name != "timestamp"} for row in MANY]
    pipeline.refresh(created(pipeline.put("half.parquet", half)))
    deploy(append_example)
    assert refused(pipeline, daily()).families_partial == {SILENCE: 1, TENURE: 1}

    # When only the family is left whose column it has
    def keep_tenure(file: Path) -> None:
        append_example(file)
        kept = [line for line in file.read_text().splitlines() if SILENCE not in line]
        text = "\n".join(kept).replace("'days_since(first_order_ts)'),", "'days_since(first_order_ts)');")
        file.write_text(re.sub(r"(730, 99999999\)),$", r"\1;", text, flags=re.MULTILINE))

    deploy(keep_tenure)
    summary = pipeline.refresh(daily())
    # Then it is counted by it
    assert (summary.objects_counted, summary.families_partial) == (1, {})
    assert of(pipeline.published(), TENURE) == of(recount_added(MANY, AS_OF, ["Peru"]), TENURE)


def test_many_objects_are_counted_again_as_a_backlog(pipeline: Pipeline, deploy: Deploy) -> None:
    pipeline.put("a.parquet", MANY)
    pipeline.put("b.parquet", MANY[:9])
    pipeline.refresh(daily())
    pipeline.environ["INLINE_BYTES"] = "10"
    deploy(append_example)
    summary = pipeline.refresh(daily())
    assert (summary.objects_deferred, summary.objects_counted) == (2, 0)
    assert summary.backlog_bytes > 10
    assert (families(pipeline), summary.families_waiting) == (SHIPPED_FAMILIES, {SILENCE: 2, TENURE: 2})
    backlog = Backlog(pipeline)
    backlog.count_all(backlog.plan()[1])
    done = backlog.publish()
    assert (done.objects_counted, done.objects_deferred, done.families_waiting) == (2, 0, {})
    assert families(pipeline) == [*SHIPPED_FAMILIES, SILENCE, TENURE]


def test_parts_that_were_counted_by_other_dimensions_are_counted_again(pipeline: Pipeline, deploy: Deploy) -> None:
    # Given the first of two parts, counted before families are added
    key = pipeline.put("large.parquet", MANY, row_group_size=30)
    held = pipeline.s3.head_object(Bucket=BUCKET, Key=key)
    planned = PlannedObject(key, ObjectVersion(held["ETag"], held["ContentLength"]), 0)

    def count(part: int) -> Any:
        return Backlog(pipeline).count(msgspec.to_builtins(WorkItem((planned,), Part(part, 2))))

    assert count(0).objects_deferred == 1
    deploy(append_example)
    # When the second is counted after it, then the first is missing
    assert count(1).objects_deferred == 1
    assert count(0).objects_counted == 1
    summary = pipeline.refresh(daily())
    assert summary.objects_skipped == 1
    assert pipeline.published() == recount(MANY, AS_OF, ["Peru"]) | recount_added(MANY, AS_OF, ["Peru"])


def test_verification_finds_what_lacks_a_dimension_and_repairs_it(pipeline: Pipeline, deploy: Deploy) -> None:
    key = pipeline.put("a.parquet", MANY)
    pipeline.refresh(daily())
    deploy(append_example)
    assert differences(verify(pipeline)) == [(key, "dimension missing", False)]
    assert differences(verify(pipeline, fix=True)) == [(key, "dimension missing", True)]
    assert pipeline.published() == recount(MANY, AS_OF, ["Peru"]) | recount_added(MANY, AS_OF, ["Peru"])


@pytest.mark.parametrize(
    ("was", "becomes", "says"),
    [
        ("'total_orders'", "'total orders'", "frequent_segment: dimension 'total orders' cannot be read"),
        ("'days_since(last_order_ts)'", "'days_since(total_orders)'", "total_orders cannot be read as a number and"),
        ("('recency_segment',  'days", "('other_segment',  'days", "recency_segment .* belongs to no family"),
        ("121, 179", "120, 179", "90-120 .* and recency_segment 120-180 .* overlap"),
        ("'total_orders'),", "'total_orders'), ('x', 'total_orders'),", "x has no range in customer_segments"),
    ],
)
def test_families_that_cannot_be_used_are_refused_and_the_published_table_stays(
    pipeline: Pipeline, deploy: Deploy, was: str, becomes: str, says: str
) -> None:
    pipeline.refresh(created(pipeline.put("a.parquet", MANY)))
    before = pipeline.published()
    assert was in SQL.read_text()
    deploy(lambda file: file.write_text(SQL.read_text().replace(was, becomes)))
    with pytest.raises(SegmentRulesError, match=says):
        pipeline.refresh(created(pipeline.put("b.parquet", MANY)))
    assert pipeline.published() == before
    assert pipeline.column("SELECT outcome FROM voucher_customer.refreshes ORDER BY refresh_id") == [
        "published", "failed",
    ]  # fmt: skip


def test_two_families_of_one_dimension_share_its_counts(pipeline: Pipeline, deploy: Deploy) -> None:
    def add_another(file: Path) -> None:
        file.write_text(
            SQL.read_text()  # noqa: S608 - of this module
            + "INSERT INTO voucher_customer.segment_families VALUES ('parity', ' total_orders ');"
            "INSERT INTO voucher_customer.customer_segments VALUES ('parity', 'none', 0, 0), ('parity', 'some', 1, 99);"
        )

    pipeline.refresh(created(pipeline.put("a.parquet", MANY)))
    deploy(add_another)
    summary = pipeline.refresh(daily())
    assert (summary.objects_counted, families(pipeline)) == (0, ["frequent_segment", "parity", "recency_segment"])
    assert pipeline.column("SELECT DISTINCT dimension FROM voucher_customer.usage_totals ORDER BY 1") == [
        "days_since(last_order_ts)", "total_orders",
    ]  # fmt: skip


def test_an_identifier_by_mistake_is_refused_and_named(pipeline: Pipeline, deploy: Deploy) -> None:
    rows = 500_001
    table = pa.Table.from_pylist([record()] * 1).take(pa.array([0] * rows, pa.int32()))
    key = pipeline.put("a.parquet", table.append_column("customer_id", pa.array(range(rows))))
    deploy(
        lambda file: file.write_text(
            SQL.read_text().replace("('frequent_segment', 'total_orders')", "('frequent_segment', 'customer_id')")
        )
    )
    summary = refused(pipeline, created(key))
    assert summary.errors == [
        f"{key}: more than 500,000 combinations of country, dimension, value and amount: these are not voucher records"
    ]


def test_all_families_may_change_at_once(pipeline: Pipeline, deploy: Deploy) -> None:
    pipeline.refresh(created(pipeline.put("a.parquet", MANY)))
    deploy(lambda file: file.write_text(SQL.read_text().replace("(last_order_ts)", "(first_order_ts)").replace(
        "'total_orders'", "'days_between(first_order_ts, timestamp)'"
    )))  # fmt: skip
    summary = pipeline.refresh(created(pipeline.put("b.parquet", MANY)))
    assert (summary.rows_published, len(summary.families_waiting), summary.report_error) == (0, 2, "")
    assert pipeline.refresh(daily()).families_waiting == {}
    assert families(pipeline) == SHIPPED_FAMILIES


def test_the_api_answers_for_each_family(pipeline: Pipeline, deploy: Deploy, call: Call) -> None:
    deploy(append_example)
    rows = [
        dated(0, country_code="Peru") | {"first_order_ts": "2020-10-13", "timestamp": "2020-02-20 01:00:00"},
        dated(1) | {"first_order_ts": "2018-05-03", "timestamp": "2020-04-20 01:00:00"},
    ]
    pipeline.refresh(created(pipeline.put("a.parquet", rows)))
    customer = {"country_code": "Peru", "last_order_ts": "2020-11-07", "first_order_ts": "2020-10-01"}
    for family, amount in ((TENURE, 2640.0), (SILENCE, 2640.0)):
        assert call("POST", "/voucher_amount", {**customer, "segment_name": family})[:2] == (
            200, {"voucher_amount": [amount]},
        )  # fmt: skip
    longer = {**customer, "last_order_ts": "2020-09-08", "first_order_ts": "2017-01-01", "explain": True}
    answer = call("POST", "/voucher_amount", {**longer, "segment_name": SILENCE})[1]
    assert (answer["voucher_amount"], answer["days_since_last_order"]) == ([3520.0], 105)
    answer = call("POST", "/voucher_amount", {**longer, "segment_name": TENURE})[1]
    assert (answer["voucher_amount"], answer["days_since_first_order"]) == ([3520.0], 1451)
    # Without a family all of them are explained
    answer = call("POST", "/voucher_amount", {**longer, "total_orders": 1})[1]
    assert list(answer) == [*SHIPPED_FAMILIES, SILENCE, TENURE]
    # And the answer names the field that each family needs
    status, problem, _ = call("POST", "/voucher_amount", {"country_code": "Peru", "segment_name": TENURE})
    assert (status, problem["errors"]) == (422, [{"field": "first_order_ts", "detail": "is missing"}])
    answer = call("GET", "/segments", query={"country_code": "Peru"})[1]
    assert answer["dimensions"] == {
        "frequent_segment": {"dimension": "total_orders", "field": "total_orders"},
        "recency_segment": {"dimension": "days_since(last_order_ts)", "field": "last_order_ts"},
        SILENCE: {"dimension": "days_between(last_order_ts, timestamp)", "field": "last_order_ts"},
        TENURE: {"dimension": "days_since(first_order_ts)", "field": "first_order_ts"},
    }
    lately = {**customer, "segment_name": SILENCE, "last_order_ts": "2020-12-20"}
    status, problem, _ = call("POST", "/voucher_amount", lately)
    assert (status, problem["detail"]) == (404, f"no voucher was used in {SILENCE} 0-29")


@pytest.mark.skipif(not REAL_FILE.exists(), reason=WHY_SKIPPED)
def test_the_real_file_gives_what_a_recount_and_docs_segments_say(pipeline: Pipeline, deploy: Deploy) -> None:
    pipeline.environ["COUNTRIES"] = "Peru,China,Latvia,Australia"
    rows = pq.read_table(REAL_FILE).to_pylist()
    deploy(append_example)
    key = PREFIX + "vouchers_2018.parquet"
    pipeline.s3.upload_file(str(REAL_FILE), BUCKET, key)
    as_of = date(2018, 8, 5)
    summary = pipeline.refresh({"as_of": str(as_of)})
    assert summary.rows_counted == len(rows) == 285_570
    countries = ["Peru", "China", "Latvia", "Australia"]
    assert pipeline.published() == recount(rows, as_of, countries) | recount_added(rows, as_of, countries)
    # And the tables of the page are those of Latvia
    page = (ROOT / "docs" / "segments.md").read_text()
    for day, family, cells in _tables(page):
        pipeline.refresh({"as_of": day})
        assert _shown(pipeline.published(), family) == cells, (day, family)


def _tables(page: str) -> list[tuple[str, str, list[str]]]:
    recency = re.findall(r"^\| (\d{4}-\d\d-\d\d)[^|]*\| (.*) \|$", page, re.MULTILINE)
    [silence] = re.findall(r"^\| 0-29 days \|.*\n\|[-| ]+\n\| (.*) \|$", page, re.MULTILINE)
    assert len(recency) == 3
    return [
        *((day, "recency_segment", _cells(row)) for day, row in recency),
        ("2026-11-26", SILENCE, _cells(silence)[:-1]),
    ]


def _cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.split("|")]


def _shown(table: Published, family: str) -> list[str]:
    """Show each segment of Latvia as the page does: vouchers and most used amount."""
    lows = [30, 61, 91, 121, 180] if family == "recency_segment" else [0, 30, 61, 91, 121, 180]
    cells = []
    for low in lows:
        counts = {amount: n for (country, name, _, start, _, amount), n in table.items()
                  if (country, name, start) == ("Latvia", family, low)}  # fmt: skip
        most = max(counts, key=lambda amount: counts[amount], default=None)
        cells.append(f"{sum(counts.values()):,}: {most}" if counts else "none")
    return cells
