"""Log lines of both functions as people read them: one line for each run, request and problem."""

import json
from typing import Any

from infra.words import count_of, losses_in_words

_NUMBERS = (
    "items", "objects_counted", "objects_removed", "objects_refused", "objects_refused_before", "objects_ignored",
    "objects_deferred", "rows_counted", "rows_lost",
)  # fmt: skip
_OF_LAMBDA = ("START ", "END ", "REPORT ", "INIT_START ", "XRAY ")

# On AWS a traceback is one message, whose first line says what failed. On emulators each line is one, and begins with
# spaces, or with the no-break spaces of Lambda's runtime client.
_TRACEBACK = ("Traceback ", "The above exception was ", "During handling of the above ")


def in_one_line(message: str) -> str | None:
    """Return a message of a function's log in one line, None if it is not about a run or a request.

    Examples
    --------
    >>> in_one_line('{"message": "answered", "method": "GET", "route": "/health", "status": "200", "duration_ms": 0.4}')
    'GET /health 200 in 0.4 ms'
    >>> in_one_line("END RequestId: 52fdfc07")
    """
    try:
        entry = json.loads(message)
    except ValueError:
        first = message.lstrip("\r\n").partition("\n")[0]
        is_left_out = not first or first[0].isspace() or first.startswith(_OF_LAMBDA + _TRACEBACK)
        return None if is_left_out else first.rstrip()
    if not isinstance(entry, dict):
        return message
    if "message" not in entry:
        return None  # metrics
    if entry["message"] == "answered":
        return f"{entry['method']} {entry['route']} {entry['status']} in {entry['duration_ms']:.1f} ms"
    if isinstance(summary := entry.get("summary"), dict):
        return f"{entry['message']}: {_summary(summary, entry.get('key'))}"
    level = "" if entry.get("level") in (None, "INFO") else f"{entry['level']} "
    question = entry.get("question")
    more = entry.get("error") or entry.get("exception_name") or (json.dumps(question) if question else None)
    event = " ".join(filter(None, (entry.get("trigger"), entry.get("key"))))
    return f"{level}{entry['message']}" + (f" ({event})" if event else "") + (f": {more}" if more else "")


def _summary(summary: dict[str, Any], key: str | None) -> str:
    """Summarise the result of a run, or of a step of a backlog; `key` is that of the event that started it."""
    parts = []
    if "refresh_id" in summary:
        rows, took = summary.get("rows_published"), summary.get("took_ms")
        published = "published nothing" if rows is None else f"published {rows:,} rows"
        trigger = f"{summary['trigger']} {key}" if key else summary["trigger"]
        parts.append(f"refresh {summary['refresh_id']} ({trigger}) {published} as of {summary['as_of']}")
        parts.append("" if took is None else f"{took / 1000:.1f} s")
    for name in _NUMBERS:
        if number := summary.get(name):
            noun, _, done = name.partition("_")
            objects = losses_in_words(summary.get("losses") or {}) if name == "rows_lost" else ""
            parts.append(f"{count_of(number, noun.removesuffix('s'))} {done.replace('_', ' ')}".strip() + objects)
    if rejected := sum((summary.get("rows_rejected") or {}).values()):
        parts.append(f"{count_of(rejected, 'row')} rejected")
    parts += summary.get("errors") or []
    return ", ".join(filter(None, parts))
