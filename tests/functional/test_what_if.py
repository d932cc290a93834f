"""What if the rules were others: the table that would be published, without writing anything."""

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.common.families import SegmentRulesError
from functions.refresh.publishing import cuts, trial
from functions.refresh.publishing.cuts import suggest_cuts
from functions.refresh.usecases.events import QuestionError
from functions.refresh.usecases.questions import read_question
from functions.refresh.usecases.what_if import WhatIf, WhatIfRequest, answer_what_if
from infra.operations.analyses import read_rules
from infra.operations.deployed import OperationError
from infra.sample.sample import make_sample
from tests.families import SQL, example
from tests.functional.conftest import Pipeline
from tests.support import PREFIX, Published, daily, record

SHIPPED = SQL.read_text()
OTHER = SHIPPED.replace("0,   4)", "0,   1)").replace("5,   13)", "2,   13)")
USAGE = st.lists(
    st.tuples(st.integers(-3, 6), st.sampled_from([2640, 3520, 4400]), st.integers(1, 60)), min_size=1, max_size=12
)


def ask(pipeline: Pipeline, rules: str, folder: Path, **more: Any) -> WhatIf:
    """Ask as the command does: through JSON."""
    (folder / "my.sql").write_text(rules)
    families, segments = read_rules(folder / "my.sql")
    event = json.loads(json.dumps({"what_if": {"families": families, "segments": segments}, **more}))
    question = read_question(event, prefix=PREFIX)
    assert isinstance(question, WhatIfRequest)
    return msgspec.convert(msgspec.to_builtins(answer_what_if(pipeline.database, question)), WhatIf)


def table(found: WhatIf) -> Published:
    return {
        (one.country_code, one.segment_name, one.segment_type, one.min_range, one.max_range, amount): count
        for one in found.segments
        for amount, count in one.amounts
    }


def state(pipeline: Pipeline) -> list[Any]:
    tables = pipeline.column("SELECT tablename FROM pg_tables WHERE schemaname = 'voucher_customer' ORDER BY 1")
    digest = "SELECT md5(string_agg(CAST(found AS text), ',')) FROM voucher_customer.{} AS found"
    return [pipeline.sql.run(digest.format(name)) for name in tables]


def test_the_rules_that_are_published_give_the_published_table(pipeline: Pipeline, tmp_path: Path) -> None:
    pipeline.put("v.parquet", make_sample())
    pipeline.refresh({"as_of": "2020-06-15"})
    before = state(pipeline)
    found = ask(pipeline, SHIPPED, tmp_path)
    assert table(found) == pipeline.published()
    assert (found.as_of, found.countries, found.changes, found.not_counted) == ("2020-06-15", ["Peru"], [], {})
    assert found.rows_in_no_segment == {"frequent_segment": 0, "recency_segment": 0}
    # And nothing was written
    assert state(pipeline) == before
    # When other rules are asked for, of other countries and another day
    found = ask(pipeline, OTHER, tmp_path, as_of="2020-12-22", countries=["Peru", "Latvia"])
    assert state(pipeline) == before
    # Then it is what they publish
    pipeline.environ["COUNTRIES"] = "Peru,Latvia"
    assert {place[0] for place in table(found)} == {"Peru", "Latvia"}


def test_changes_are_listed_with_doubt_and_records_without_a_segment(pipeline: Pipeline, tmp_path: Path) -> None:
    rows = [*[record()] * 2, *[record(total_orders="1", voucher_amount=4400.0)] * 3, record(total_orders="2000")]
    pipeline.put("v.parquet", rows)
    pipeline.refresh(daily())
    found = ask(pipeline, OTHER.replace("38,  99999999", "38,  99"), tmp_path)
    assert [(one.segment_type, one.before, one.after) for one in found.changes] == [
        ("5-13", [], [2640]), ("37+", [2640], []),
    ]  # fmt: skip
    assert found.rows_in_no_segment == {"frequent_segment": 1, "recency_segment": 0}
    assert [one.doubt.decided for one in found.segments] == [False] * len(found.segments)
    [frequent, recency] = found.suggestions
    assert (frequent.country_code, frequent.segment_name, frequent.cuts.vouchers) == ("Peru", "frequent_segment", 6)
    assert recency.segment_name == "recency_segment"


