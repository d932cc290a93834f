"""The lookup API through API Gateway's own events, on what the refresh function published."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions import __version__
from tests.functional.conftest import NOW, Call, Pipeline
from tests.support import created, daily, record

RECENCY_CUSTOMER = {
    "customer_id": 123,
    "country_code": "Peru",
    "last_order_ts": "2018-05-03 00:00:00",
    "first_order_ts": "2017-05-03 00:00:00",
    "total_orders": 15,
    "segment_name": "recency_segment",
}
FREQUENT_CUSTOMER = {"country_code": "Peru", "total_orders": 15, "segment_name": "frequent_segment"}

BAD_FIELDS: list[tuple[dict[str, Any], set[str]]] = [
    ({}, {"country_code", "segment_name"}),
    ({"segment_name": "recency_segment"}, {"country_code", "last_order_ts"}),
    ({**FREQUENT_CUSTOMER, "total_orders": -1}, {"total_orders"}),
    ({**FREQUENT_CUSTOMER, "total_orders": 1.5}, {"total_orders"}),
    ({**FREQUENT_CUSTOMER, "total_orders": 2**63}, {"total_orders"}),
    ({**FREQUENT_CUSTOMER, "total_orders": True, "country_code": 51}, {"country_code", "total_orders"}),
    ({**RECENCY_CUSTOMER, "last_order_ts": "soon", "country_code": ""}, {"country_code", "last_order_ts"}),
    ({**RECENCY_CUSTOMER, "last_order_ts": 1525305600}, {"last_order_ts"}),
    ({**RECENCY_CUSTOMER, "last_order_ts": "9999-01-01"}, {"last_order_ts"}),
    ({**FREQUENT_CUSTOMER, "explain": "perhaps"}, {"explain"}),
    ({**FREQUENT_CUSTOMER, "explain": 0}, {"explain"}),
    ({**FREQUENT_CUSTOMER, "explain": 1}, {"explain"}),
    ({**FREQUENT_CUSTOMER, "explain": ""}, {"explain"}),
    ({**FREQUENT_CUSTOMER, "explain": None}, {"explain"}),
    ({**FREQUENT_CUSTOMER, "explain": [True]}, {"explain"}),
    ({**FREQUENT_CUSTOMER, "explain": 1, "fallback": 1, "total_orders": -1}, {"explain", "fallback", "total_orders"}),
    ({**FREQUENT_CUSTOMER, "fallback": 1, "country_code": ""}, {"fallback", "country_code"}),
    ({"country_code": "Peru", "explain": True}, {"last_order_ts", "total_orders"}),
    ({"country_code": "", "explain": True, "total_orders": -1}, {"country_code", "last_order_ts", "total_orders"}),
    ({**FREQUENT_CUSTOMER, "total_orders": ""}, {"total_orders"}),
    ({**FREQUENT_CUSTOMER, "total_orders": " 15"}, {"total_orders"}),
    ({**FREQUENT_CUSTOMER, "total_orders": "015"}, {"total_orders"}),
    ({**FREQUENT_CUSTOMER, "total_orders": "15.5"}, {"total_orders"}),
    ({**RECENCY_CUSTOMER, "last_order_ts": ""}, {"last_order_ts"}),
    ({**RECENCY_CUSTOMER, "last_order_ts": None}, {"last_order_ts"}),
    ({**RECENCY_CUSTOMER, "last_order_ts": "1512010100000"}, {"last_order_ts"}),
    ({**RECENCY_CUSTOMER, "segment_name": ""}, {"segment_name"}),
    ({**FREQUENT_CUSTOMER, "total_orders": "1", "country_code": ""}, {"country_code"}),
    ({**RECENCY_CUSTOMER, "segment_name": "x'; DROP TABLE y;--"}, {"segment_name"}),
    ({**RECENCY_CUSTOMER, "segment_name": ["recency_segment"]}, {"segment_name"}),
]


@pytest.fixture
def published(pipeline: Pipeline) -> Pipeline:
    """Publish: 2640 leads among old customers, 2640 and 4400 are tied at 14-37 orders, 0-4 holds nothing else."""
    rows = [
        *[record(voucher_amount=2640.0, total_orders="15")] * 2,
        *[record(voucher_amount=4400.0, total_orders="20")] * 2,
        record(voucher_amount=2640.0, total_orders="1"),
        record(voucher_amount=1760.0, total_orders="1", country_code="China"),
    ]
    pipeline.refresh(created(pipeline.put("v.parquet", rows)))
    return pipeline


def test_the_index_says_ok(call: Call) -> None:
    assert call("GET", "/")[:2] == (200, "OK")


@pytest.mark.usefixtures("published")
class TestLookup:
    """Lookups on what is published."""

    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_the_request_of_the_source_is_answered(self, call: Call, method: str) -> None:
        status, answer, headers = call(method, "/voucher_amount", RECENCY_CUSTOMER)
        assert (status, answer) == (200, {"voucher_amount": [2640.0]})
        assert headers.get("Content-Type", "application/json") == "application/json"  # API Gateway's default

    def test_tied_amounts_are_all_answered_lowest_first(self, call: Call) -> None:
        assert call("POST", "/voucher_amount", FREQUENT_CUSTOMER)[1] == {"voucher_amount": [2640.0, 4400.0]}

    def test_a_customer_without_orders_is_of_the_first_segment(self, call: Call) -> None:
        assert call("POST", "/voucher_amount", {**FREQUENT_CUSTOMER, "total_orders": 0})[1] == {
            "voucher_amount": [2640.0]
        }

    def test_the_query_string_serves_as_well(self, call: Call) -> None:
        query = {name: str(value) for name, value in FREQUENT_CUSTOMER.items()}
        assert call("GET", "/voucher_amount", query=query)[1] == {"voucher_amount": [2640.0, 4400.0]}

    def test_json_that_curl_labels_as_a_form_is_read(self, call: Call) -> None:
        form = "application/x-www-form-urlencoded"
        assert call("GET", "/voucher_amount", RECENCY_CUSTOMER, content_type=form)[0] == 200

    @pytest.mark.parametrize("text", ["2018-05-03", "2018-05-03T00:00:00Z", "2018-05-03T00:00:00+05:00"])
    def test_days_are_read_as_in_the_pipeline(self, call: Call, text: str) -> None:
        assert call("POST", "/voucher_amount", {**RECENCY_CUSTOMER, "last_order_ts": text})[0] == 200

    def test_only_the_field_of_the_family_is_needed(self, call: Call) -> None:
        customer = {**FREQUENT_CUSTOMER, "last_order_ts": "whenever", "first_order_ts": None}
        assert call("POST", "/voucher_amount", customer)[0] == 200

    def test_every_bad_field_is_named(self, call: Call) -> None:
        for customer, fields in BAD_FIELDS:
            status, problem, headers = call("POST", "/voucher_amount", customer)
            assert status == problem["status"] == 422, customer
            assert headers["Content-Type"] == "application/problem+json"
            assert {error["field"] for error in problem["errors"]} == fields, customer
            assert all(error["detail"] for error in problem["errors"])

    @pytest.mark.parametrize(("family", "says"), [(None, "is missing"), ("none", "is unknown")])
    def test_an_unknown_family_is_distinguished_from_a_missing_one(
        self, call: Call, family: str | None, says: str
    ) -> None:
        _, problem, _ = call("POST", "/voucher_amount", {**FREQUENT_CUSTOMER, "segment_name": family})
        [error] = problem["errors"]
        assert error["detail"] == f"{says}: must be one of frequent_segment, recency_segment"

    def test_a_last_order_may_be_of_today_and_not_of_tomorrow(
        self, call: Call, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("app.now", lambda: datetime(2020, 12, 22, 23, 59, tzinfo=UTC))
        for day, expected in (("2020-12-22", 404), ("2020-12-23", 422)):
            assert call("POST", "/voucher_amount", {**RECENCY_CUSTOMER, "last_order_ts": day})[0] == expected

    def test_a_number_is_taken_as_text_too(self, call: Call) -> None:
        for orders in (15, 15.0, "15", "15.0", "1.5e1"):
            customer = {**FREQUENT_CUSTOMER, "total_orders": orders}
            assert call("POST", "/voucher_amount", customer)[1] == {"voucher_amount": [2640.0, 4400.0]}, orders

    def test_an_explanation_is_asked_for_as_text_too(self, call: Call) -> None:
        for flag in (True, "true", "True", False, "false", "FALSE"):
            answer = call("POST", "/voucher_amount", {**FREQUENT_CUSTOMER, "explain": flag})[1]
            assert ("segment" in answer) == (str(flag).lower() == "true"), flag

    @pytest.mark.parametrize(
        ("path", "query", "field"),
        [
            ("/voucher_amount", {"country_code": ["Peru", "China"], "segment_name": "recency_segment"}, "country_code"),
            ("/voucher_amount", {"country_code": "Peru", "last_order_ts": ["2020-01-06"] * 2}, "last_order_ts"),
            ("/voucher_amount", {"country_code": "Peru", "explain": ["true", "false"]}, "explain"),
            ("/segments", {"country_code": ["Peru", "Peru"]}, "country_code"),
            ("/refreshes", {"limit": ["1", "2"]}, "limit"),
        ],
    )
    def test_a_field_that_occurs_twice_in_a_query_is_refused(
        self, call: Call, path: str, query: Any, field: str
    ) -> None:
        status, problem, _ = call("GET", path, query=query)
        assert (status, problem["errors"]) == (422, [{"field": field, "detail": "occurs more than once"}])

    def test_an_unescaped_plus_in_a_query_string_is_explained(self, call: Call) -> None:
        query = {
            **{name: str(value) for name, value in RECENCY_CUSTOMER.items()},
            "last_order_ts": "2020-01-06T00:00:00 05:00",
        }
        status, problem, _ = call("GET", "/voucher_amount", query=query)
        assert (status, problem["errors"][0]["field"]) == (422, "last_order_ts")
        assert "in a query string write + as %2B" in problem["errors"][0]["detail"]

    @pytest.mark.parametrize("nested", ["[]", '{"":}'])
    def test_a_body_is_nested_up_to_a_hundred_levels(self, call: Call, nested: str) -> None:
        customer = json.dumps(FREQUENT_CUSTOMER).removesuffix("}")
        for depth in (99, 100, 500, 980, 2_000, 100_000):
            deep = nested[:-1] * depth + "1" + nested[-1] * depth
            status, problem, _ = call("POST", "/voucher_amount", f'{customer}, "x": {deep}}}')
            assert status == (200 if depth < 100 else 400), depth
            if status == 400:
                assert problem["detail"] == "the body is nested too deeply: at most 100 levels are taken"
            for field in ("country_code", "segment_name", "last_order_ts", "explain"):
                body = f'{{"segment_name": "recency_segment", "{field}": {deep}}}'
                assert call("POST", "/voucher_amount", body)[0] == (422 if depth < 100 else 400), depth

    @pytest.mark.parametrize(("body", "is_base64"), [("\udc80", False), ("abc", True), ("é", True), ("gAA=", True)])
    def test_a_body_that_cannot_be_decoded_is_malformed(self, call: Call, body: str, is_base64: bool) -> None:
        status, problem, _ = call("POST", "/voucher_amount", body, is_base64=is_base64)
        assert (status, problem["title"]) == (400, "Bad Request")

    def test_what_a_batch_echoes_is_nested_up_to_a_hundred_levels(self, call: Call) -> None:
        for depth, expected in ((97, 200), (98, 400)):
            customer = json.dumps(FREQUENT_CUSTOMER).removesuffix("}")
            nested = "[" * depth + "]" * depth
            body = f'{{"customers": [{customer}, "customer_id": {nested}}}]}}'
            status, answer, _ = call("POST", "/voucher_amounts", body)
            assert status == expected
            if status == 200:
                assert answer["results"][0]["customer_id"] == json.loads(nested)

    @pytest.mark.parametrize("body", ["{", "[1]", '"text"', "NaN", "\ud800"])
    def test_a_body_that_is_not_a_json_object_is_malformed(self, call: Call, body: str) -> None:
        status, problem, _ = call("POST", "/voucher_amount", body.encode("utf-8", "replace").decode())
        assert (status, problem["title"]) == (400, "Bad Request")

    @pytest.mark.parametrize(
        ("changes", "reason", "says"),
        [
            ({"country_code": "China"}, "country_not_served", "country 'China' is not served; served: Peru"),
            ({"country_code": "peru'--"}, "country_not_served", "is not served"),
            (
                {"last_order_ts": "2020-12-10"},
                "no_segment",
                "last order 12 days ago, as of 2020-12-22: recency_segment starts at 30 days",
            ),
            (
                {"last_order_ts": "2020-12-22"},
                "no_segment",
                "last order 0 days ago, as of 2020-12-22: recency_segment starts at 30 days",
            ),
            (
                {"last_order_ts": "2020-12-23"},
                "no_segment",
                "last order 1 days after 2020-12-22, the day that is published",
            ),
            ({"last_order_ts": "2020-11-01"}, "no_voucher", "no voucher was used in recency_segment 30-60"),
        ],
    )
    def test_a_customer_without_an_answer_gets_the_reason(
        self, call: Call, changes: dict[str, str], reason: str, says: str
    ) -> None:
        status, problem, _ = call("POST", "/voucher_amount", {**RECENCY_CUSTOMER, **changes})
        assert (status, problem["reason"]) == (404, reason)
        assert says in problem["detail"]
        # And a country that is not served has the same reason everywhere
        if reason == "country_not_served":
            for route, more in (("/segments", {}), ("/history", {"segment_name": "recency_segment"})):
                status, problem, _ = call("GET", route, query={**changes, **more})
                assert (status, problem["reason"]) == (404, reason)

    @pytest.mark.parametrize(
        ("rule", "orders", "says"),
        [
            (("frequent_segment", "5+", 5, 99), 4, "4 orders: frequent_segment starts at 5 orders"),
            (("frequent_segment", "5+", 5, 99), 100, "100 orders: no frequent_segment covers that"),
            (("frequent_segment", "5+", 5, 99), 2**63 - 1, f"{2**63 - 1} orders: no frequent_segment covers that"),
        ],
    )
    def test_a_customer_that_no_segment_covers_gets_the_reason(
        self, call: Call, pipeline: Pipeline, rule: tuple[str, str, int, int], orders: int, says: str
    ) -> None:
        # Given one family of one rule
        pipeline.sql.run("DELETE FROM voucher_customer.customer_segments")
        family, kind, first, last = rule
        pipeline.sql.run("DELETE FROM voucher_customer.segment_families WHERE segment_name <> :family", family=family)
        insert = "INSERT INTO voucher_customer.customer_segments VALUES (:family, :kind, :first, :last)"
        pipeline.sql.run(insert, family=family, kind=kind, first=first, last=last)
        # When a customer outside it is looked up, then the answer says so
        status, problem, _ = call("POST", "/voucher_amount", {**FREQUENT_CUSTOMER, "total_orders": orders})
        assert (status, problem["detail"]) == (404, says)

    def test_days_are_counted_to_the_day_that_is_published(self, call: Call, published: Pipeline) -> None:
        customer = {**RECENCY_CUSTOMER, "last_order_ts": "2020-01-06"}
        assert call("POST", "/voucher_amount", customer)[0] == 200
        published.refresh({"as_of": "2020-03-01"})
        assert call("POST", "/voucher_amount", customer)[0] == 200  # 55 days, as all vouchers were then
        assert call("POST", "/voucher_amount", RECENCY_CUSTOMER)[0] == 404  # 180+: nobody yet

    def test_an_explanation_adds_all_that_led_to_the_answer(self, call: Call) -> None:
        status, answer, _ = call("POST", "/voucher_amount", {**FREQUENT_CUSTOMER, "explain": True})
        assert (status, answer) == (
            200,
            {
                "voucher_amount": [2640.0, 4400.0],
                "segment": {
                    "segment_name": "frequent_segment",
                    "segment_type": "13-37",
                    "min_range": 14,
                    "max_range": 37,
                },
                "count": 2,
                "share": 0.5,
                "runner_up": None,
                "doubt": {"lead": 0, "lead_share": 0.0, "z": 0.0, "decided": False},
                "unknown": {"amount_share": 0.0, "number_share": 0.0},
                "total_orders": 15,
                "as_of": "2020-12-22",
                "refresh_id": 1,
            },
        )
        query = {
            "explain": "true",
            "country_code": "Peru",
            "segment_name": "recency_segment",
            "last_order_ts": "2020-01-06",
        }
        answer = call("GET", "/voucher_amount", query=query)[1]
        assert (answer["voucher_amount"], answer["count"], answer["share"]) == ([2640.0], 3, 0.6)
        assert answer["runner_up"] == {"voucher_amount": [4400.0], "count": 2}
        assert answer["doubt"] == {"lead": 1, "lead_share": 0.2, "z": 0.44, "decided": False}
        assert answer["days_since_last_order"] == 351

    def test_an_explanation_has_the_share_of_all_vouchers_and_the_runner_up(
        self, call: Call, published: Pipeline
    ) -> None:
        # Given three amounts among customers of few orders
        amounts = [1760.0, 1760.0, 1760.0, 2640.0, 3520.0, 3520.0]
        rows = [record(voucher_amount=amount, total_orders="1") for amount in amounts]
        published.refresh(created(published.put("w.parquet", rows)))
        # When it is explained
        answer = call("POST", "/voucher_amount", {**FREQUENT_CUSTOMER, "total_orders": 1, "explain": True})[1]
        # Then the answer has four decimals of the share, and the two runners-up
        assert (answer["voucher_amount"], answer["count"], answer["share"]) == ([1760.0], 3, 0.4286)
        assert answer["runner_up"] == {"voucher_amount": [2640.0, 3520.0], "count": 2}

    def test_an_explanation_without_a_family_answers_both(self, call: Call) -> None:
        customer = {**RECENCY_CUSTOMER, "explain": True, "total_orders": 7}
        del customer["segment_name"]
        answer = call("POST", "/voucher_amount", customer)[1]
        assert answer["recency_segment"]["voucher_amount"] == [2640.0]
        assert answer["frequent_segment"] == {
            "voucher_amount": [],
            "detail": "no voucher was used in frequent_segment 5-13",
            "reason": "no_voucher",
        }

    def test_a_batch_answers_each_customer_in_order_and_alone(self, call: Call) -> None:
        customers = [
            RECENCY_CUSTOMER,
            {**FREQUENT_CUSTOMER, "total_orders": -1, "customer_id": "b"},
            {**FREQUENT_CUSTOMER, "total_orders": 7, "customer_id": 7},
            FREQUENT_CUSTOMER,
        ]
        status, answer, _ = call("POST", "/voucher_amounts", {"customers": customers})
        assert status == 200
        first, second, third, fourth = answer["results"]
        assert first == {"customer_id": 123, "voucher_amount": [2640.0]}
        assert second["customer_id"] == "b"
        assert (second["problem"]["status"], second["problem"]["errors"][0]["field"]) == (422, "total_orders")
        assert third["problem"] == {
            "status": 404,
            "detail": "no voucher was used in frequent_segment 5-13",
            "reason": "no_voucher",
        }
        assert fourth == {"voucher_amount": [2640.0, 4400.0]}

    @pytest.mark.parametrize("size", [0, 1, 1000, 1001])
    def test_a_batch_holds_up_to_a_thousand(self, call: Call, size: int) -> None:
        status, answer, _ = call("POST", "/voucher_amounts", {"customers": [FREQUENT_CUSTOMER] * size})
        if size in (1, 1000):
            assert (status, len(answer["results"])) == (200, size)
        else:
            assert (status, answer["errors"][0]["field"]) == (422, "customers")

    def test_the_segments_of_a_country_come_with_their_counts(self, call: Call) -> None:
        status, answer, _ = call("GET", "/segments", query={"country_code": "Peru"})
        assert status == 200
        assert [segment["segment_type"] for segment in answer["families"]["recency_segment"]] == [
            "30-60", "60-90", "90-120", "120-180", "180+",
        ]  # fmt: skip
        assert answer["families"]["frequent_segment"][2] == {
            "segment_type": "13-37",
            "min_range": 14,
            "max_range": 37,
            "voucher_amount": [2640.0, 4400.0],
            "amounts": [{"voucher_amount": 2640.0, "count": 2}, {"voucher_amount": 4400.0, "count": 2}],
            "doubt": {"lead": 0, "lead_share": 0.0, "z": 0.0, "decided": False},
            "unknown": {"amount_share": 0.0, "number_share": 0.0},
        }
        empty = answer["families"]["frequent_segment"][1]
        assert (empty["amounts"], empty["doubt"], empty["unknown"]) == ([], None, None)
        assert call("GET", "/segments", query={"country_code": "China"})[0] == 404
        assert call("GET", "/segments")[1]["errors"] == [{"field": "country_code", "detail": "is missing"}]

    def test_the_latest_refreshes_are_listed(self, call: Call, published: Pipeline) -> None:
        published.refresh({"as_of": "2018-08-05"})
        status, answer, _ = call("GET", "/refreshes", query={"limit": "1"})
        assert (status, len(answer["refreshes"])) == (200, 1)
        [run] = answer["refreshes"]
        assert (run["trigger"], run["as_of"], run["outcome"]) == ("manual", "2018-08-05", "published")
        assert len(call("GET", "/refreshes")[1]["refreshes"]) == 2

    @pytest.mark.parametrize(("limit", "listed"), [("1", 1), ("", 20), ("100", 100), ("0", None), ("101", None)])
    def test_as_many_refreshes_are_listed_as_are_asked_for(
        self, call: Call, published: Pipeline, limit: str, listed: int | None
    ) -> None:
        # Given a hundred refreshes after the first
        published.sql.run(
            "INSERT INTO voucher_customer.refreshes (trigger, as_of, started_at, outcome)"
            " SELECT 'daily', '2020-12-22', now(), 'published' FROM generate_series(1, 100)"
        )
        # When the latest are asked for, then they come, the last one first
        _, answer, _ = call("GET", "/refreshes", query={"limit": limit} if limit else None)
        if listed is None:
            assert answer["errors"][0]["field"] == "limit"
        else:
            assert [run["refresh_id"] for run in answer["refreshes"]] == list(range(101, 101 - listed, -1))

    def test_answers_are_tied_to_the_refresh(self, call: Call, published: Pipeline) -> None:
        query = {name: str(value) for name, value in FREQUENT_CUSTOMER.items()}
        _, _, headers = call("GET", "/voucher_amount", query=query)
        assert headers["ETag"] == f'"refresh-1-{NOW.timestamp():.6f}"'
        assert headers["Cache-Control"] == "private, max-age=0"
        assert "Voucher-Stale" not in headers
        assert call("GET", "/voucher_amount", query=query, etag=headers["ETag"])[:2] == (304, "")
        published.refresh(daily())
        status, _, headers = call("GET", "/voucher_amount", query=query, etag=headers["ETag"])
        assert (status, headers["ETag"]) == (200, f'"refresh-2-{NOW.timestamp():.6f}"')

    @pytest.mark.parametrize("path", ["/", "/health", "/openapi.json", "/refreshes"])
    def test_head_answers_as_get_without_a_body(self, call: Call, path: str) -> None:
        status, _, headers = call("GET", path)
        assert call("HEAD", path) == (status, "", headers)
        assert call("HEAD", "/segments") == (422, "", {"Content-Type": "application/problem+json"})

    @pytest.mark.parametrize(("over", "expected"), [(0, 200), (1, 413)])
    @pytest.mark.usefixtures("published")
    def test_a_body_over_a_mebibyte_is_refused(self, call: Call, over: int, expected: int) -> None:
        others = len(json.dumps({**FREQUENT_CUSTOMER, "note": ""}))
        status, answer, _ = call(
            "POST", "/voucher_amount", {**FREQUENT_CUSTOMER, "note": "x" * (2**20 - others + over)}
        )
        assert (status, answer.get("title")) == (expected, "Content Too Large" if over else None)

    @pytest.mark.parametrize(
        ("method", "content_type", "expected"),
        [("DELETE", "application/json", 405), ("OPTIONS", "application/json", 405), ("POST", "text/xml", 415)],
    )
    def test_what_chalice_refuses_is_a_problem_document_too(
        self, call: Call, method: str, content_type: str, expected: int
    ) -> None:
        status, problem, headers = call(method, "/voucher_amount", FREQUENT_CUSTOMER, content_type=content_type)
        assert (status, problem["status"]) == (expected, expected)
        assert headers["Content-Type"] == "application/problem+json"
        assert headers.get("Allow") == ("GET, HEAD, POST" if expected == 405 else None)

    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        customer=st.dictionaries(
            st.sampled_from(["country_code", "segment_name", "total_orders", "last_order_ts", "explain"]),
            st.one_of(
                st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(),
                st.sampled_from(["Peru", "recency_segment", "frequent_segment", "2020-01-06"]),
                st.lists(st.integers(), max_size=2), st.dictionaries(st.text(), st.integers(), max_size=2),
            ),
        )
    )  # fmt: skip
    def test_whatever_is_sent_the_answer_is_one_of_the_known(self, call: Call, customer: dict[str, Any]) -> None:
        status, _, _ = call("POST", "/voucher_amount", customer)
        assert status in (200, 404, 422)
        status, answer, _ = call("POST", "/voucher_amounts", {"customers": [customer, FREQUENT_CUSTOMER]})
        assert (status, answer["results"][1]) == (200, {"voucher_amount": [2640.0, 4400.0]})

    def test_health_says_how_fresh_the_answers_are(self, call: Call, environ: dict[str, str]) -> None:
        status, health, _ = call("GET", "/health")
        assert status == 200
        assert health.pop("age_seconds") > 0
        assert health == {
            "status": "ok",
            "database": "reachable",
            "refresh_id": 1,
            "as_of": "2020-12-22",
            "published_at": "2020-12-22T14:12:03+00:00",
            "countries": ["Peru"],
            "version": __version__,
            "commit": environ["COMMIT"],
        }


@pytest.mark.parametrize("path", ["/health", "/voucher_amount"])
def test_before_the_first_publication_the_service_is_unavailable(call: Call, pipeline: Pipeline, path: str) -> None:
    for _ in ("no schema yet", "no publication yet"):
        status, problem, _headers = call("GET", path, query={k: str(v) for k, v in FREQUENT_CUSTOMER.items()})
        assert status == 503
        assert "nothing is published yet" in problem["detail"]
        pipeline.make()  # makes the schema


@pytest.mark.parametrize("path", ["/health", "/voucher_amount"])
def test_without_a_database_the_service_is_unavailable_and_says_no_more(
    call: Call, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setenv("DATABASE_PORT", "1")
    status, problem, _ = call("GET", path, query={k: str(v) for k, v in FREQUENT_CUSTOMER.items()})
    assert status == 503
    assert problem["detail"] == "the database cannot be reached: ask again shortly"
    assert environ["DATABASE_HOST"] not in json.dumps(problem)
