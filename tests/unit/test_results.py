"""Results of runs: sums of outcomes, and the first of what could be too much for an event or a log line."""

from datetime import UTC, datetime

from msgspec.structs import asdict

from functions.common.ranking import Ranking, RankingChange
from functions.refresh.results import ItemSummary, Outcome, Summary

NOW = datetime(2020, 12, 22, 14, 12, 3, tzinfo=UTC)
KEYS_LISTED, ERRORS_LISTED, CHANGES_LISTED, TIED_LISTED = 50, 20, 10, 12


def test_a_summary_starts_at_nothing_and_adds_outcomes() -> None:
    summary = ItemSummary()
    assert [value for value in asdict(summary).values() if value] == []
    summary.add(Outcome("ignored", objects=3, keys=["a", "b\0"]))
    summary.add(Outcome("counted", rows_read=5, rows_counted=4, rows_rejected={"x": 1}))
    summary.add(Outcome("counted", rows_read=2, rows_rejected={"x": 1, "y": 1}, losses={"a\0": 7, "c": 0}))
    assert {name: value for name, value in asdict(summary).items() if value} == {
        "objects_counted": 2, "objects_ignored": 3, "ignored": ["a", "b\ufffd"], "rows_read": 7, "rows_counted": 4,
        "rows_rejected": {"x": 2, "y": 1}, "rows_lost": 7, "losses": {"a\ufffd": 7},
    }  # fmt: skip


def test_a_summary_names_the_first_keys() -> None:
    keys = [str(number) for number in range(KEYS_LISTED + 1)]
    summary = ItemSummary()
    for key in keys:
        summary.add(Outcome("ignored", keys=[key]))
        summary.add(Outcome("counted", keys=[key]))
    assert summary.ignored == summary.accepted == keys[:KEYS_LISTED]


def test_a_summary_names_the_objects_that_lost_most_rows_and_sums_the_rows_of_all() -> None:
    summary = ItemSummary()
    for rows in (3, 1, 7, 2, 6, 5, 4):
        summary.add(Outcome("removed", losses={f"{rows}.parquet": rows}))
    assert summary.rows_lost == 28
    assert list(summary.losses.items()) == [(f"{rows}.parquet", rows) for rows in (7, 6, 5, 4, 3)]


def test_an_answer_has_the_first_errors_and_says_how_many_more_there_are() -> None:
    summary = ItemSummary(errors=["e"] * ERRORS_LISTED)
    assert summary.answer().errors == summary.errors
    summary.errors.append("e")
    assert summary.answer().errors == [*["e"] * ERRORS_LISTED, "and 1 more; see the table refreshes"]


def test_an_answer_has_the_first_changes_and_the_first_of_tied_amounts() -> None:
    amounts = list(range(TIED_LISTED + 1))
    change = RankingChange("Peru", "recency_segment", "180+", amounts, amounts)
    summary = Summary(
        refresh_id=1, trigger="daily", as_of=NOW.date(), started_at=NOW, countries=[],
        rankings_changed=[change] * (CHANGES_LISTED + 1),
    )  # fmt: skip
    answer = summary.answer()
    assert (len(answer.changes), answer.segments_changed) == (CHANGES_LISTED, CHANGES_LISTED + 1)
    assert (len(answer.changes[0].before), len(answer.changes[0].after)) == (TIED_LISTED, TIED_LISTED)


def test_an_answer_says_in_how_many_segments_the_first_place_is_undecided() -> None:
    # Given segments led by eight of thirty vouchers and by twelve of thirty, and one with too few to judge
    rankings = [Ranking("Peru", "recency_segment", "180+", [2640], 15 + lead // 2, 30, lead) for lead in (8, 12)]
    few = Ranking("Peru", "frequent_segment", "0-4", [2640], 2, 2, 2)
    summary = Summary(
        refresh_id=1, trigger="daily", as_of=NOW.date(), started_at=NOW, countries=[], rankings=[*rankings, few]
    )
    assert (summary.answer().segments_undecided, summary.answer().segments_published) == (2, 3)
