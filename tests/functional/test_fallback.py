"""With `fallback` a lookup always has an answer, which names its level; without it nothing changes."""

from typing import Any

import pytest

from tests.functional.conftest import Call, Pipeline
from tests.support import created, deleted, record

NOBODY_YET = {"country_code": "Peru", "segment_name": "recency_segment", "last_order_ts": "2020-12-10"}
EMPTY = {**NOBODY_YET, "last_order_ts": "2020-11-01"}


@pytest.fixture
def published(pipeline: Pipeline) -> Pipeline:
    """Publish: 2640 leads in Peru, 4400 among those who ordered often."""
    rows = [*[record()] * 4, *[record(voucher_amount=4400.0, total_orders="40")] * 3]
    pipeline.refresh(created(pipeline.put("v.parquet", rows)))
    return pipeline


def ask(call: Call, **fields: Any) -> tuple[int, Any]:
    return call("POST", "/voucher_amount", fields)[:2]


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize("customer", [NOBODY_YET, EMPTY])
def test_the_answer_comes_from_the_level_that_is_named(call: Call, customer: dict[str, str]) -> None:
    assert ask(call, **customer)[0] == ask(call, **customer, fallback=False)[0] == 404
    assert ask(call, **customer, fallback=True) == (200, {"voucher_amount": [2640.0], "level": "country"})
    often = {**customer, "total_orders": 40, "fallback": "true"}
    assert ask(call, **often) == (200, {"voucher_amount": [4400.0], "level": "family"})
    # A field of another family that is of no use leaves that family out
    for orders in (7, -1, "many", None):
        assert ask(call, **{**often, "total_orders": orders})[1]["level"] == "country"


@pytest.mark.usefixtures("published")
def test_a_segment_that_has_an_answer_gives_it(call: Call) -> None:
    customer = {"country_code": "Peru", "segment_name": "frequent_segment", "total_orders": 40}
    assert ask(call, **customer, fallback=True) == (200, {"voucher_amount": [4400.0], "level": "segment"})
    assert ask(call, **customer) == (200, {"voucher_amount": [4400.0]})
    plain = ask(call, **customer, explain=True)[1]
    assert ask(call, **customer, explain=True, fallback=True)[1] == {**plain, "level": "segment"}


@pytest.mark.usefixtures("published")
def test_an_explanation_names_the_segment_that_answered_if_one_did(call: Call) -> None:
    often = ask(call, **NOBODY_YET, total_orders=40, explain=True, fallback=True)[1]
    assert (often["level"], often["segment"]["segment_type"], often["total_orders"]) == ("family", "37+", 40)
    country = ask(call, **NOBODY_YET, explain=True, fallback=True)[1]
    assert country == {
        "voucher_amount": [2640.0],
        "level": "country",
        "segment": None,
        "count": 4,
        "share": 0.5714,
        "runner_up": {"voucher_amount": [4400.0], "count": 3},
        "doubt": {"lead": 1, "lead_share": 0.1429, "z": 0.37, "decided": False},
        "unknown": None,
        "as_of": "2020-12-22",
        "refresh_id": 1,
    }
    # And where every family is asked for, each that has no answer falls back
    every = {name: value for name, value in NOBODY_YET.items() if name != "segment_name"}
    both = ask(call, **every, total_orders=40, explain=True, fallback=True)[1]
    assert {name: answer["level"] for name, answer in both.items()} == {
        "frequent_segment": "segment", "recency_segment": "family",
    }  # fmt: skip


@pytest.mark.parametrize(("vouchers", "expected"), [(2, 4400.0), (4, 1760.0)])
def test_of_two_families_the_one_with_more_vouchers_answers(
    call: Call, published: Pipeline, vouchers: int, expected: float
) -> None:
    # Given a customer without a segment of recency, who is in two other families, in one of them with 3 vouchers
    published.sql.run("INSERT INTO voucher_customer.segment_families VALUES ('tenure', 'days_since(first_order_ts)')")
    published.sql.run("INSERT INTO voucher_customer.customer_segments VALUES ('tenure', 'all', 0, 99999999)")
    published.sql.run(
        "INSERT INTO voucher_customer.voucher_segments"
        " VALUES (0, 0, 99999999, 'tenure', 1760, :vouchers, 'Peru', 'all')",
        vouchers=vouchers,
    )
    # When the customer is looked up, then the answer is that of the segment with more vouchers
    customer = {**NOBODY_YET, "total_orders": 40, "first_order_ts": "2019-01-01", "fallback": True}
    assert ask(call, **customer)[1] == {"voucher_amount": [expected], "level": "family"}


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize(
    ("changes", "status"),
    [({"country_code": "China"}, 404), ({"last_order_ts": "soon"}, 422), ({"segment_name": "none"}, 422)],
)
def test_a_wrong_request_is_refused_as_without_fallback(call: Call, changes: dict[str, str], status: int) -> None:
    assert ask(call, **{**NOBODY_YET, **changes}) == ask(call, **{**NOBODY_YET, **changes}, fallback=True)
    assert ask(call, **{**NOBODY_YET, **changes})[0] == status


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize("flag", [1, "perhaps", None, []])
def test_a_fallback_that_is_neither_true_nor_false_is_named(call: Call, flag: Any) -> None:
    status, problem = ask(call, **NOBODY_YET, fallback=flag)
    assert (status, problem["errors"]) == (422, [{"field": "fallback", "detail": "must be true or false"}])


@pytest.mark.usefixtures("published")
def test_a_batch_falls_back_for_the_customers_who_ask_for_it(call: Call) -> None:
    customers = [NOBODY_YET, {**NOBODY_YET, "fallback": True, "customer_id": 7}, {**NOBODY_YET, "fallback": 2}]
    first, second, third = call("POST", "/voucher_amounts", {"customers": customers})[1]["results"]
    assert first["problem"]["status"] == 404
    assert second == {"customer_id": 7, "voucher_amount": [2640.0], "level": "country"}
    assert third["problem"]["errors"] == [{"field": "fallback", "detail": "must be true or false"}]


def test_the_query_asks_beside_a_body(call: Call, published: Pipeline) -> None:
    assert call("GET", "/voucher_amount", NOBODY_YET, query={"fallback": "true"})[1]["level"] == "country"
    # And a country whose vouchers all went has no answer, whoever asks
    published.delete("vouchers/v.parquet")
    published.refresh(deleted("vouchers/v.parquet"))
    assert ask(call, **NOBODY_YET, fallback=True) == ask(call, **NOBODY_YET)


def test_a_country_is_answered_by_all_that_is_counted_of_it(call: Call, published: Pipeline) -> None:
    """As of a day when recency covers nobody, and after an overwrite that turns the most used amount."""
    published.put("v.parquet", [record(voucher_amount=4400.0)] * 2 + [record()])
    published.refresh({"as_of": "2020-01-10"})
    answer = ask(call, **{**NOBODY_YET, "last_order_ts": "2020-01-01"}, fallback=True, explain=True)[1]
    assert (answer["voucher_amount"], answer["count"], answer["runner_up"]["count"]) == ([4400.0], 2, 1)
