"""History: the most used amounts by as-of day, as they were last published, and since when they are those of today."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.functional.conftest import Call, Pipeline
from tests.support import created, daily, deleted, record, wait_until_blocked

FAMILY = {"country_code": "Peru", "segment_name": "frequent_segment"}


def history(call: Call, **query: str) -> dict[str, Any]:
    status, answer, _ = call("GET", "/history", query={**FAMILY, **query})
    assert status == 200
    return dict(answer)


def days(answer: dict[str, Any]) -> list[tuple[str, list[Any]]]:
    return [
        (day["as_of"], [(found["segment_type"], found["voucher_amount"]) for found in day["segments"]])
        for day in answer["days"]
    ]


def test_the_days_come_as_they_were_last_published_with_share_and_doubt(call: Call, pipeline: Pipeline) -> None:
    # Given a day that is published twice, the second time after an overwrite, and a day on which nothing is left
    key = pipeline.put("a.parquet", [record()])
    pipeline.refresh(created(key, "2020-12-20"))
    pipeline.put("a.parquet", [record(voucher_amount=4400.0)] * 40 + [record()] * 10)
    second = pipeline.refresh(created(key, "2020-12-20"))
    pipeline.refresh(daily("2020-12-21"))
    pipeline.delete(key)
    pipeline.refresh(deleted(key, "2020-12-22"))
    # Then each day is there once, the latest first
    answer = history(call)
    few = [("0-4", [4400.0])]
    assert days(answer) == [("2020-12-22", []), ("2020-12-21", few), ("2020-12-20", few)]
    assert answer["days"][2]["refresh_id"] == second.refresh_id
    assert answer["days"][2]["segments"][0] == {
        "segment_type": "0-4",
        "voucher_amount": [4400.0],
        "count": 40,
        "share": 0.8,
        "doubt": {"lead": 30, "lead_share": 0.6, "z": 4.24, "decided": True},
    }
    # And nothing is most used since any day
    assert answer["since"] == {}
    # And each change has its causes, the last one first
    gone, overwritten, first = answer["changes"]
    assert first["causes"] == ["first_publication"]
    assert (overwritten["refresh_id"], overwritten["before"], overwritten["after"]) == (2, [2640.0], [4400.0])
    [found] = overwritten["objects"]
    assert (found["key"], found["vouchers"]) == (key, 40 - 9)
    assert (gone["after"], gone["causes"], gone["objects"][0]["etag"]) == ([], ["data"], None)
    assert gone["objects"][0]["etag_before"] == found["etag"]


def test_since_is_the_first_day_of_the_stretch_that_reaches_to_the_published_day(
    call: Call, pipeline: Pipeline
) -> None:
    # Given amounts that change and change back, and a segment that comes later
    for day, amounts in (("18", [4400.0]), ("19", [2640.0]), ("20", [4400.0]), ("21", [4400.0])):
        rows = [record(voucher_amount=amount) for amount in amounts]
        rows += [record(total_orders="7")] if day == "21" else []
        pipeline.put("a.parquet", rows)
        pipeline.refresh(daily(f"2020-12-{day}"))
    assert history(call)["since"] == {"0-4": "2020-12-20", "5-13": "2020-12-21"}
    assert history(call, limit="1")["since"] == {"0-4": "2020-12-21", "5-13": "2020-12-21"}
    # A tie is another answer
    pipeline.put("b.parquet", [record()])
    pipeline.refresh(daily("2020-12-22"))
    assert history(call)["since"] == {"0-4": "2020-12-22", "5-13": "2020-12-21"}
    # And a day of the past that is published by hand ends with that day
    pipeline.refresh({"as_of": "2020-12-19"})
    assert [day for day, _ in days(history(call))] == ["2020-12-19", "2020-12-18"]


@pytest.mark.parametrize(("limit", "count"), [("1", 1), ("366", 366), (None, 30)])
def test_as_many_days_are_listed_as_are_asked_for(
    call: Call, pipeline: Pipeline, limit: str | None, count: int
) -> None:
    pipeline.refresh(created(pipeline.put("a.parquet", [record()])))
    pipeline.sql.run(
        "INSERT INTO voucher_customer.rankings SELECT as_of - number, refresh_id, rankings, changes"
        " FROM voucher_customer.rankings, generate_series(1, 400) AS number"
    )
    answer = history(call, **({"limit": limit} if limit else {}))
    assert (len(answer["days"]), answer["days"][0]["as_of"]) == (count, "2020-12-22")


def test_a_day_that_was_kept_before_doubt_was_recorded_has_none(call: Call, pipeline: Pipeline) -> None:
    pipeline.refresh(created(pipeline.put("a.parquet", [record()])))
    pipeline.sql.run(
        'INSERT INTO voucher_customer.rankings VALUES (\'2020-12-21\', 1, \'[{"country_code": "Peru",'
        ' "segment_name": "frequent_segment", "segment_type": "0-4", "voucher_amount": [2640],'
        ' "count": 3, "vouchers": 4}]\', \'[]\')'
    )
    latest, before = history(call)["days"]
    assert (before["segments"][0]["share"], before["segments"][0]["doubt"]) == (0.75, None)
    assert latest["segments"][0]["doubt"] is not None


def test_days_and_changes_are_those_of_one_publication(call: Call, pipeline: Pipeline) -> None:
    # Given a publication, and the next one about to change the history when a request for it comes
    pipeline.refresh(created(pipeline.put("a.parquet", [record()])))
    pipeline.refresh(daily())

    def refreshes(answer: dict[str, Any]) -> tuple[list[int], list[int]]:
        days, changes = ([found["refresh_id"] for found in answer[name]] for name in ("days", "changes"))
        return days, changes

    assert refreshes(history(call)) == ([2], [1])
    pipeline.sql.run("BEGIN")
    pipeline.sql.run("LOCK TABLE voucher_customer.ranking_changes")
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(history, call)
        wait_until_blocked(asking, pipeline.sql)
        # When it changes the day and the changes while the request reads
        pipeline.sql.run("UPDATE voucher_customer.rankings SET refresh_id = 1")
        pipeline.sql.run("UPDATE voucher_customer.ranking_changes SET refresh_id = 2")
        pipeline.sql.run("COMMIT")
        # Then the answer has both from before or both from after
        assert refreshes(asking.result()) in (([2], [1]), ([1], [2]))


def test_a_wrong_request_and_a_missing_publication_are_named(call: Call, pipeline: Pipeline) -> None:
    assert call("GET", "/history", query=FAMILY)[0] == 503
    pipeline.refresh(daily())
    assert history(call)["days"] == [{"as_of": "2020-12-22", "refresh_id": 1, "segments": []}]
    assert call("GET", "/history", query={**FAMILY, "country_code": "China"})[0] == 404
    for query, field in (
        ({"limit": "0"}, "limit"),
        ({"limit": "367"}, "limit"),
        ({"segment_name": "none"}, "segment_name"),
    ):
        status, problem, _ = call("GET", "/history", query={**FAMILY, **query})
        assert (status, [error["field"] for error in problem["errors"]]) == (422, [field])
    assert {error["field"] for error in call("GET", "/history")[1]["errors"]} == {"country_code", "segment_name"}
    assert call("HEAD", "/history", query=FAMILY)[:2] == (200, "")