def test_a_dimension_that_is_not_counted_is_named(pipeline: Pipeline, tmp_path: Path) -> None:
    pipeline.put("v.parquet", [record()])
    pipeline.refresh(daily())
    found = ask(pipeline, f"{SHIPPED}\n{example()}", tmp_path)
    assert found.not_counted == {"silence_segment": 1, "tenure_segment": 1}
    assert table(found) == pipeline.published()


def test_what_cannot_be_answered_says_why(pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline.make()
    with pytest.raises(QuestionError, match="nothing is published"):
        ask(pipeline, SHIPPED, tmp_path)
    pipeline.put("v.parquet", [record()])
    pipeline.refresh(daily())
    with pytest.raises(SegmentRulesError, match="overlap"):
        ask(pipeline, SHIPPED.replace("5,   13)", "4,   13)"), tmp_path)
    with pytest.raises(OperationError, match=r"my.sql cannot be loaded: syntax error"):
        ask(pipeline, "INSERT INTO nowhere", tmp_path)
    with pytest.raises(OperationError, match="cannot be read"):
        read_rules(tmp_path / "none.sql")
    monkeypatch.setattr(trial, "MAX_CELLS", 1)
    with pytest.raises(
        QuestionError, match="there would be 4 segments and amounts, an answer holds 1: name fewer countries"
    ):
        ask(pipeline, SHIPPED, tmp_path)


def best_by_trying(usage: list[tuple[int, int, int]], segments: int) -> tuple[int, int]:
    """Try every way to cut; return the best sum, and the fewest cuts that reach it."""
    numbers = sorted({number for number, _, _ in usage})
    least = min(30, sum(count for _, _, count in usage))
    found: list[tuple[int, int]] = []
    for number in range(min(segments, len(numbers))):
        for chosen in combinations(numbers[1:], number):
            sums = []
            for low, high in zip((numbers[0], *chosen), (*chosen, numbers[-1] + 1), strict=True):
                inside: dict[int, int] = {}
                for value, amount, count in usage:
                    if low <= value < high:
                        inside[amount] = inside.get(amount, 0) + count
                sums.append(max(inside.values()) if sum(inside.values()) >= least else None)
            if None not in sums:
                found.append((sum(one for one in sums if one is not None), -len(chosen)))
    best, fewest = max(found)
    return best, -fewest


@settings(deadline=None)
@given(USAGE, st.integers(1, 5))
def test_the_best_cuts_are_those_that_trying_all_of_them_finds(
    usage: list[tuple[int, int, int]], segments: int
) -> None:
    found = suggest_cuts(usage, segments)
    assert (found.of_most_used, len(found.best)) == best_by_trying(usage, segments)
    assert found.vouchers == sum(count for _, _, count in usage)
    numbers = {number for number, _, _ in usage}
    assert set(found.best) | set(found.quantiles) <= numbers - {min(numbers)}
    assert len(found.quantiles) < max(segments, 2)


def test_cuts_of_many_values_are_found_within_bins(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given 3,000 values, of which those from 1,000 on have another most used amount
    usage = [(number, 2640 if number < 1000 else 4400, 5) for number in range(3000)]
    found = suggest_cuts(usage, 3)
    assert (found.quantiles, found.of_most_used, len(found.best)) == ([1000, 2000], found.of_most_used, 1)
    assert abs(found.best[0] - 1000) <= 3000 / cuts.MAX_BINS
    monkeypatch.setattr(cuts, "MAX_BINS", 3000)
    assert (suggest_cuts(usage, 3).best, suggest_cuts(usage, 3).of_most_used) == ([1000], 15_000)
    assert np.all(np.diff(found.quantiles) > 0)
