"""What a person does with a deployed stack, on the emulator that the environment points to."""

import json
import re
from typing import Any

from infra.local.processes import free_port, wait_for
from tests.checkout import run
from tests.e2e.conftest import EMULATOR, PATIENCE, RunningStack
from tests.e2e.test_stack import COUNTRIES, today
from tests.support import created, parquet, record, recount


def operate(stack: RunningStack, command: str, *, status: int = 0) -> str:
    """Run one of the project's commands with `.local/env`, as a person would."""
    done = run(f"source .local/env && {command}", stack.checkout, status=status)
    return done.stdout if status == 0 else done.stderr


def test_a_refresh_by_hand_says_what_it_did(stack: RunningStack) -> None:
    assert "published 0 rows as of 2018-08-05" in operate(stack, "make refresh AS_OF=2018-08-05")
    assert f"as of {today()} for {', '.join(COUNTRIES)}" in operate(stack, "make refresh")
    assert "AS_OF: 'yesterday' is not a day like 2018-08-05" in operate(stack, "make refresh AS_OF=yesterday", status=2)
    assert "; 2999-01-01 is in the future" in operate(stack, "make refresh AS_OF=2999-01-01")
    assert "; the day goes back from 2999-01-01, until the next automatic run" in operate(stack, "make refresh")


def test_a_refresh_with_a_refused_object_says_first_what_it_published(stack: RunningStack) -> None:
    good, bad = stack.put("good.parquet", parquet([record()])), stack.put("bad.parquet", b"garbage")
    done = run("source .local/env && make refresh", stack.checkout, status=2)
    assert re.search(r"^refresh \d+ published 2 rows as of ", done.stdout, re.M)
    assert f"failed: 1 object refused: {bad}: is not readable parquet" in done.stderr
    assert stack.rows("SELECT outcome FROM voucher_customer.refreshes ORDER BY refresh_id DESC LIMIT 1") == [
        ["published"]
    ]
    stack.delete(bad)
    refused = "SELECT key FROM voucher_customer.ledger WHERE error IS NOT NULL"
    wait_for("the refused object is forgotten", lambda: stack.rows(refused) == [] or None, seconds=PATIENCE)
    stack.delete(good)
    stack.wait_until_published({})


def test_the_report_is_fetched_the_latest_or_that_of_a_day(stack: RunningStack) -> None:
    path = stack.checkout / ".local" / "report.html"
    operate(stack, "make refresh AS_OF=2017-03-04")
    api = path.with_name("api.html")
    assert operate(stack, "make report").endswith(f"the report is {path}\nthe API's page is {api}\n")
    assert api.read_bytes() == (stack.checkout / "docs" / "api.html").read_bytes()
    assert '"as_of":"2017-03-04"' in path.read_text()
    operate(stack, "make refresh AS_OF=2017-03-05")
    operate(stack, "make report AS_OF=2017-03-04")
    assert '"as_of":"2017-03-04"' in path.read_text()
    assert "reports/1999-01-01.html cannot be fetched" in operate(stack, "make report AS_OF=1999-01-01", status=2)


def test_a_migration_by_hand_says_that_nothing_was_left_to_do(stack: RunningStack) -> None:
    assert "schema migrated: nothing, it was up to date" in operate(stack, "make migrate")


def test_a_backfill_looks_at_its_prefix_only(stack: RunningStack) -> None:
    stack.put("2019/a.parquet", parquet([record()]))
    stack.wait_until_published(recount([record()], today(), COUNTRIES))
    assert "objects: 0 counted, 1 unchanged, 0 removed" in operate(stack, "make backfill PREFIX=vouchers/2019/")
    assert "objects: 0 counted, 0 unchanged, 0 removed" in operate(stack, "make backfill PREFIX=vouchers/2018/")
    assert "vouchers/" in operate(stack, "make backfill PREFIX=elsewhere/", status=2)
    said = operate(stack, "make refresh ACCEPT=vouchers/2019/b")
    assert "nothing was accepted: no refused object has a key that begins with vouchers/2019/b\n" in said
    stack.delete("vouchers/2019/a.parquet")
    stack.wait_until_published({})
    assert "; the published table is empty" in operate(stack, "make refresh")


def test_a_verification_reports_differences_and_repairs_them(stack: RunningStack) -> None:
    # Given a counted object
    key = stack.put("verified.parquet", parquet([record()]))
    stack.wait_until_published(recount([record()], today(), COUNTRIES))
    assert "verified 1 of 1 objects: 0 different" in operate(stack, "make verify")

    # When its entry, the totals and the published table are tampered with, then each is reported
    stack.rows("UPDATE voucher_customer.ledger SET rows_counted = 7 WHERE etag IS NOT NULL RETURNING key")
    stack.rows("UPDATE voucher_customer.usage_totals SET count = 7 RETURNING count")
    said = operate(stack, ".venv/bin/python -m infra.operations verify --prefix vouchers/", status=1)
    assert "failed: 1 object not confirmed by a recount; 2 totals not the sum of the ledger; 8 rows" in said

    # And repaired
    assert f"{key}: other counts (repaired): the ledger counts 7 rows" in operate(stack, "make verify FIX=1")
    assert "verified 1 of 1 objects: 0 different" in operate(stack, "make verify PREFIX=vouchers/ver")
    assert stack.published() == recount([record()], today(), COUNTRIES)
    stack.delete(key)
    stack.wait_until_published({})


