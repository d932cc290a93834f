"""The lookup API through API Gateway's own events, on what the refresh function published."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.functional.conftest import Pipeline
from tests.support import created, record

RECENCY_CUSTOMER = {
    "customer_id": 123,
    "country_code": "Peru",
    "last_order_ts": "2018-05-03 00:00:00",
    "first_order_ts": "2017-05-03 00:00:00",
    "total_orders": 15,
    "segment_name": "recency_segment",
}
FREQUENT_CUSTOMER = {"country_code": "Peru", "total_orders": 15, "segment_name": "frequent_segment"}

Call = Callable[..., tuple[int, Any, dict[str, str]]]


class Context:
    """The little of Lambda's context that the logger reads."""

    function_name = "lookup"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:lookup"
    aws_request_id = "52fdfc07-2182-154f-163f-5f0f9a621d72"


@pytest.fixture
def call(pipeline: Pipeline) -> Iterator[Call]:
    """Call the API as API Gateway does; answers status, JSON or text, and headers."""
    import app as lookup

    def send(
        method: str,
        path: str,
        body: Any = None,
        query: dict[str, str] | None = None,
        content_type: str = "application/json",
    ) -> tuple[int, Any, dict[str, str]]:
        event = {
            "resource": path,
            "path": path,
            "httpMethod": method,
            "headers": {"Content-Type": content_type},
            "multiValueHeaders": {"Content-Type": [content_type]},
            "queryStringParameters": query,
            "multiValueQueryStringParameters": {name: [value] for name, value in (query or {}).items()} or None,
            "pathParameters": None,
            "stageVariables": None,
            "requestContext": {"httpMethod": method, "resourcePath": path, "identity": {"sourceIp": "192.0.2.1"}},
            "body": body if body is None or isinstance(body, str) else json.dumps(body),
            "isBase64Encoded": False,
        }
        answer = lookup.app(event, Context())
        is_json = "json" in answer["headers"].get("Content-Type", "application/json")
        return answer["statusCode"], json.loads(answer["body"]) if is_json else answer["body"], answer["headers"]

    yield send
    lookup.database().close()
    lookup.database.cache_clear()


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

    @pytest.mark.parametrize(
        ("customer", "fields"),
        [
            ({}, {"country_code", "segment_name"}),
            ({"segment_name": "recency_segment"}, {"country_code", "last_order_ts"}),
            ({**FREQUENT_CUSTOMER, "total_orders": -1}, {"total_orders"}),
            ({**FREQUENT_CUSTOMER, "total_orders": 1.5}, {"total_orders"}),
            ({**FREQUENT_CUSTOMER, "total_orders": 10**40}, {"total_orders"}),
            ({**FREQUENT_CUSTOMER, "total_orders": True, "country_code": 51}, {"country_code", "total_orders"}),
            ({**RECENCY_CUSTOMER, "last_order_ts": "soon", "country_code": ""}, {"country_code", "last_order_ts"}),
            ({**RECENCY_CUSTOMER, "last_order_ts": 1525305600}, {"last_order_ts"}),
            ({**RECENCY_CUSTOMER, "segment_name": "x'; DROP TABLE y;--"}, {"segment_name"}),
            ({**RECENCY_CUSTOMER, "segment_name": ["recency_segment"]}, {"segment_name"}),
        ],
    )
    def test_every_bad_field_is_named(self, call: Call, customer: dict[str, Any], fields: set[str]) -> None:
        status, problem, headers = call("POST", "/voucher_amount", customer)
        assert status == problem["status"] == 422
        assert headers["Content-Type"] == "application/problem+json"
        assert {error["field"] for error in problem["errors"]} == fields
        assert all(error["detail"] for error in problem["errors"])

    @pytest.mark.parametrize("body", ["{", "[1]", '"text"', "NaN", "\ud800"])
    def test_a_body_that_is_no_json_object_is_malformed(self, call: Call, body: str) -> None:
        status, problem, _ = call("POST", "/voucher_amount", body.encode("utf-8", "replace").decode())
        assert (status, problem["title"]) == (400, "Bad Request")

    @pytest.mark.parametrize(
        ("changes", "says"),
        [
            ({"country_code": "China"}, "country 'China' is not served; served: Peru"),
            ({"country_code": "peru'--"}, "is not served"),
            ({"last_order_ts": "2020-12-10"}, "last order 12 days before 2020-12-22: no recency_segment covers that"),
            ({"last_order_ts": "2020-11-01"}, "no voucher was used in recency_segment 30-60"),
        ],
    )
    def test_a_customer_without_an_answer_is_told_why(self, call: Call, changes: dict[str, str], says: str) -> None:
        status, problem, _ = call("POST", "/voucher_amount", {**RECENCY_CUSTOMER, **changes})
        assert status == 404
        assert says in problem["detail"]

    def test_days_are_counted_to_the_day_that_is_published(self, call: Call, published: Pipeline) -> None:
        customer = {**RECENCY_CUSTOMER, "last_order_ts": "2020-01-06"}
        assert call("POST", "/voucher_amount", customer)[0] == 200
        published.refresh({"as_of": "2020-03-01"})
        assert call("POST", "/voucher_amount", customer)[0] == 200  # 55 days, as all vouchers were then
        assert call("POST", "/voucher_amount", RECENCY_CUSTOMER)[0] == 404  # 180+: nobody yet

    def test_health_tells_how_fresh_the_answers_are(self, call: Call) -> None:
        status, health, _ = call("GET", "/health")
        assert status == 200
        assert health == {
            "status": "ok",
            "refresh_id": 1,
            "as_of": "2020-12-22",
            "published_at": "2020-12-22T14:12:03+00:00",
            "countries": ["Peru"],
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
