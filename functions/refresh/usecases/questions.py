"""Questions that change nothing: why, a slice, or what if."""

from collections.abc import Mapping
from typing import Any

import msgspec

from functions.common.database import Database
from functions.refresh.usecases.events import EventError, read_prefix
from functions.refresh.usecases.slices import SliceRequest, take_slice
from functions.refresh.usecases.what_if import WhatIfRequest, answer_what_if
from functions.refresh.usecases.why import WhyRequest, answer_why

Question = WhyRequest | SliceRequest | WhatIfRequest
"""A question."""


class NoAnswer(msgspec.Struct, frozen=True):
    """Why a question has no answer, and what to ask instead."""

    refused: str


_QUESTIONS: dict[str, type[Question]] = {"why": WhyRequest, "slice": SliceRequest, "what_if": WhatIfRequest}


def read_question(event: Mapping[str, Any], *, prefix: str) -> Question | None:
    """Return the question of an invocation.

    One of `{"why": "recency_segment 180+"}`, `{"slice": "vouchers/2020-05/"}` and
    `{"what_if": {"families": [...], "segments": [...]}}`.

    Parameters
    ----------
    prefix : str
        Where the dataset is: a slice has to be of a part of it.

    Returns
    -------
    Question or None
        None when the event is not a question.

    Raises
    ------
    EventError
        When a field is unknown or of another kind, or a prefix is outside the dataset.
    """
    kind = next((kind for name, kind in _QUESTIONS.items() if name in event), None)
    if kind is None:
        return None
    try:
        question = msgspec.convert(event, kind)
    except msgspec.ValidationError as error:
        fields = ", ".join(kind.__struct_fields__)
        raise EventError(f"the question cannot be read: {error}. Its fields are {fields}") from error
    if isinstance(question, SliceRequest):
        for field in ("slice", "against") if question.against else ("slice",):
            read_prefix(event, prefix, field)
    return question


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
