"""Why a most used amount changed: first publication, countries, rules, day or data, and by which objects."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.common.ranking import ChangedObject, RankingChange
from functions.refresh.ledger import schema
from functions.refresh.results import Summary
from functions.refresh.usecases.events import QuestionError
from functions.refresh.usecases.why import WhyRequest, answer_why
from tests.families import SQL
from tests.functional.conftest import Pipeline
from tests.support import created, daily, deleted, record

OFTEN = "40"


def changes(summary: Summary, family: str = "frequent_segment") -> list[RankingChange]:
    return [change for change in summary.rankings_changed if change.segment_name == family]


def causes(summary: Summary, family: str = "frequent_segment") -> dict[str, list[str]]:
    return {change.segment_type: list(change.causes) for change in changes(summary, family)}


def etag(pipeline: Pipeline, key: str) -> str:
    [found] = pipeline.sql.run("SELECT etag FROM voucher_customer.ledger WHERE key = :key", key=key)
    return str(found[0])


def test_the_first_publication_says_so_and_names_no_object(pipeline: Pipeline) -> None:
    summary = pipeline.refresh(created(pipeline.put("a.parquet", [record()])))
    assert causes(summary) == {"0-4": ["first_publication"]}
    assert changes(summary)[0].objects == []
    assert summary.causes == {"first_publication": 2}
    assert pipeline.column("SELECT causes FROM voucher_customer.refreshes") == [{"first_publication": 2}]


def test_data_that_was_added_overwritten_or_deleted_is_a_cause_with_its_objects(pipeline: Pipeline) -> None:
    # Given 2640 in the lead, by 3
    first = pipeline.put("a.parquet", [record()] * 3)
    pipeline.refresh(created(first))
    before = etag(pipeline, first)
    # When objects come that turn it, one of which helps the other side
    large = pipeline.put("large.parquet", [record(voucher_amount=4400.0)] * 5)
    small = pipeline.put("small.parquet", [record(voucher_amount=4400.0)] * 2 + [record()])
    other = pipeline.put("other.parquet", [record()])
    summary = pipeline.refresh(daily())
    # Then those that contributed come first, and the one that did not is left out
    [change] = changes(summary)
    assert (change.before, change.after, change.causes) == ([2640], [4400], ["data"])
    assert change.objects == [
        ChangedObject(large, etag(pipeline, large), None, 5), ChangedObject(small, etag(pipeline, small), None, 1),
    ]  # fmt: skip
    # When the largest is overwritten, which turns it back, though something is added on the other side
    large_before = etag(pipeline, large)
    pipeline.put("large.parquet", [record()])
    pipeline.put("other.parquet", [record(), record(voucher_amount=4400.0)])
    pipeline.refresh_with(pipeline.make(), created(other))
    summary = pipeline.refresh(daily())
    [change] = changes(summary)
    assert (change.before, change.after) == ([4400], [2640])
    assert change.objects == [ChangedObject(large, etag(pipeline, large), large_before, 6)]
    # When the object that leads is deleted, then the change has its previous version, and none now
    pipeline.delete(first)
    pipeline.put("small.parquet", [record(voucher_amount=4400.0)] * 3)
    summary = pipeline.refresh(daily())
    [change] = changes(summary)
    assert (change.after, change.objects[0]) == ([4400], ChangedObject(first, None, before, 3))
    assert summary.causes == {"data": 2}


def test_an_object_that_changed_and_changed_back_between_publications_is_not_listed(pipeline: Pipeline) -> None:
    key = pipeline.put("a.parquet", [record()])
    pipeline.refresh(created(key))
    # Given an object that is counted twice before anything is published, by runs whose rules are refused
    other = pipeline.put("b.parquet", [record(voucher_amount=4400.0)] * 2)
    refuse = "ALTER TABLE voucher_customer.voucher_segments ADD CONSTRAINT none CHECK (index < 0) NOT VALID"
    pipeline.sql.run(refuse)
    for rows in ([record(voucher_amount=4400.0)] * 2, [record()]):
        pipeline.put("b.parquet", rows)
        with pytest.raises(Exception, match="violates check constraint"):
            pipeline.refresh(created(other))
    pipeline.sql.run("ALTER TABLE voucher_customer.voucher_segments DROP CONSTRAINT none")
    # When it is published at last, then only the difference to the last publication counts
    pipeline.put("c.parquet", [record(voucher_amount=4400.0)] * 3)
    [change] = changes(pipeline.refresh(daily()))
    assert [(one.key, one.vouchers) for one in change.objects] == [("vouchers/c.parquet", 3)]


def test_a_moved_day_is_distinguished_from_new_data(pipeline: Pipeline) -> None:
    # Given old customers of one amount, and two of another who become old ones
    rows = [record(), record(last_order_ts="2020-06-24", voucher_amount=4400.0)]
    pipeline.put("a.parquet", [*rows, rows[1]])
    pipeline.refresh(daily("2020-12-20"))
    # When the day moves, then it is the cause, even where data comes that changes nothing
    pipeline.put("b.parquet", [record(total_orders=OFTEN, last_order_ts="2020-12-20")])
    summary = pipeline.refresh(daily("2020-12-21"))
    assert causes(summary, "recency_segment") == {"120-180": ["as_of"], "180+": ["as_of"]}
    assert causes(summary) == {"37+": ["data"]}
    # When the day moves and data turns what the day did
    pipeline.put("c.parquet", [record(last_order_ts="2020-06-25", voucher_amount=1760.0)] * 9)
    pipeline.refresh(daily("2020-12-21"))
    pipeline.put("d.parquet", [record(voucher_amount=880.0)] * 20)
    summary = pipeline.refresh(daily("2020-12-22"))
    [change] = [one for one in changes(summary, "recency_segment") if one.segment_type == "180+"]
    assert (change.before, change.after, change.causes) == ([4400], [880], ["as_of", "data"])
    assert [(one.key, one.vouchers) for one in change.objects] == [("vouchers/d.parquet", 20)]


def test_values_that_no_longer_occur_count_as_they_were(pipeline: Pipeline) -> None:
    """The only record of a day is overwritten while the as-of day moves: the data is the cause, not the day."""
    key = pipeline.put("a.parquet", [record(last_order_ts="2020-01-01")] * 2)
    pipeline.put("b.parquet", [record(voucher_amount=4400.0)])
    pipeline.refresh(daily("2020-12-20"))
    pipeline.put("a.parquet", [record(total_orders=OFTEN, last_order_ts="2020-12-20")])
    summary = pipeline.refresh(daily("2020-12-21"))
    assert causes(summary, "recency_segment") == {"180+": ["data"]}
    [change] = changes(summary, "recency_segment")
    assert [(one.key, one.vouchers) for one in change.objects] == [(key, 2)]


def test_rules_and_countries_that_changed_are_causes(
    pipeline: Pipeline, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [record(), record(), record(voucher_amount=4400.0, total_orders="6")]
    pipeline.put("a.parquet", [*rows, record(country_code="China")])
    pipeline.refresh(daily())
    # When a range moves
    sql, file = SQL.read_text(), tmp_path / SQL.name
    file.write_text(sql.replace("0,   4)", "0,   1)").replace("5,   13)", "2,   13)"))
    monkeypatch.setattr(schema, "FAMILIES_FILE", file)
    assert causes(pipeline.refresh(daily())) == {"0-4": ["rules"], "5-13": ["rules"]}
    # When a family goes, and comes back
    only = [line for line in sql.splitlines() if "'frequent_segment'" not in line]
    file.write_text("\n".join(only))
    assert causes(pipeline.refresh(daily())) == {"5-13": ["rules"]}
    file.write_text(sql)
    assert causes(pipeline.refresh(daily())) == {"0-4": ["rules"], "5-13": ["rules"]}
    # When other countries are published
    pipeline.environ["COUNTRIES"] = "China"
    summary = pipeline.refresh(daily())
    assert {change.country_code for change in summary.rankings_changed} == {"Peru", "China"}
    assert {cause for change in summary.rankings_changed for cause in change.causes} == {"countries"}


def test_unknown_amounts_that_are_no_longer_published_are_a_changed_rule(pipeline: Pipeline) -> None:
    pipeline.put("a.parquet", [record(voucher_amount=None)] * 3 + [record()] * 2)
    pipeline.refresh(daily("2020-12-20"))
    pipeline.environ["UNKNOWN_AMOUNT_IS_USED"] = "false"
    [change] = changes(pipeline.refresh(daily("2020-12-21")))
    assert (change.before, change.after, change.causes) == ([0], [2640], ["rules"])


def test_where_too_many_objects_changed_all_that_changed_is_named(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("functions.refresh.publishing.causes.MAX_OBJECTS", 1)
    pipeline.put("a.parquet", [record()])
    pipeline.refresh(daily("2020-12-20"))
    for name in ("b", "c"):
        pipeline.put(f"{name}.parquet", [record(voucher_amount=4400.0)])
    summary = pipeline.refresh(daily("2020-12-21"))
    assert causes(summary) == {"0-4": ["as_of", "data"]}
    assert changes(summary)[0].objects == []
    assert pipeline.column("SELECT count(*) FROM voucher_customer.changed_objects") == [0]


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.tuples(st.sampled_from("abc"), st.lists(st.sampled_from([2640.0, 4400.0]), max_size=4)),
        min_size=2,
        max_size=6,
    )
)
def test_the_listed_objects_are_the_whole_difference(pipeline: Pipeline, steps: list[tuple[str, list[float]]]) -> None:
    """What all objects contribute is by how much the lead of the amount that won over the other one changed."""
    for key in "abc":
        pipeline.delete(f"vouchers/{key}.parquet")
    pipeline.refresh(daily())
    counts = dict.fromkeys("abc", (0, 0))
    for key, amounts in [("a", [2640.0]), *steps]:
        name = f"{key}.parquet"
        before = dict(counts)
        counts[key] = (amounts.count(2640.0), amounts.count(4400.0))
        if amounts:
            summary = pipeline.refresh(created(pipeline.put(name, [record(voucher_amount=one) for one in amounts])))
        else:
            pipeline.delete(f"vouchers/{name}")
            summary = pipeline.refresh(deleted(f"vouchers/{name}"))
        for change in changes(summary):
            if change.causes != ["data"] or not change.before or not change.after:
                continue
            won = int((4400 in change.after and 4400 not in change.before) or 2640 not in change.after)
            gained = counts[key][won] - before[key][won] - counts[key][1 - won] + before[key][1 - won]
            assert [(one.key, one.vouchers) for one in change.objects] == [(f"vouchers/{name}", gained)]


def test_why_is_answered_from_what_was_kept(pipeline: Pipeline) -> None:
    pipeline.put("a.parquet", [record()])
    pipeline.refresh(daily("2020-12-20"))
    pipeline.put("b.parquet", [record(voucher_amount=4400.0)] * 2)
    pipeline.refresh(daily("2020-12-21"))
    pipeline.refresh(daily("2020-12-21"))
    for asked in ("frequent_segment 0-4", "frequent_segment"):
        latest, first = answer_why(pipeline.database, WhyRequest(asked, "Peru")).changes
        assert (latest.refresh_id, str(latest.as_of), latest.before, latest.after) == (2, "2020-12-21", [2640], [4400])
        assert [(one.key, one.vouchers) for one in latest.objects] == [("vouchers/b.parquet", 2)]
        assert (first.causes, first.before) == (["first_publication"], [])
        published = pipeline.column("SELECT published_at FROM voucher_customer.refreshes ORDER BY refresh_id")
        assert [first.published_at, latest.published_at] == published[:2]
    for unknown in (("frequent_segment 5-13",), ("frequent_segment", "Chile"), ("x",)):
        with pytest.raises(QuestionError, match=r"there is no segment .* published: frequent_segment 0-4, "):
            answer_why(pipeline.database, WhyRequest(*unknown))