def test_make_why_explains_a_change_in_words(stack: RunningStack) -> None:
    # Given an object that is the only one
    key = stack.put("why.parquet", parquet([record()]))
    stack.wait_until_published(recount([record()], today(), COUNTRIES))
    # Then it is why there is a most used amount
    said = operate(stack, 'make why SEGMENT="frequent_segment 0-4" COUNTRIES=Peru')
    assert re.search(
        r"^refresh \d+ at 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC, as of 20\S+: Peru frequent_segment 0-4: none -> 2640: ",
        said,
        re.M,
    )
    assert f"+1 vouchers by {key}: nothing -> " in said or "first publication" in said
    said = operate(stack, "make slice PREFIX=why.parquet", status=2)
    assert "failed: slice 'why.parquet' is outside the dataset: it has to begin with 'vouchers/'" in said
    said = operate(stack, f"make slice PREFIX={key} AGAINST=vouchers/none/")
    assert re.search(r"^Peru +frequent_segment +0-4 +2640 +1 +undecided, leads by 1, z 1.0 +no voucher +-$", said, re.M)
    assert f"{key}: 1 object, 1 row, as of" in said
    said = operate(stack, "make what-if RULES=infra/sql/customer_segments.sql")
    assert re.search(r"^Peru +frequent_segment +0-4 +0-4 +2640 +1 +undecided, leads by 1, z 1.0$", said, re.M)
    assert "nothing was written" in said
    assert "there is no segment 'none'" in operate(stack, "make why SEGMENT=none", status=2)
    stack.delete(key)
    stack.wait_until_published({})


def test_a_refresh_that_fails_for_good_is_redriven_when_its_cause_is_repaired(stack: RunningStack) -> None:
    # Given an object that is no parquet
    key = stack.put("broken.parquet", b"no parquet at all")
    find = "SELECT error FROM voucher_customer.ledger WHERE key = 'vouchers/broken.parquet'"
    [error] = wait_for("the error in the ledger", lambda: next(iter(stack.rows(find)), None), seconds=PATIENCE)
    assert "is not readable parquet" in error

    # Then its event ends in the failure queue, after three attempts
    if EMULATOR == "ministack":
        # Its EventBridge invokes once and forgets; an asynchronous invocation is tried again as on AWS.
        stack.send(created(key, str(today()), bucket=stack.variables["BUCKET"]))
    failure = wait_for("a message in the failure queue", lambda: first_failure(stack), seconds=PATIENCE)
    assert failure["requestPayload"]["detail"]["object"]["key"] == key
    assert key in json.dumps(failure["responsePayload"])
    assert failure["requestContext"]["condition"] == "RetriesExhausted"
    assert failure["requestContext"]["approximateInvokeCount"] == 3
    if EMULATOR != "ministack":
        assert failure["responsePayload"]["errorType"] == "RefreshError"
        runs = stack.rows(
            "SELECT outcome FROM voucher_customer.refreshes WHERE trigger = 'object_created' AND error LIKE '%broken%'"
        )
        assert runs == [["published"]] * 3

    # When it is redriven unrepaired, then it fails again and stays
    assert f"still in the failure queue: Object Created {key}" in operate(stack, "make redrive", status=2)
    assert waiting(stack) > 0

    # When the object is repaired, then the queue is emptied
    stack.put("broken.parquet", parquet([record()]))
    said = operate(stack, "make redrive")
    assert f"Object Created {key}: refresh" in said
    assert "0 failed again" in said
    assert waiting(stack) == 0
    stack.delete(key)
    stack.wait_until_published({})


def first_failure(stack: RunningStack) -> dict[str, Any] | None:
    """Read the first message of the failure queue, which stays there."""
    answer = stack.client("sqs").receive_message(QueueUrl=stack.failure_queue, VisibilityTimeout=0, WaitTimeSeconds=1)
    found = answer.get("Messages")
    return json.loads(found[0]["Body"]) if found else None


def waiting(stack: RunningStack) -> int:
    """Return how many messages are in the failure queue."""
    answer = stack.client("sqs").get_queue_attributes(
        QueueUrl=stack.failure_queue, AttributeNames=["ApproximateNumberOfMessages"]
    )
    return int(answer["Attributes"]["ApproximateNumberOfMessages"])


def test_the_logs_of_both_functions_are_shown(stack: RunningStack) -> None:
    [refresh_id] = re.findall(r"^refresh (\d+) published ", operate(stack, "make refresh"), re.MULTILINE)
    assert re.search(
        r" refresh refreshed: refresh \d+ \(manual\) published \d+ rows as of ", operate(stack, "make logs")
    )
    said = operate(stack, "make logs MINUTES=5 RAW=1")
    lines = [line[line.index("{") :] for line in said.splitlines() if '"message":"refreshed"' in line]
    runs = [json.loads(line)["summary"] for line in lines]
    # The run itself, because the emulator may have tried an event of an earlier test again after it.
    assert [run["trigger"] for run in runs if run["refresh_id"] == int(refresh_id)] == ["manual"]


def test_chalice_serves_the_api_from_the_database_of_the_stack(stack: RunningStack) -> None:
    port = free_port()
    serve = f"timeout 120 chalice local --no-autoreload --port {port}"
    ask = f"curl --silent --fail --retry 60 --retry-delay 1 --retry-connrefused http://127.0.0.1:{port}/health"
    said = operate(stack, f"make refresh && cd chalice_app && {{ {serve} & {ask}; kill $!; }}")
    assert '"refresh_id"' in said
