"""Events: what each kind asks for, and a clear error for what is none. Whole events lie in tests/events."""

import argparse
import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, get_args

import pytest

from functions.refresh.results import Kind
from functions.refresh.usecases.backlog import Step, read_step
from functions.refresh.usecases.events import (
    EventError,
    Trigger,
    VerificationRequest,
    read_event,
    read_verification,
)
from infra.arguments import day
from tests.text_dates import READ, REJECTED

EVENTS = Path(__file__).parents[1] / "events"
NOW = datetime(2020, 12, 22, 23, 59, tzinfo=UTC)


def example(name: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    return event


def read(event: dict[str, Any]) -> Trigger:
    return read_event(event, bucket="voucher-bucket", prefix="vouchers/", now=NOW)


@pytest.mark.parametrize(
    ("name", "trigger"),
    [
        (
            "object_created",
            Trigger("object_created", date(2020, 12, 20), "vouchers/a b+c%20.parquet", "0062E99A88DC407460"),
        ),
        (
            "object_deleted",
            Trigger("object_deleted", date(2020, 12, 21), "vouchers/old.parquet", "0062E99A88DC407999"),
        ),
        ("daily", Trigger("daily", date(2020, 12, 22))),
        ("unfinished", Trigger("unfinished", date(2020, 12, 22))),
        ("backlog", Trigger("backlog", date(2020, 12, 22))),
        ("manual", Trigger("manual", date(2018, 8, 5))),
        ("backfill", Trigger("backfill", date(2020, 12, 22), prefix="vouchers/2019/")),
    ],
)
def test_an_event_names_its_day_and_its_object(name: str, trigger: Trigger) -> None:
    assert read(example(name)) == trigger


STEPS = {step.__struct_config__.tag: step for step in get_args(Step)}


def test_there_is_an_example_of_every_trigger_and_of_nothing_else() -> None:
    names = {path.stem for path in EVENTS.iterdir()}
    invoked_otherwise = {"verify", "api_request"}
    assert names == {*get_args(Kind), *(f"step_{name}" for name in STEPS), *invoked_otherwise}
    assert {read(example(kind)).kind for kind in get_args(Kind)} == set(get_args(Kind))


@pytest.mark.parametrize("name", STEPS)
def test_a_step_of_a_backlog_carries_the_event_that_it_is_taken_for(name: str) -> None:
    step = read_step(example(f"step_{name}"))
    assert type(step) is STEPS[name]
    assert read(step.event) == Trigger("backlog", date(2020, 12, 22))


def test_a_manual_event_without_a_day_means_today() -> None:
    assert read({}) == Trigger("manual", date(2020, 12, 22))


def test_a_backfill_may_name_its_day() -> None:
    event = {"prefix": "vouchers/", "as_of": "2019-12-31"}
    assert read(event) == Trigger("backfill", date(2019, 12, 31), prefix="vouchers/")


def ask_to_verify(**fields: Any) -> VerificationRequest | None:
    return read_verification({**example("verify"), **fields}, prefix="vouchers/", now=NOW)


def test_a_verification_is_asked_for_with_what_it_needs() -> None:
    assert ask_to_verify() == VerificationRequest(NOW)
    asked = ask_to_verify(prefix="vouchers/2019/", fix=True, after="vouchers/2019/a")
    assert asked == VerificationRequest(NOW, "vouchers/2019/", True, "vouchers/2019/a")
    assert read_verification({"prefix": "vouchers/2019/"}, prefix="vouchers/", now=NOW) is None
    for wrong in ({"verify": 1}, {"verify": False}, {"fix": "yes"}, {"after": None}, {"as_of": "2018-08-05"}):
        with pytest.raises(EventError, match="a verification is asked for with"):
            ask_to_verify(**wrong)
    with pytest.raises(EventError, match="outside the dataset"):
        ask_to_verify(prefix="elsewhere/")


@pytest.mark.parametrize("text", READ)
def test_an_as_of_day_is_read_by_the_grammar_of_text_dates(text: str) -> None:
    assert read({"as_of": text}).as_of.isoformat() == READ[text] == day(text).isoformat()


@pytest.mark.parametrize("text", REJECTED)
def test_an_as_of_day_that_the_grammar_does_not_read_is_refused(text: str) -> None:
    with pytest.raises(EventError, match="write a day like 2018-08-05"):
        read({"as_of": text})
    with pytest.raises(argparse.ArgumentTypeError, match="is not a day like 2018-08-05"):
        day(text)


def changed(**detail: Any) -> dict[str, Any]:
    event = example("object_created")
    event["detail"].update(detail)
    return event


@pytest.mark.parametrize(
    ("event", "says"),
    [
        ({"as_of": "05.08.2018"}, "write a day like 2018-08-05"),
        ({"as_of": 20180805}, "write a day like 2018-08-05"),
        ({"as_of": None}, "write a day like 2018-08-05"),
        ({"asof": "2018-08-05"}, r"unknown fields \['asof'\]"),
        ({"prefix": "elsewhere/"}, "prefix 'elsewhere/' is outside the dataset: it has to begin with 'vouchers/'"),
        ({"prefix": "vouchers"}, "outside the dataset"),
        ({"prefix": None}, "outside the dataset"),
        ({"Records": []}, r"unknown fields \['Records'\]"),
        ({"detail-type": "Object Restore Completed"}, "not served: use one of 'Object Created', 'Object Deleted'"),
        ({"detail-type": "Scheduled Event"}, "KeyError 'time'"),
        ({"detail-type": "Scheduled Event", "time": "noon"}, "cannot be read"),
        (changed(object={}), "KeyError 'key'"),
        (changed(bucket=None), "cannot be read"),
        (
            changed(bucket={"name": "another"}),
            "'another' reached the function of bucket 'voucher-bucket'",
        ),
    ],
)
def test_anything_else_is_refused_with_what_would_be_right(event: dict[str, Any], says: str) -> None:
    with pytest.raises(EventError, match=says):
        read(event)
