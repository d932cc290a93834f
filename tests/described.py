"""The API's description, for tests."""

import copy
from typing import Any

import msgspec

from infra.description.__main__ import DOCUMENT

DESCRIPTION: dict[str, Any] = msgspec.json.decode(DOCUMENT.read_bytes())
SCHEMAS: dict[str, Any] = DESCRIPTION["components"]["schemas"]

REQUESTS = {"Customer", "BatchCustomer", "Batch"}
"""The schemas of requests, whose other fields the API ignores."""


def close_answers(description: dict[str, Any]) -> dict[str, Any]:
    """Return a description of answers that have the described fields only; later releases may add others."""
    closed = copy.deepcopy(description)
    for name, schema in closed["components"]["schemas"].items():
        if "properties" in schema and name not in REQUESTS:
            schema["additionalProperties"] = False
    return closed
