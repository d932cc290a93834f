"""The events that start a refresh: from S3, the daily rule, a run that deferred objects, or a person."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, NamedTuple

from functions.common.days import parse_day, utc_day
from functions.refresh.results import Kind

_KINDS: dict[str, Kind] = {
    "Object Created": "object_created",
    "Object Deleted": "object_deleted",
    "Scheduled Event": "daily",
    "Refresh Unfinished": "unfinished",
    "Refresh Backlog": "backlog",
}

_MANUAL_EVENTS = '{} or {"as_of": "2018-08-05"}, with or without {"prefix": "vouchers/2019/"}, or {"verify": true}'


class EventError(Exception):
    """The function was invoked with an event that it does not understand."""


class QuestionError(Exception):
    """A question has no answer; the message says what to ask instead."""


class VerificationRequest(NamedTuple):
    """What a person asks to verify.

    Attributes
    ----------
    prefix : str
        The part of the bucket to look at; empty means the whole dataset.
    fix : bool
        Whether to repair what differs.
    after : str
        The key after which to go on; empty means from the beginning.
    """

    now: datetime
    prefix: str = ""
    fix: bool = False
    after: str = ""


class Trigger(NamedTuple):
    """Why a refresh runs.

    Attributes
    ----------
    as_of : date
        The day to publish as of.
    key : str or None
        The object to look at; None means all under `prefix`.
    sequencer : str or None
        S3's own order of the events of a key, kept in the ledger for tracing.
    prefix : str
        The part of the bucket to look at when there is no key; empty means the whole dataset.
    accept : str or None
        Objects whose keys begin with it are counted however many of their rows are rejected; None accepts none.
    """

    kind: Kind
    as_of: date
    key: str | None = None
    sequencer: str | None = None
    prefix: str = ""
    accept: str | None = None

    def accepts(self, key: str) -> bool:
        """Return whether an object is counted however many of its rows are rejected."""
        return self.accept is not None and key.startswith(self.accept)


def read_event(event: Mapping[str, Any], *, bucket: str, prefix: str, now: datetime) -> Trigger:
    """Return which refresh an invocation asks for.

    Parameters
    ----------
    event : mapping
        An EventBridge event (S3 "Object Created" or "Object Deleted", a schedule, or "Refresh Unfinished" or "Refresh
        Backlog", which rules make from the result of a run that deferred objects), or a manual one:
        `{}` or `{"as_of": "2018-08-05"}`, for a part of the dataset with `{"prefix": "vouchers/2019/"}`; with
        `{"accept": "vouchers/a.parquet"}` where an object is to be counted though most of its rows are rejected.
    bucket, prefix : str
        Where the dataset of the function is.
    now : datetime
        The present moment, for a manual event that names no day.

    Raises
    ------
    EventError
        When the event is none of these; the message names the ones to use.
    """
    if "detail-type" not in event:
        return _read_manual(event, prefix, now)
    kind = _KINDS.get(event["detail-type"])
    if kind is None:
        raise EventError(
            f"event of detail-type {event['detail-type']!r} is not served: use one of {', '.join(map(repr, _KINDS))}"
        )
    try:
        as_of = parse_day(event["time"])
        return (
            Trigger(kind, as_of) if kind in ("daily", "unfinished", "backlog") else _read_s3(event, kind, as_of, bucket)
        )
    except (KeyError, TypeError, ValueError) as error:
        raise EventError(f"{event['detail-type']!r} event cannot be read: {type(error).__name__} {error}") from error


def _read_s3(event: Mapping[str, Any], kind: Kind, as_of: date, bucket: str) -> Trigger:
    found, detail = event["detail"]["bucket"]["name"], event["detail"]["object"]
    if found != bucket:
        raise EventError(
            f"event of bucket {found!r} reached the function of bucket {bucket!r}: repair the rule that sent it"
        )
    # EventBridge gives keys as they are: decoding them, as for S3 notifications, would turn "a+b" into "a b".
    return Trigger(kind, as_of, detail["key"], detail.get("sequencer"))


def _read_manual(event: Mapping[str, Any], dataset: str, now: datetime) -> Trigger:
    if unknown := sorted(set(event) - {"as_of", "prefix", "accept"}):
        raise EventError(f"manual event has unknown fields {unknown}: use {_MANUAL_EVENTS}")
    try:
        as_of = parse_day(str(event["as_of"])) if "as_of" in event else utc_day(now)
    except ValueError as error:
        raise EventError(f"as_of is {event['as_of']!r}: write a day like 2018-08-05") from error
    accept = read_prefix(event, dataset, "accept") if "accept" in event else None
    if "prefix" not in event:
        return Trigger("manual", as_of, accept=accept)
    return Trigger("backfill", as_of, prefix=read_prefix(event, dataset), accept=accept)


def read_prefix(event: Mapping[str, Any], dataset: str, field: str = "prefix") -> str:
    """Return the beginning of keys that a field of an event names, which has to be in the dataset.

    Raises
    ------
    EventError
        When it is outside the dataset, or not a text.
    """
    prefix = event[field]
    if not isinstance(prefix, str) or not prefix.startswith(dataset):
        raise EventError(f"{field} {prefix!r} is outside the dataset: it has to begin with {dataset!r}")
    return prefix


def read_verification(event: Mapping[str, Any], *, prefix: str, now: datetime) -> VerificationRequest | None:
    """Return the verification of an invocation: `{"verify": true}`, with `prefix`, `fix` and `after` or without.

    None when it asks for something else.

    Raises
    ------
    EventError
        When a field is unknown or of another kind.
    """
    if "verify" not in event:
        return None
    fix, after = event.get("fix", False), event.get("after", "")
    is_known = event.keys() <= {"verify", "prefix", "fix", "after"}
    if not is_known or event["verify"] is not True or not isinstance(fix, bool) or not isinstance(after, str):
        raise EventError(
            'a verification is asked for with {"verify": true}, with or without {"prefix": "vouchers/2019/"},'
            f' {{"fix": true}} and {{"after": "a key"}}, not {dict(event)}'
        )
    return VerificationRequest(now, read_prefix(event, prefix) if "prefix" in event else "", fix, after)
