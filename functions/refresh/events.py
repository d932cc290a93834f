"""What makes a refresh run: an S3 event, the daily rule or a person."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Literal, NamedTuple

from functions.common.days import parse_day, utc_day

Kind = Literal["object_created", "object_deleted", "daily", "manual"]

_KINDS: dict[str, Kind] = {
    "Object Created": "object_created",
    "Object Deleted": "object_deleted",
    "Scheduled Event": "daily",
}


class EventError(Exception):
    """The function was invoked with something that it does not understand."""


class Trigger(NamedTuple):
    """Why a refresh runs.

    Attributes
    ----------
    kind : {'object_created', 'object_deleted', 'daily', 'manual'}
        What happened.
    as_of : date
        The day to publish as of.
    key : str or None
        The object to look at; None means the whole bucket.
    sequencer : str or None
        S3's own order of the events of a key, kept in the ledger for whoever has to trace one.
    """

    kind: Kind
    as_of: date
    key: str | None = None
    sequencer: str | None = None


def read_event(event: Mapping[str, Any], *, bucket: str, now: datetime) -> Trigger:
    """Tell what an invocation asks for.

    Parameters
    ----------
    event : mapping
        An EventBridge event (S3 "Object Created" or "Object Deleted", or a schedule), or a manual one:
        `{}` or `{"as_of": "2018-08-05"}`.
    bucket : str
        The bucket that the function serves.
    now : datetime
        The present moment, for a manual event that names no day.

    Raises
    ------
    EventError
        When the event is none of these; the message says what is.
    """
    if "detail-type" not in event:
        return _read_manual(event, now)
    kind = _KINDS.get(event["detail-type"])
    if kind is None:
        raise EventError(
            f"event of detail-type {event['detail-type']!r} is not served: use one of {', '.join(map(repr, _KINDS))}"
        )
    try:
        as_of = parse_day(event["time"])
        if kind == "daily":
            return Trigger(kind, as_of)
        # EventBridge gives keys as they are: decoding them, as for S3 notifications, would turn "a+b" into "a b".
        found, detail = event["detail"]["bucket"]["name"], event["detail"]["object"]
        trigger = Trigger(kind, as_of, detail["key"], detail.get("sequencer"))
    except (KeyError, TypeError, ValueError) as error:
        raise EventError(f"{event['detail-type']!r} event cannot be read: {type(error).__name__} {error}") from error
    if found != bucket:
        raise EventError(
            f"event of bucket {found!r} reached the function of bucket {bucket!r}: mend the rule that sent it"
        )
    return trigger


def _read_manual(event: Mapping[str, Any], now: datetime) -> Trigger:
    if unknown := sorted(set(event) - {"as_of"}):
        raise EventError(f'manual event has unknown fields {unknown}: use {{}} or {{"as_of": "2018-08-05"}}')
    if "as_of" not in event:
        return Trigger("manual", utc_day(now))
    try:
        return Trigger("manual", date.fromisoformat(event["as_of"]))
    except (TypeError, ValueError) as error:
        raise EventError(f"as_of is {event['as_of']!r}: write a day like 2018-08-05") from error
