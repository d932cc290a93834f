"""The report: a page in the bucket after each publication, whose numbers are those that are published."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any, cast

import boto3
import pytest

from functions.common.database import Database
from functions.common.migrations import migrate
from functions.common.settings import DatabaseSettings, load_settings
from functions.refresh.publishing.publication import Publications
from functions.refresh.report.model import MAX_AMOUNTS, MAX_BINS, MAX_COUNTRIES, MAX_TIED
from functions.refresh.report.queries import MAX_DAYS_OF_RANKINGS
from functions.refresh.report.writer import Reports
from functions.refresh.settings import write_names
from infra.sample.sample import make_sample
from tests.functional.conftest import Pipeline
from tests.support import (
    BUCKET,
    HOSTILE,
    REAL_FILE,
    WHY_SKIPPED,
    Published,
    created,
    daily,
    published_table_of_peru,
    record,
    recount,
)

LATEST = "reports/latest.html"


def page(pipeline: Pipeline, key: str = LATEST) -> str:
    return pipeline.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read().decode()


def pages(pipeline: Pipeline) -> list[str]:
    found = pipeline.s3.list_objects_v2(Bucket=BUCKET, Prefix="reports/").get("Contents", [])
    return [entry["Key"] for entry in found]


def figures(pipeline: Pipeline, key: str = LATEST) -> dict[str, Any]:
    """Read the figures that a page holds."""
    [block] = re.findall(r'<script type="application/json" id="figures">(.*?)</script>', page(pipeline, key), re.DOTALL)
    return cast(dict[str, Any], json.loads(block))


def table(shown: dict[str, Any]) -> Published:
    """Read the published table off the heat maps."""
    names = ("segment_name", "segment_type", "min_range", "max_range")
    return {
        (country["country_code"], *(segment[name] for name in names), int(amount)): count
        for country in shown["countries"]
        for segment in country["segments"]
        for amount, count in zip(country["amounts"], segment["counts"], strict=False)
        if count
    }


def before_putting(hook: Callable[[], object]) -> None:
    """Call a hook before each object is put."""

    def call(**_: Any) -> None:
        hook()

    assert boto3.DEFAULT_SESSION is not None
    boto3.DEFAULT_SESSION.events.register("before-call.s3.PutObject", call)


@pytest.fixture
def another(environ: dict[str, str], pipeline: Pipeline) -> Iterator[Database]:
    """Open the connection of another run."""
    database = Database(load_settings(DatabaseSettings, environ), timeout_seconds=10)
    yield database
    database.close()


def publish(database: Database, as_of: date) -> None:
    """Publish, as another run would."""
    publications, now = Publications(database), datetime.now(UTC)
    summary = publications.start("manual", as_of, ["Peru"], now)
    publications.publish(summary, now)


def test_the_latest_page_and_that_of_the_day_show_the_published_table(pipeline: Pipeline) -> None:
    # Given the sample
    key = pipeline.put("v.parquet", make_sample())
    # When it is published
    summary = pipeline.refresh(created(key))
    # Then both pages hold the numbers of the table
    assert (summary.report, summary.report_error) == ("reports/2020-12-22.html", "")
    assert pages(pipeline) == ["reports/2020-12-22.html", LATEST]
    assert page(pipeline) == page(pipeline, "reports/2020-12-22.html")
    assert table(figures(pipeline)) == pipeline.published() == published_table_of_peru()
    # And browsers and operators know what they are
    found = pipeline.s3.head_object(Bucket=BUCKET, Key=LATEST)
    assert found["ContentType"] == "text/html; charset=utf-8"
    assert found["Metadata"] == {"refresh-id": str(summary.refresh_id)}


def test_the_page_shows_by_how_much_an_amount_leads(pipeline: Pipeline) -> None:
    rows = [*[record()] * 5, *[record(voucher_amount=4400)] * 3, *[record(voucher_amount=3520)] * 3]
    pipeline.refresh(
        created(
            pipeline.put("v.parquet", [*rows, record(total_orders="40"), record(total_orders="41", voucher_amount=1)])
        )
    )
    [country] = figures(pipeline)["countries"]
    few, many = country["segments"][:2]
    assert few["most_used"] == {"amounts": ["2640"], "tied": 1, "count": 5, "vouchers": 11, "decided": False}
    assert few["doubt"]["z"] == 0.7
    assert few["runner_up"] == {"amounts": ["3520", "4400"], "tied": 2, "count": 3}
    assert many["most_used"] == {"amounts": ["1", "2640"], "tied": 2, "count": 1, "vouchers": 2, "decided": False}
    assert many["runner_up"] is None


def test_the_page_lets_one_check_what_is_published(pipeline: Pipeline) -> None:
    # Given rows that are counted twice, filled, rejected, of another country or in no segment
    good = [record(), record(), record(total_orders="", voucher_amount=None), record(last_order_ts="2020-12-21")]
    bad = [record(total_orders="-1"), record(country_code="")]
    pipeline.put("a.parquet", [*good, *bad, record(country_code="Chile")])
    pipeline.put("b.parquet", b"garbage")
    # When they are published
    with pytest.raises(Exception, match="not readable parquet"):
        pipeline.refresh(daily())
    # Then the page has the totals of all of them
    shown = figures(pipeline)
    size = pipeline.s3.head_object(Bucket=BUCKET, Key="vouchers/a.parquet")["ContentLength"]
    assert shown["ledger"] == {
        "objects": 1, "size": size, "rows_read": 7, "rows_counted": 5,
        "values_defaulted": {"total_orders": 1, "voucher_amount": 1}, "objects_without_unknown": 0,
        "objects_refused": 1,
    }  # fmt: skip
    assert shown["rejected"] == [
        {"reason": "country_code_blank", "rows": 1},
        {"reason": "total_orders_negative", "rows": 1},
    ]
    assert shown["others"] == [{"country_code": "Chile", "rows": 1, "countries": 1, "rows_in_all": 1}]
    assert [
        tuple(total[name] for name in ("rows", "in_segments", "values", "amounts", "pairs"))
        for total in shown["countries"][0]["totals"]
    ] == [(4, 4, 2, 2, 2), (4, 3, 2, 2, 3)]
    # And what an operator asks for
    [failed] = shown["refused"]
    assert (failed["key"], "not readable parquet" in failed["error"]) == ("vouchers/b.parquet", True)
    [run] = shown["runs"]
    assert (run["trigger"], run["outcome"], run["rows_counted"], run["objects_refused"]) == ("daily", "published", 5, 1)
    assert "vouchers/b.parquet: is not readable parquet" in run["errors"][0]


def test_distributions_hold_every_row_once_however_far_off_its_value(pipeline: Pipeline) -> None:
    rows = [record(total_orders=str(number), last_order_ts=f"2020-{1 + number % 9:02}-11") for number in range(600)]
    far = [record(total_orders=str(2**63 - 1)), record(last_order_ts="0001-01-01"), record(last_order_ts="9999-12-31")]
    pipeline.refresh(created(pipeline.put("v.parquet", [*rows, *far])))
    [country] = figures(pipeline)["countries"]
    for dimension in ("total_orders", "days_since(last_order_ts)"):
        found = country["distributions"][dimension]
        assert sum(sum(counts) for counts in found["counts"]) == 603
        assert len(found["edges"]) - 1 == len(found["counts"]) <= MAX_BINS
        assert found["open_end"]
    # Single orders keep a bin of their own, and the days of a year are not stretched to ten thousand.
    assert country["distributions"]["total_orders"]["edges"][:3] == [0, 1, 2]
    edges = country["distributions"]["days_since(last_order_ts)"]["edges"]
    assert edges[-1] - edges[0] < 365


@pytest.mark.parametrize("days", [0, 7, 30, 90])
def test_the_outlook_is_what_would_be_published_then(pipeline: Pipeline, days: int) -> None:
    # Given last orders around the ends of all segments
    rows = [
        record(last_order_ts=str(date.fromordinal(date(2020, 12, 22).toordinal() - number)), voucher_amount=number % 3)
        for number in (-8, -1, 0, 22, 23, 29, 30, 59, 60, 61, 90, 91, 120, 121, 149, 150, 179, 180, 400)
    ]
    pipeline.refresh(created(pipeline.put("v.parquet", rows)))
    shown = figures(pipeline)
    # When nobody orders for some days
    then = date.fromordinal(date(2020, 12, 22).toordinal() + days)
    expected = recount(rows, then, ["Peru"])
    # Then the table would have these counts
    [rules] = [family["rules"] for family in shown["families"] if family["segment_name"] == "recency_segment"]
    labels = [label for _, label, *_ in rules]
    [outlook] = [entry for entry in shown["countries"][0]["outlook"]["recency_segment"] if entry["days"] == days]
    for label, segment in zip(labels, outlook["segments"], strict=True):
        counts = {
            amount: count
            for (_, family, of, *_, amount), count in expected.items()
            if (family, of) == ("recency_segment", label)
        }
        assert (segment["vouchers"] if segment else 0) == sum(counts.values())
        if segment:
            most = max(counts.values())
            assert segment["count"] == most
            assert segment["amounts"] == [str(amount) for amount in sorted(counts) if counts[amount] == most]
    in_segments = sum(count for (_, family, *_), count in expected.items() if family == "recency_segment")
    assert outlook["in_no_segment"] == len(rows) - in_segments


def test_the_trend_has_each_as_of_day_as_it_was_last_published(pipeline: Pipeline) -> None:
    # Given three days, of which the second changes the most used amount and is published again
    pipeline.put("a.parquet", [record()])
    pipeline.refresh(daily("2020-12-20"))
    pipeline.put("b.parquet", [record(voucher_amount=4400)] * 2)
    pipeline.refresh(daily("2020-12-21"))
    first = figures(pipeline)
    pipeline.refresh(daily("2020-12-21"))
    pipeline.refresh(daily("2020-12-22"))
    shown = figures(pipeline)
    # Then each day is there once
    assert shown["days"] == ["2020-12-20", "2020-12-21", "2020-12-22"]
    [few, _] = shown["countries"][0]["trends"]
    assert (few["segment_name"], few["segment_type"]) == ("frequent_segment", "0-4")
    assert few["stretches"] == [[0, ["2640"], False, [1000]], [1, ["4400"], False, [667, 667]]]
    # And the page says what its own publication changed
    assert [(change["before"], change["after"]) for change in first["changes"]] == [(["2640"], ["4400"])] * 2
    assert shown["changes"] == []
    assert pages(pipeline) == [*(f"reports/2020-12-{number}.html" for number in (20, 21, 22)), LATEST]


def test_the_page_shows_since_when_an_amount_is_the_most_used_one(pipeline: Pipeline) -> None:
    # Given an amount that has been the most used one for more days than the page reads
    day = date(2020, 10, 1)
    pipeline.put("a.parquet", [record()])
    pipeline.refresh(daily(str(day)))
    pipeline.put("b.parquet", [record(voucher_amount=4400)] * 2)
    for number in range(2, MAX_DAYS_OF_RANKINGS + 3):
        publish(pipeline.database, day + timedelta(number))

    def since() -> tuple[str, bool]:
        found = figures(pipeline)["countries"][0]["segments"][0]["since"]
        return found["as_of"], found["is_exact"]

    # Then the change that was kept before those days says since when
    pipeline.refresh(daily(str(day + timedelta(MAX_DAYS_OF_RANKINGS + 3))))
    few = figures(pipeline)["countries"][0]["segments"][0]
    assert few["most_used"]["amounts"] == ["4400"]
    assert since() == (str(day + timedelta(MAX_DAYS_OF_RANKINGS + 3)), True)
    publish_days = range(MAX_DAYS_OF_RANKINGS + 4, 2 * MAX_DAYS_OF_RANKINGS + 6)
    for number in publish_days:
        publish(pipeline.database, day + timedelta(number))
    Reports(pipeline.database, BUCKET).write()
    assert since() == (str(day + timedelta(MAX_DAYS_OF_RANKINGS + 3)), True)
    # And without that change, that it is so for these days or longer
    pipeline.sql.run("DELETE FROM voucher_customer.ranking_changes")
    Reports(pipeline.database, BUCKET).write()
    first_day = day + timedelta(publish_days[-1] - MAX_DAYS_OF_RANKINGS + 1)
    assert since() == (str(first_day), False)


def test_the_page_shows_the_first_publication_and_the_day_of_the_previous_one(pipeline: Pipeline) -> None:
    pipeline.refresh(created(pipeline.put("v.parquet", [record()]), "2020-12-20"))
    assert figures(pipeline)["as_of_before"] is None
    pipeline.refresh(daily("2020-12-22"))
    assert figures(pipeline)["as_of_before"] == "2020-12-20"


def test_the_page_shows_what_is_unknown_in_each_segment(pipeline: Pipeline) -> None:
    rows = [record(), record(voucher_amount=None), record(total_orders=""), record(total_orders="7")]
    pipeline.refresh(created(pipeline.put("v.parquet", rows)))
    [country] = figures(pipeline)["countries"]
    assert [segment["unknown"] for segment in country["segments"]] == [
        {"vouchers": 3, "amounts": 1, "numbers": 1},
        {"vouchers": 1, "amounts": 0, "numbers": 0},
        {"vouchers": 4, "amounts": 1, "numbers": 0},
    ]


def test_an_object_is_refused_since_its_first_failure(pipeline: Pipeline) -> None:
    # Given an object that is refused, and tried again a day later, as it is and as another version
    def refused_at(day: int, body: bytes) -> str:
        pipeline.put("v.parquet", body)
        refresh = pipeline.make(lambda: datetime(2020, 12, day, tzinfo=UTC))
        with pytest.raises(Exception, match="not readable parquet"):
            pipeline.refresh_with(refresh, created("vouchers/v.parquet"))
        return str(figures(pipeline)["refused"][0]["since"])[:10]

    assert [refused_at(1, b"bad"), refused_at(2, b"bad"), refused_at(3, b"worse")] == ["2020-12-01"] * 3
    # When it is counted, and refused once more, then that is the first failure
    pipeline.refresh(created(pipeline.put("v.parquet", [record()])))
    assert figures(pipeline)["refused"] == []
    assert refused_at(5, b"bad") == "2020-12-05"


def test_no_value_of_the_data_reaches_the_page_as_markup(pipeline: Pipeline) -> None:
    # Given countries and amounts that would do harm
    pipeline.environ["COUNTRIES"] = write_names(HOSTILE)
    rows = [record(country_code=name, voucher_amount=str(2**63 - 1)) for name in HOSTILE]
    pipeline.put("<script>.parquet", b"garbage")
    key = pipeline.put("v.parquet", rows)
    # When they are published
    with pytest.raises(Exception, match="not readable parquet"):
        pipeline.refresh(daily())
    # Then the page has its own two scripts, and each value as it is
    html = page(pipeline)
    assert len(re.findall(r"<script", html, re.IGNORECASE)) == 2
    assert len(re.findall(r"<img|<!--", html, re.IGNORECASE)) == 0
    assert "\u2028" not in html.partition('id="figures">')[2].partition("</script>")[0]
    shown = figures(pipeline)
    assert [country["country_code"] for country in shown["countries"]] == HOSTILE
    assert {amount for country in shown["countries"] for amount in country["amounts"]} == {str(2**63 - 1)}
    assert shown["refused"][0]["key"] == "vouchers/<script>.parquet"
    assert key in pipeline.column("SELECT key FROM voucher_customer.ledger WHERE error IS NULL")
    # And the table for a browser without scripts has them too
    assert "&lt;/script&gt;&lt;script&gt;alert(1)&lt;/script&gt;</td>" in html


def test_a_page_that_the_bucket_refuses_fails_no_refresh(pipeline: Pipeline) -> None:
    key = pipeline.put("a.parquet", [record()])
    refresh = pipeline.make()
    pipeline.fail("PutObject")
    summary = pipeline.refresh_with(refresh, created(key))
    assert (summary.report, summary.errors) == ("", [])
    assert "AccessDenied" in summary.report_error
    assert set(pipeline.published().values()) == {1}
    assert pipeline.column("SELECT outcome FROM voucher_customer.refreshes") == ["published"]


def test_figures_that_cannot_be_read_fail_no_refresh(pipeline: Pipeline) -> None:
    # Given rankings of a day before that are none
    key = pipeline.put("a.parquet", [record()])
    pipeline.refresh(created(key))
    pipeline.sql.run("INSERT INTO voucher_customer.rankings VALUES ('2020-01-01', 1, '{\"no\": \"list\"}', '[]')")
    # When the next run publishes, then that stands, and the page of the run before stays
    before = page(pipeline)
    summary = pipeline.refresh(daily())
    assert "Expected `array`" in summary.report_error
    assert (summary.rows_published, page(pipeline)) == (2, before)
    # And the connection is of use again
    pipeline.sql.run("DELETE FROM voucher_customer.rankings WHERE as_of = '2020-01-01'")
    assert pipeline.refresh(daily()).report_error == ""


def test_without_a_publication_there_is_no_page(pipeline: Pipeline) -> None:
    migrate(pipeline.database)
    assert Reports(pipeline.database, BUCKET).write() == ""
    assert pages(pipeline) == []


def test_a_table_without_rows_has_a_page(pipeline: Pipeline) -> None:
    assert pipeline.refresh(daily()).report == "reports/2020-12-22.html"
    [country] = figures(pipeline)["countries"]
    assert (country["segments"], country["distributions"]) == ([], {})


def test_the_last_publication_has_the_latest_page_though_another_was_written_after_it(
    pipeline: Pipeline, another: Database
) -> None:
    # Given another run that publishes while this one's page is on its way
    key = pipeline.put("a.parquet", [record()])
    refresh = pipeline.make()
    others = iter([date(2018, 8, 5)])

    def publish_once() -> None:
        for day in others:
            publish(another, day)

    before_putting(publish_once)
    # When this one's page arrives
    summary = pipeline.refresh_with(refresh, created(key))
    # Then it is written anew
    assert summary.report == "reports/2018-08-05.html"
    found = pipeline.s3.head_object(Bucket=BUCKET, Key=LATEST)
    [last] = pipeline.column("SELECT refresh_id FROM voucher_customer.publication")
    assert found["Metadata"] == {"refresh-id": str(last)}
    assert figures(pipeline)["as_of"] == "2018-08-05"


def test_a_page_that_is_outdated_again_and_again_is_left_to_the_others(pipeline: Pipeline, another: Database) -> None:
    key = pipeline.put("a.parquet", [record()])
    refresh = pipeline.make()
    before_putting(lambda: publish(another, date(2018, 8, 5)))
    summary = pipeline.refresh_with(refresh, created(key))
    assert summary.report_error == "ReportOutdatedError: others published 5 times while it was written"


def test_objects_counted_before_defaulted_values_were_recorded_are_reported(pipeline: Pipeline) -> None:
    pipeline.refresh(created(pipeline.put("a.parquet", [record(voucher_amount=None)])))
    pipeline.sql.run("UPDATE voucher_customer.ledger SET values_defaulted = NULL")
    pipeline.refresh(daily())
    ledger = figures(pipeline)["ledger"]
    assert (ledger["objects_without_unknown"], ledger["values_defaulted"]) == (1, {})


def test_the_page_stays_small_whatever_is_counted(pipeline: Pipeline) -> None:
    # Given more countries, amounts, reasons to stop and as-of days than anybody looks at
    names = [f"Country {number}" for number in range(MAX_COUNTRIES + 5)]
    pipeline.environ["COUNTRIES"] = ",".join(names[:-1])
    pipeline.make()
    for dimension, first in (("total_orders", 0), ("days_since(last_order_ts)", 18_000)):
        pipeline.sql.run(
            "INSERT INTO voucher_customer.usage_totals"
            " SELECT 'Country ' || country, CAST(:dimension AS text), value, amount, 1"
            " FROM generate_series(0, 104) AS country,"
            " generate_series(:first, :first + 59) AS value, generate_series(0, 29) AS amount",
            dimension=dimension, first=first,
        )  # fmt: skip
    pipeline.sql.run(
        "INSERT INTO voucher_customer.ledger (key, revision, error, refused_etag, changed_at, refused_since)"
        " SELECT 'vouchers/' || number, 1, repeat('x', 5000), 'bad', now(), now()"
        " FROM generate_series(1, 500) AS number"
    )
    pipeline.sql.run(
        "INSERT INTO voucher_customer.refreshes (trigger, as_of, started_at, outcome, error)"
        " SELECT 'daily', '2020-12-01', now(), 'failed', repeat('x', 100000) FROM generate_series(1, 50)"
    )
    # When they are published
    summary = Publications(pipeline.database).start("daily", date(2020, 12, 22), names[:-1], datetime.now(UTC))
    Publications(pipeline.database).publish(summary, datetime.now(UTC))
    Reports(pipeline.database, BUCKET).write()
    # Then the page holds a part of them, says so, and no row is lost
    shown = figures(pipeline)
    assert (len(shown["countries"]), shown["countries_left_out"]) == (MAX_COUNTRIES, 4)
    for country in shown["countries"]:
        assert (len(country["amounts"]), country["other_amounts"]) == (MAX_AMOUNTS, 30 - MAX_AMOUNTS)
        for segment in country["segments"]:
            assert sum(segment["counts"]) == segment["most_used"]["vouchers"]
            assert (len(segment["most_used"]["amounts"]), segment["most_used"]["tied"]) == (MAX_TIED, 30)
    assert (len(shown["refused"]), shown["ledger"]["objects_refused"], len(shown["runs"])) == (30, 500, 30)
    assert len(page(pipeline)) < 1_000_000


@pytest.mark.skipif(not REAL_FILE.exists(), reason=WHY_SKIPPED)
def test_the_real_file_has_a_page(pipeline: Pipeline) -> None:
    pipeline.environ["COUNTRIES"] = "Peru,China,Australia,Latvia"
    pipeline.refresh(created(pipeline.put("v.parquet", REAL_FILE.read_bytes()), "2018-08-05"))
    shown = figures(pipeline)
    assert table(shown) == pipeline.published()
    assert shown["ledger"]["rows_counted"] == 285_570
