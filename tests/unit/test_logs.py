"""Log lines as `make logs` shows them: what a run, a request and a problem said, each in one line."""

import json

import pytest

from infra.operations.backlog import rows_of_items
from infra.operations.logs import in_one_line

RUN = {
    "refresh_id": 7, "trigger": "daily", "as_of": "2020-12-22", "rows_published": 1200, "took_ms": 430,
    "objects_counted": 3, "objects_refused": 1, "rows_counted": 511427, "rows_rejected": {"a": 2, "b": 1},
    "errors": ["vouchers/bad.parquet: is empty"],
}  # fmt: skip
RUN_OF_EVENT = {
    "refresh_id": 8, "trigger": "object_created", "as_of": "2020-12-22", "rows_published": 20, "took_ms": 31,
}  # fmt: skip
TOLD = (
    "refreshed: refresh 7 (daily) published 1,200 rows as of 2020-12-22, 0.4 s, 3 objects counted, 1 object refused,"
    " 511,427 rows counted, 3 rows rejected, vouchers/bad.parquet: is empty"
)


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        (json.dumps({"level": "INFO", "message": "refreshed", "summary": RUN}), TOLD),
        (json.dumps({"message": "refreshed", "key": None, "summary": RUN}), TOLD),
        *[
            (
                json.dumps({"message": "refreshed", "key": "vouchers/x.parq", "summary": RUN_OF_EVENT | {done: 1}}),
                "refreshed: refresh 8 (object_created vouchers/x.parq) published 20 rows as of 2020-12-22, 0.0 s, "
                + shown,
            )
            for done, shown in (
                ("objects_ignored", "1 object ignored"),
                ("objects_removed", "1 object removed"),
                ("objects_refused_before", "1 object refused before"),
            )
        ],
        (
            json.dumps(
                {
                    "message": "refreshed",
                    "summary": RUN_OF_EVENT | {"rows_lost": 1200, "losses": {"a.parquet": 1150, "b.parquet": 50}},
                }
            ),
            "refreshed: refresh 8 (object_created) published 20 rows as of 2020-12-22, 0.0 s,"
            " 1,200 rows lost (a.parquet 1,150, b.parquet 50)",
        ),
        (
            json.dumps({"message": "took step count", "summary": {"objects_counted": 2, "rows_counted": 9}}),
            "took step count: 2 objects counted, 9 rows counted",
        ),
        (
            '{"message":"answered","method":"POST","route":"/voucher_amount","status":"422","duration_ms":1.26}',
            "POST /voucher_amount 422 in 1.3 ms",
        ),
        (
            '{"message":"question answered","question":{"why":"recency_segment"}}',
            'question answered: {"why": "recency_segment"}',
        ),
        ('{"level":"ERROR","message":"no report","error":"AccessDenied"}', "ERROR no report: AccessDenied"),
        (
            '{"level":"ERROR","message":"failed","trigger":"object_created","key":"vouchers/x","error":"E: away"}',
            "ERROR failed (object_created vouchers/x): E: away",
        ),
        ('{"level":"ERROR","message":"failed","trigger":"daily","key":null,"error":"E"}', "ERROR failed (daily): E"),
        ('{"level":"INFO","message":"verified","objects":3}', "verified"),
        ("[ERROR] KeyError: 'x'\nTraceback (most recent call last):\n  File", "[ERROR] KeyError: 'x'"),
        (
            "2020-12-22T00:15:00Z Task timed out after 900.00 seconds\n\n",
            "2020-12-22T00:15:00Z Task timed out after 900.00 seconds",
        ),
        # Emulators log each line of a traceback by itself
        ('\u00a0\u00a0File "/var/task/functions/refresh/handler.py", line 112, in handler', None),
        ("\u00a0\u00a0\u00a0\u00a0raise RefreshError(summary)", None),
        ("Traceback (most recent call last):", None),
        ("The above exception was the direct cause of the following exception:", None),
        ('  File "/var/task/functions/refresh/handler.py", line 112, in handler', None),
        ("functions.refresh.usecases.refresh.RefreshError: a.parquet: is empty",) * 2,
        ('{"_aws":{"CloudWatchMetrics":[]},"Refreshes":[1.0]}', None),
        ("START RequestId: 52fdfc07 Version: $LATEST\n", None),
        ("REPORT RequestId: 52fdfc07\tDuration: 3 ms", None),
        ("", None),
        ("[1, 2]", "[1, 2]"),
    ],
)
def test_a_line_of_log_is_shortened_or_left_out(message: str, shown: str | None) -> None:
    assert in_one_line(message) == shown


def test_rows_of_work_items_count_once_however_often_their_lines_are_read() -> None:
    def line(message: str, request: str, rows: int) -> str:
        return json.dumps({"message": message, "function_request_id": request, "summary": {"rows_read": rows}})

    first, second = line("took step count", "a", 7), line("took step count", "b", 0)
    other = [line("refreshed", "c", 5), line("took step publish", "d", 12), "START RequestId: a took step count"]
    assert rows_of_items([first, *other, second, first]) == {"a": 7, "b": 0}
