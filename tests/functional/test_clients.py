"""A client that another project generates from the description: it asks every operation, and loses nothing."""

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

from tests.described import DESCRIPTION
from tests.generated import generate_client

FREQUENT = {"country_code": "Peru", "segment_name": "frequent_segment", "total_orders": 9}
RECENT = {"country_code": "Peru", "segment_name": "recency_segment", "last_order_ts": "2020-12-10"}
EVERY_FAMILY = {"country_code": "Peru", "last_order_ts": "2020-12-10", "total_orders": 9, "explain": True}
BATCH = {"customers": [{**FREQUENT, "customer_id": 1}, RECENT, {**RECENT, "fallback": True}]}

# By operation: what it is asked, and the types of its answers.
QUESTIONS: dict[str, list[tuple[dict[str, Any], str]]] = {
    "health": [({}, "Health")],
    "get_voucher_amount": [
        (FREQUENT, "MostUsed"),
        ({**FREQUENT, "explain": True}, "Explanation"),
        (EVERY_FAMILY, "Explanations"),
        ({**RECENT, "fallback": True}, "MostUsed"),
        ({**RECENT, "fallback": True, "explain": True}, "Explanation"),
        (RECENT, "Problem"),
        ({**FREQUENT, "total_orders": -1}, "Problem"),
    ],
    "segments": [({"country_code": "Peru"}, "Segments"), ({"country_code": "Chile"}, "Problem")],
    "history": [({"country_code": "Peru", "segment_name": "frequent_segment", "limit": 2}, "History")],
    "refreshes": [({}, "Refreshes"), ({"limit": 101}, "Problem")],
    "post_voucher_amount": [
        ({"body": FREQUENT}, "MostUsed"),
        ({"body": {**FREQUENT, "explain": True}}, "Explanation"),
        ({"body": EVERY_FAMILY}, "Explanations"),
        ({"body": RECENT}, "Problem"),
    ],
    "post_voucher_amounts": [
        (
            {"body": {"customers": [{**FREQUENT, "customer_id": 1}, RECENT, {**RECENT, "fallback": True}]}},
            "BatchResults",
        ),
    ],
    "index": [({}, "str")],
    "openapi": [({}, "OpenapiResponse200")],
}
BODIES = {"post_voucher_amount": "Customer", "post_voucher_amounts": "Batch"}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """Generate a client, and import it."""
    folder = tmp_path_factory.mktemp("generated")
    generate_client(folder)
    sys.path.insert(0, str(folder))
    yield importlib.import_module("voucher_client")
    sys.path.remove(str(folder))


def operations() -> dict[str, tuple[str, str]]:
    """Return the group and the path of each operation."""
    paths = DESCRIPTION["paths"]
    return {
        operation["operationId"]: (operation["tags"][0], path)
        for path, methods in paths.items()
        for operation in methods.values()
    }


def asking(client: ModuleType, local_api: str, operation: str) -> Callable[..., Any]:
    group, _ = operations()[operation]
    ask = importlib.import_module(f"{client.__name__}.api.{group}.{operation}").sync_detailed
    models = importlib.import_module(f"{client.__name__}.models")

    def call(**given: Any) -> Any:
        if operation in BODIES:
            given["body"] = getattr(models, BODIES[operation]).from_dict(given["body"])
        with client.Client(local_api) as asked:
            return ask(client=asked, **given)

    return call


def test_a_generated_client_understands_every_answer(client: ModuleType, local_api: str) -> None:
    gets = {operation for operation in QUESTIONS if not operation.startswith("post_")}
    assert set(QUESTIONS) | {head_of(operation) for operation in gets} == set(operations())
    for operation, questions in QUESTIONS.items():
        for given, kind in questions:
            response = asking(client, local_api, operation)(**given)
            assert type(response.parsed).__name__ == kind, (operation, given)
            # Nothing is lost on the way: not what explain adds, and no member of an answer.
            if kind != "str":
                assert response.parsed.to_dict() == json.loads(response.content), (operation, given)
    for operation in gets:
        given, _ = QUESTIONS[operation][0]
        response = asking(client, local_api, head_of(operation))(**given)
        assert (response.status_code, response.content) == (200, b"")
    # And what it read is typed
    explanation = asking(client, local_api, "post_voucher_amount")(body={**FREQUENT, "explain": True}).parsed
    assert explanation.segment.segment_type == "5-13"
    assert (explanation.doubt.lead, explanation.doubt.decided, explanation.runner_up) == (1, False, None)
    first, second, third = asking(client, local_api, "post_voucher_amounts")(body=BATCH).parsed.results
    assert (first.customer_id, first.voucher_amount) == (1, [4400.0])
    assert (second.problem.status, third.level) == (404, "country")
    [run] = asking(client, local_api, "refreshes")(limit=1).parsed.refreshes
    assert (run.trigger, run.outcome, run.rows_lost, run.accepted) == ("object_created", "published", 0, [])


def head_of(operation: str) -> str:
    return f"head_{operation.removeprefix('get_')}"
