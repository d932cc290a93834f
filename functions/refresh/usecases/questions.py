"""Questions that change nothing: why, a slice, or what if."""

from collections.abc import Mapping
from typing import Any

import msgspec

from functions.common.database import Database
from functions.refresh.usecases.events import EventError
from functions.refresh.usecases.slices import SliceRequest, take_slice
from functions.refresh.usecases.what_if import WhatIfRequest, answer_what_if
from functions.refresh.usecases.why import WhyRequest, answer_why

Question = WhyRequest | SliceRequest | WhatIfRequest
"""A question."""

_QUESTIONS: dict[str, type[Question]] = {"why": WhyRequest, "slice": SliceRequest, "what_if": WhatIfRequest}


def read_question(event: Mapping[str, Any]) -> Question | None:
    """Return the question of an invocation.

    One of `{"why": "recency_segment 180+"}`, `{"slice": "vouchers/2020-05/"}` and
    `{"what_if": {"families": [...], "segments": [...]}}`.

    Returns
    -------
    Question or None
        None when the event is not a question.

    Raises
    ------
    EventError
        When a field is unknown or of another kind.
    """
    kind = next((kind for name, kind in _QUESTIONS.items() if name in event), None)
    if kind is None:
        return None
    try:
        return msgspec.convert(event, kind)
    except msgspec.ValidationError as error:
        fields = ", ".join(kind.__struct_fields__)
        raise EventError(f"the question cannot be read: {error}. Its fields are {fields}") from error


def answer(database: Database, question: Question) -> msgspec.Struct:
    """Return the answer to a question, in a transaction that only reads.

    Raises
    ------
    QuestionError, SegmentRulesError
        When there is no answer.
    """
    if isinstance(question, WhatIfRequest):
        return answer_what_if(database, question)
    if isinstance(question, SliceRequest):
        return take_slice(database, question)
    return answer_why(database, question)
