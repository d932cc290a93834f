"""Text dates: the API reads them as the pipeline does, and both as PostgreSQL does, whose parser is not ours."""

from collections.abc import Iterator
from datetime import UTC, date, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pg8000.native import Connection

from functions.common.days import parse_day
from infra.local.postgres import DatabaseAddress
from tests.functional.conftest import Call, Pipeline
from tests.support import created, record
from tests.text_dates import READ, REJECTED

_DAYS_BY_POSTGRESQL = """
    SELECT text, CASE WHEN pg_input_is_valid(text, 'timestamptz') THEN text::timestamptz AT TIME ZONE 'UTC' END
    FROM unnest(CAST(:texts AS text[])) AS text
"""

# Up to what PostgreSQL takes: 15:59 of offset, and microseconds, to which it rounds.
_MOMENTS = st.builds(
    "{}{}{}{}{}".format,
    st.dates(date(1, 1, 2), date(9999, 12, 30)),
    st.sampled_from(["T", "t", " "]),
    st.from_regex(r"(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,6})?)?", fullmatch=True),
    st.sampled_from(["", " "]),
    st.sampled_from(["Z", "z", "UTC"]) | st.from_regex("[+-](?:0[0-9]|1[0-5])(?::?[0-5][0-9])?", fullmatch=True),
)


@pytest.fixture(scope="module")
def by_postgresql(postgres: DatabaseAddress) -> Iterator[Connection]:
    connection = postgres.connect()
    connection.run("SET TIME ZONE 'UTC'")
    yield connection
    connection.close()


def test_postgresql_reads_the_same_days(by_postgresql: Connection) -> None:
    texts = [text for text in READ if ".9999999" not in text]  # which it rounds up into the next day
    found = {text: moment for text, moment in by_postgresql.run(_DAYS_BY_POSTGRESQL, texts=texts) if moment}
    assert len(found) > 50
    assert {text: moment.date().isoformat() for text, moment in found.items()} == {text: READ[text] for text in found}


@settings(max_examples=20, deadline=None)
@given(st.lists(_MOMENTS, min_size=50, unique=True))
def test_postgresql_reads_the_same_days_of_any_moments(by_postgresql: Connection, texts: list[str]) -> None:
    found = by_postgresql.run(_DAYS_BY_POSTGRESQL, texts=texts)
    assert {text: moment.date() for text, moment in found} == {text: parse_day(text) for text in texts}


@pytest.fixture
def published(pipeline: Pipeline) -> None:
    pipeline.refresh(created(pipeline.put("v.parquet", [record(last_order_ts="2018-05-03")])))


@pytest.mark.usefixtures("published")
def test_the_api_reads_the_same_days(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.now", lambda: datetime(9999, 12, 31, tzinfo=UTC))
    customer = {"country_code": "Peru", "segment_name": "recency_segment", "explain": True}
    as_of = date(2020, 12, 22)
    for text, day in READ.items():
        status, answer, _ = call("POST", "/voucher_amount", {**customer, "last_order_ts": text})
        days = (as_of - date.fromisoformat(day)).days
        # The only segment that holds a voucher is that of 180 days and more.
        expected = (200, days) if days >= 180 else (404, f"{-days} days after")
        assert status == expected[0], text
        assert answer["days_since_last_order"] == days if status == 200 else expected[1] in answer["detail"], text
    for text in REJECTED:
        status, answer, _ = call("POST", "/voucher_amount", {**customer, "last_order_ts": text})
        assert (status, [error["field"] for error in answer["errors"]]) == (422, ["last_order_ts"]), text
