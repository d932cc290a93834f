"""The API's description of the families that ship, for tests."""

import copy
from typing import Any

from infra.description.document import make_document

DESCRIPTION = make_document()
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
