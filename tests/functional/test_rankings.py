"""Rankings: the most used amounts, reported with every publication, and which of them are new."""

from functions.common.ranking import Ranking
from functions.refresh.publishing.rankings import read_rankings
from functions.refresh.results import Summary
from tests.functional.conftest import Pipeline
from tests.support import created, daily, record


def test_a_run_reports_the_most_used_amounts_and_which_of_them_are_new(pipeline: Pipeline) -> None:
    def change(*fields: object) -> tuple[object, ...]:
        return "Peru", *fields

    def changed(summary: Summary) -> list[tuple[object, ...]]:
        return [
            (one.country_code, one.segment_name, one.segment_type, one.before, one.after)
            for one in summary.rankings_changed
        ]

    frequent, recency = "frequent_segment", "recency_segment"
    key = pipeline.put("a.parquet", [record(), record(), record(voucher_amount=4400)])
    summary = pipeline.refresh(created(key))
    assert summary.rankings == [
        Ranking("Peru", frequent, "0-4", [2640], 2, 3, 1),
        Ranking("Peru", recency, "180+", [2640], 2, 3, 1),
    ]
    assert changed(summary) == [change(frequent, "0-4", [], [2640]), change(recency, "180+", [], [2640])]

    # The count alone changes no ranking.
    pipeline.put("b.parquet", [record()])
    assert pipeline.refresh(daily()).rankings_changed == []

    tie = pipeline.put("c.parquet", [record(voucher_amount=4400, total_orders="5")] * 2)
    assert changed(pipeline.refresh(created(tie))) == [
        change(frequent, "5-13", [], [4400]),
        change(recency, "180+", [2640], [2640, 4400]),
    ]

    pipeline.environ["COUNTRIES"] = "China"
    assert changed(pipeline.refresh(daily())) == [
        change(frequent, "0-4", [2640], []),
        change(frequent, "5-13", [4400], []),
        change(recency, "180+", [2640, 4400], []),
    ]


def test_amounts_that_are_tied_come_lowest_first_however_the_table_has_them(pipeline: Pipeline) -> None:
    pipeline.refresh(daily())
    for index, amount in enumerate((4400, 2640, 3300)):
        pipeline.sql.run(
            "INSERT INTO voucher_customer.voucher_segments"
            " (index, country_code, segment_name, segment_type, min_range, max_range, voucher_amount, count)"
            " VALUES (:index, 'Peru', 'recency_segment', '180+', 180, 999, :amount, 7)",
            index=index, amount=amount,
        )  # fmt: skip
    assert read_rankings(pipeline.sql) == [Ranking("Peru", "recency_segment", "180+", [2640, 3300, 4400], 7, 21, 0)]
