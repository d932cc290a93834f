"""Every row of the data rules (docs/data-rules.md), from an object in S3 to the published table."""

import decimal
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pytest

from functions.refresh.counting import encoding
from functions.refresh.usecases import reconcile
from functions.refresh.usecases.refresh import RefreshError
from tests.functional.conftest import Pipeline
from tests.support import created, daily, parquet, record


def amounts(pipeline: Pipeline) -> dict[tuple[str, int], int]:
    """Return the published counts by segment and amount."""
    return {(key[2], key[5]): count for key, count in pipeline.published().items()}


def column(name: str, values: list[Any], kind: pa.DataType | None = None) -> pa.Table:
    """Return good records but for one column."""
    table = pa.Table.from_pylist([record() for _ in values])
    return table.set_column(table.column_names.index(name), name, pa.array(values, kind))


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_an_amount_that_is_null_or_nan_counts_as_0(pipeline: Pipeline, missing: float | None) -> None:
    key = pipeline.put("v.parquet", column("voucher_amount", [missing, 2640.0], pa.float64()))
    summary = pipeline.refresh(created(key))
    assert summary.rows_counted == 2
    assert amounts(pipeline) == {("180+", 0): 1, ("180+", 2640): 1, ("0-4", 0): 1, ("0-4", 2640): 1}


@pytest.mark.parametrize("blank", [None, "", "  ", "nan"])
def test_orders_that_are_null_or_blank_count_as_0(pipeline: Pipeline, blank: str | None) -> None:
    key = pipeline.put("v.parquet", column("total_orders", [blank, "7.0"], pa.string()))
    pipeline.refresh(created(key))
    assert amounts(pipeline) == {("180+", 2640): 2, ("0-4", 2640): 1, ("5-13", 2640): 1}


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["14.0", "14", " 14.00 ", "1.4e1"], pa.string()),
        (["14.0"], pa.large_string()),
        ([14], pa.int8()),
        ([14], pa.uint64()),
        ([14.0], pa.float32()),
        ([14.0], pa.float64()),
        ([decimal.Decimal("14.00")], pa.decimal128(10, 2)),
    ],
)
@pytest.mark.parametrize("name", ["total_orders", "voucher_amount"])
def test_whole_numbers_are_read_from_text_integers_floats_and_decimals(
    pipeline: Pipeline, name: str, values: list[Any], kind: pa.DataType
) -> None:
    key = pipeline.put("v.parquet", column(name, values, kind))
    pipeline.refresh(created(key))
    place = ("13-37", 2640) if name == "total_orders" else ("0-4", 14)
    assert amounts(pipeline)[place] == len(values)


@pytest.mark.parametrize(
    "kind",
    [pa.int8(), pa.float16(), pa.float32(), pa.decimal32(5, 1), pa.decimal64(10, 2), pa.decimal256(50, 10)],
    ids=str,
)
@pytest.mark.parametrize("name", ["total_orders", "voucher_amount"])
def test_a_bad_number_is_rejected_from_among_good_ones_of_any_type(
    pipeline: Pipeline, name: str, kind: pa.DataType
) -> None:
    make = decimal.Decimal if pa.types.is_decimal(kind) else int
    key = pipeline.put("v.parquet", column(name, [make(14), make(-1)], kind))
    summary = pipeline.refresh(created(key))
    assert (summary.rows_counted, summary.rows_rejected) == (1, {f"{name}_negative": 1})


JUNE_10 = datetime(2020, 6, 10, 5, 4, 3)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("2020-06-10", pa.string()),
        ("2020-06-10 05:04:03", pa.string()),
        ("2020-06-10T05:04:03.123456Z", pa.string()),
        ("2020-06-10 00:00:00+00:00", pa.string()),
        ("2020-06-09 22:30:00-05:00", pa.string()),
        ("2020-06-11T01:00:00+05:00", pa.large_string()),
        (JUNE_10, pa.timestamp("s")),
        (JUNE_10, pa.timestamp("ms")),
        (JUNE_10, pa.timestamp("us")),
        (JUNE_10, pa.timestamp("ns")),
        (datetime(2020, 6, 10, 23, 59, tzinfo=UTC), pa.timestamp("us", "America/Lima")),
        (date(2020, 6, 10), pa.date32()),
        (date(2020, 6, 10), pa.date64()),
    ],
)
def test_the_day_of_the_last_order_is_read_in_utc(pipeline: Pipeline, value: Any, kind: pa.DataType) -> None:
    key = pipeline.put("v.parquet", column("last_order_ts", [value], kind))
    pipeline.refresh(created(key, day="2020-08-09"))  # 60 days later: the last day of the segment
    assert amounts(pipeline)[("30-60", 2640)] == 1
    pipeline.refresh(created(key, day="2020-08-10"))
    assert amounts(pipeline)[("60-90", 2640)] == 1


def test_a_moment_before_1970_belongs_to_its_own_day(pipeline: Pipeline) -> None:
    key = pipeline.put("v.parquet", column("last_order_ts", [-1], pa.timestamp("ns")))
    pipeline.refresh(created(key))
    assert pipeline.column(
        "SELECT value FROM voucher_customer.usage_totals WHERE dimension = 'days_since(last_order_ts)'"
    ) == [-1]


def test_duplicates_and_last_orders_after_the_voucher_are_kept(pipeline: Pipeline) -> None:
    noisy = record(timestamp="2020-01-01 10:00:00+00:00", last_order_ts="2020-01-06 00:00:00+00:00")
    key = pipeline.put("v.parquet", [noisy, noisy, noisy])
    assert pipeline.refresh(created(key)).rows_counted == 3
    assert amounts(pipeline) == {("180+", 2640): 3, ("0-4", 2640): 3}


BAD_VALUES: list[tuple[str, list[Any], pa.DataType, str]] = [
    ("total_orders", ["-1", "-0.5"], pa.string(), "negative"),
    ("total_orders", [-1], pa.int64(), "negative"),
    ("total_orders", ["1.5"], pa.string(), "fractional"),
    ("total_orders", [1.5], pa.float64(), "fractional"),
    ("total_orders", ["inf", "-Infinity"], pa.string(), "infinite"),
    ("total_orders", [float("inf")], pa.float64(), "infinite"),
    ("total_orders", ["many", "0x10", "1_000?", "1e999999999", "9223372036854775808"], pa.string(), "unreadable"),
    ("total_orders", [2**64 - 1], pa.uint64(), "unreadable"),
    ("voucher_amount", [-2640.0], pa.float64(), "negative"),
    ("voucher_amount", [2640.5], pa.float64(), "fractional"),
    ("voucher_amount", [float("-inf")], pa.float64(), "infinite"),
    ("voucher_amount", [1e300], pa.float64(), "unreadable"),
    ("voucher_amount", ["free"], pa.string(), "unreadable"),
    ("last_order_ts", [None, "", "  "], pa.string(), "missing"),
    ("last_order_ts", [None], pa.timestamp("ns"), "missing"),
    ("last_order_ts", [None], pa.null(), "missing"),
    ("last_order_ts", ["yesterday", "2020-13-01", "0001-01-01T00:00:00+14:00"], pa.string(), "unreadable"),
    ("last_order_ts", [2**62], pa.timestamp("us"), "unreadable"),
    ("country_code", [None, "", " "], pa.string(), "blank"),
    ("country_code", ["x" * 101, "Pe\0ru"], pa.string(), "unreadable"),
]


def test_a_bad_value_rejects_its_row_with_the_reason_and_the_refresh_goes_on(pipeline: Pipeline) -> None:
    reasons = {}
    for number, (name, values, kind, reason) in enumerate(BAD_VALUES):
        key = pipeline.put(f"bad {number}.parquet", column(name, values, kind))
        reasons[key] = {f"{name}_{reason}": len(values)}

    summary = pipeline.refresh(daily())

    assert dict(pipeline.sql.run("SELECT key, rows_rejected FROM voucher_customer.ledger")) == reasons
    assert summary.rows_counted == 0
    assert (
        summary.rows_read == sum(len(values) for _, values, _, _ in BAD_VALUES) == sum(summary.rows_rejected.values())
    )
    pipeline.refresh(created(pipeline.put("good.parquet", [record()])))
    assert amounts(pipeline) == {("180+", 2640): 1, ("0-4", 2640): 1}


@pytest.mark.parametrize(
    ("name", "values", "kind", "filled"),
    [
        ("total_orders", ["", " ", None, "0", "2.0"], pa.string(), 3),
        ("total_orders", ["", "NaN", "0"], pa.dictionary(pa.int32(), pa.string()), 2),
        ("total_orders", [None, 0, 7], pa.int8(), 1),
        ("total_orders", [None, None], pa.null(), 2),
        ("voucher_amount", [None, float("nan"), 0.0, 2640.0], pa.float64(), 2),
        ("voucher_amount", [None, 0.0, 2640.0], pa.float64(), 1),
        ("voucher_amount", [None, 0, 70_000], pa.int64(), 1),
        ("voucher_amount", [None, 0, 65_536], pa.int64(), 1),
        ("voucher_amount", [None, 0, 65_504], pa.float16(), 1),
        ("voucher_amount", [None, 0, 65_535], pa.uint16(), 1),
        ("voucher_amount", [None, decimal.Decimal(0)], pa.decimal128(9, 2), 1),
        ("voucher_amount", [0.0, 65_536.0, 65_535.0], pa.float64(), 0),
    ],
)
def test_a_missing_value_counts_as_0_and_is_distinguished_from_a_real_0(
    pipeline: Pipeline, name: str, values: list[Any], kind: pa.DataType, filled: int
) -> None:
    pipeline.refresh(created(pipeline.put("v.parquet", column(name, values, kind))))
    expected = {"total_orders": 0, "voucher_amount": 0, name: filled}
    assert pipeline.column("SELECT values_defaulted FROM voucher_customer.ledger") == [expected]
    assert sum(amounts(pipeline).values()) == 2 * len(values)


def test_defaulted_values_are_those_of_counted_rows_when_threads_share_an_object(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given an object of many row groups, dealt out to threads, whose counts are sorted because they are too many
    monkeypatch.setattr(reconcile, "_LARGE_BYTES", 0)
    monkeypatch.setattr(reconcile, "PROCESSORS", 3)
    monkeypatch.setattr(encoding, "_MAX_CELLS", 12)
    rows = [record(total_orders="" if number % 3 else str(number), voucher_amount=None) for number in range(30)]
    bad = [record(total_orders="", country_code=""), record(total_orders="-1", voucher_amount=None)]
    # When it is counted
    pipeline.refresh(created(pipeline.put("v.parquet", [*rows, *bad], row_group_size=4)))
    # Then what was filled in rejected rows does not count
    assert pipeline.column("SELECT values_defaulted FROM voucher_customer.ledger") == [
        {"total_orders": 20, "voucher_amount": 30}
    ]
    # And the usage has one row for unknown values, however many threads found some
    assert pipeline.column(
        "SELECT array_length(usage_count, 1) - (SELECT count(*) FROM voucher_customer.usage_totals)"
        " FROM voucher_customer.ledger"
    ) == [0]


@pytest.mark.parametrize("name", ["country_code", "last_order_ts", "total_orders"])
def test_text_that_is_not_utf_8_rejects_its_row(pipeline: Pipeline, name: str) -> None:
    texts = pa.array([b"7", b"\xb1\xff", None], pa.binary()).view(pa.string())
    table = pa.Table.from_pylist([record()] * 3)
    table = table.set_column(table.column_names.index(name), name, texts)
    summary = pipeline.refresh(created(pipeline.put("v.parquet", table)))
    assert summary.rows_rejected[f"{name}_unreadable"] >= 1


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()], ids=str)
@pytest.mark.parametrize("last", [b"2020-01-06", b"\xb1\xff"])
def test_thousands_of_moments_are_read_from_text_of_any_type(
    pipeline: Pipeline, kind: pa.DataType, last: bytes
) -> None:
    moments = [f"2020-01-06 00:{second // 60:02}:{second % 60:02}".encode() for second in range(2000)]
    texts = pa.array([*moments, last], pa.binary()).view(pa.string()).cast(kind)
    table = pa.Table.from_pylist([record()] * len(texts))
    table = table.set_column(table.column_names.index("last_order_ts"), "last_order_ts", texts)
    summary = pipeline.refresh(created(pipeline.put("v.parquet", table)))
    assert summary.rows_counted == 2000 + (last == b"2020-01-06")
    assert sum(summary.rows_rejected.values()) == 2001 - summary.rows_counted


def test_a_row_with_several_faults_is_rejected_once_by_the_first(pipeline: Pipeline) -> None:
    key = pipeline.put("v.parquet", [record(country_code="", total_orders="-1"), record(total_orders="-1"), record()])
    summary = pipeline.refresh(created(key))
    assert summary.rows_rejected == {"country_code_blank": 1, "total_orders_negative": 1}
    assert summary.rows_counted == 1


def test_a_last_order_after_the_as_of_day_is_counted_and_appears_when_its_day_comes(pipeline: Pipeline) -> None:
    key = pipeline.put("v.parquet", [record(last_order_ts="2021-01-01")])
    summary = pipeline.refresh(created(key, day="2020-12-22"))
    assert summary.rows_counted == 1
    assert summary.rows_in_no_segment == {"recency_segment": 1, "frequent_segment": 0}
    assert amounts(pipeline) == {("0-4", 2640): 1}

    summary = pipeline.refresh({"as_of": "2021-01-31"})

    assert summary.rows_in_no_segment == {"recency_segment": 0, "frequent_segment": 0}
    assert amounts(pipeline) == {("0-4", 2640): 1, ("30-60", 2640): 1}


@pytest.mark.parametrize(
    ("days", "segment"),
    [
        (0, None), (29, None), (30, "30-60"), (60, "30-60"), (61, "60-90"), (90, "60-90"), (91, "90-120"),
        (120, "90-120"), (121, "120-180"), (179, "120-180"), (180, "180+"), (99999, "180+"),
    ],
)  # fmt: skip
def test_recency_segments_by_whole_days(pipeline: Pipeline, days: int, segment: str | None) -> None:
    last_order = date.fromordinal(date(2020, 12, 22).toordinal() - days).isoformat()
    summary = pipeline.refresh(created(pipeline.put("v.parquet", [record(last_order_ts=last_order)])))
    assert {key[2] for key in pipeline.published() if key[1] == "recency_segment"} == ({segment} if segment else set())
    assert summary.rows_in_no_segment["recency_segment"] == (0 if segment else 1)


@pytest.mark.parametrize(
    ("orders", "segment"),
    [(0, "0-4"), (4, "0-4"), (5, "5-13"), (13, "5-13"), (14, "13-37"), (37, "13-37"), (38, "37+")],
)
def test_frequent_segments_by_orders(pipeline: Pipeline, orders: int, segment: str) -> None:
    pipeline.refresh(created(pipeline.put("v.parquet", [record(total_orders=f"{orders}.0")])))
    assert {key[2] for key in pipeline.published() if key[1] == "frequent_segment"} == {segment}


@pytest.mark.parametrize("name", ["country_code", "last_order_ts", "total_orders", "voucher_amount"])
def test_a_needed_column_that_is_missing_fails_the_object_and_is_named(pipeline: Pipeline, name: str) -> None:
    check_failure(pipeline, pa.Table.from_pylist([record()]).drop_columns([name]), name)


@pytest.mark.parametrize(
    ("name", "values", "kind"),
    [
        ("country_code", [1], pa.int64()),
        ("last_order_ts", [20200106], pa.int64()),
        ("last_order_ts", [1.5], pa.float64()),
        ("total_orders", [True], pa.bool_()),
        ("total_orders", [[2]], pa.list_(pa.int64())),
        ("voucher_amount", [{"peso": 2640}], pa.struct([("peso", pa.int64())])),
        ("voucher_amount", [{"a\0b": 1, "x" * 10_000: 1}], None),
        ("voucher_amount", [date(2020, 1, 1)], pa.date32()),
        ("voucher_amount", [b"2640"], pa.binary(4)),
    ],
)
def test_a_column_of_an_impossible_type_fails_the_object_and_is_named(
    pipeline: Pipeline, name: str, values: list[Any], kind: pa.DataType | None
) -> None:
    check_failure(pipeline, column(name, values, kind), name)


def test_an_impossible_type_is_found_in_an_object_without_rows_too(pipeline: Pipeline) -> None:
    check_failure(pipeline, column("total_orders", [True], pa.bool_()).slice(0, 0), "total_orders")


def test_an_object_without_rows_counts_nothing(pipeline: Pipeline) -> None:
    key = pipeline.put("v.parquet", pa.Table.from_pylist([record()]).slice(0, 0))
    summary = pipeline.refresh(created(key))
    assert (summary.objects_counted, summary.rows_read, summary.rows_published) == (1, 0, 0)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "empty"),
        (b"country_code,total_orders\nPeru,1\n" * 10, "parquet"),
        (parquet([record()])[:-20], "parquet"),
        (parquet([record()])[:40], "parquet"),
        (b"PAR1" + b"\0" * 60 + b"PAR1", "parquet"),
    ],
    ids=["zero bytes", "csv", "truncated", "beginning only", "empty footer"],
)
def test_what_is_not_parquet_fails_the_object(pipeline: Pipeline, body: bytes, says: str) -> None:
    check_failure(pipeline, body, says)


def check_failure(pipeline: Pipeline, content: pa.Table | bytes, says: str) -> None:
    """Check that an object fails alone: named in error, ledger and run, while the published table stays."""
    good = pipeline.put("good.parquet", [record()])
    pipeline.refresh(created(good))
    before = pipeline.published()
    bad = pipeline.put("bad.parquet", content)

    with pytest.raises(RefreshError, match=rf"(?s){bad}: .*{says}") as failure:
        pipeline.refresh(created(bad))

    assert failure.value.summary.objects_refused == 1
    assert pipeline.published() == before
    [error] = pipeline.column("SELECT error FROM voucher_customer.ledger WHERE key = 'vouchers/bad.parquet'")
    assert says in error
    [[outcome, error]] = pipeline.sql.run(
        "SELECT outcome, error FROM voucher_customer.refreshes ORDER BY refresh_id DESC LIMIT 1"
    )
    assert outcome == "published"
    assert "vouchers/bad.parquet" in error
    assert says in error


def test_extra_columns_other_order_and_a_pandas_index_are_ignored(pipeline: Pipeline) -> None:
    table = pa.Table.from_pylist([{**record(), "nested": [{"a": 1}], "odd": b"x"}])
    table = table.select(["odd", "voucher_amount", "nested", "total_orders", "last_order_ts", "country_code"])
    frame = table.select(["voucher_amount", "total_orders", "last_order_ts", "country_code"]).to_pandas()
    frame.index = frame.index + 7
    frame.index.name = "index"
    pipeline.put("a.parquet", table)
    pipeline.put("b.parquet", pa.Table.from_pandas(frame))
    pipeline.refresh({})
    assert amounts(pipeline) == {("180+", 2640): 2, ("0-4", 2640): 2}


def test_text_columns_written_as_dictionaries_are_read(pipeline: Pipeline) -> None:
    table = pa.Table.from_pylist([record(), record(total_orders=None)])
    for number, name in enumerate(table.column_names):
        if pa.types.is_string(table.schema.field(name).type):
            table = table.set_column(number, name, table[name].dictionary_encode())
    pipeline.refresh(created(pipeline.put("v.parquet", table)))
    assert amounts(pipeline) == {("180+", 2640): 2, ("0-4", 2640): 2}


def test_all_countries_are_counted_and_the_configured_ones_published(pipeline: Pipeline) -> None:
    key = pipeline.put("v.parquet", [record(), record(country_code="China"), record(country_code="Latvia")])
    pipeline.refresh(created(key))
    assert {row[0] for row in pipeline.published()} == {"Peru"}
    counted = pipeline.column("SELECT DISTINCT country_code FROM voucher_customer.usage_totals ORDER BY 1")
    assert counted == ["China", "Latvia", "Peru"]

    pipeline.environ["COUNTRIES"] = "Peru, China"
    summary = pipeline.refresh({})

    assert summary.objects_skipped == 1  # published from usage, nothing is read again
    assert {row[0] for row in pipeline.published()} == {"Peru", "China"}


@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "zstd", "lz4", "brotli"])
def test_every_compression_is_read(pipeline: Pipeline, compression: str) -> None:
    key = pipeline.put("v.parquet", [record()], compression=compression)
    assert pipeline.refresh(created(key)).rows_counted == 1


def test_hostile_country_names_are_stored_as_they_are(pipeline: Pipeline) -> None:
    names = ["O'Higgins", 'a"b', "back\\slash", "{curly,brace}", "NULL", "Perú", "x'); DROP SCHEMA voucher_customer;--"]
    key = pipeline.put("v.parquet", [record(country_code=name) for name in names])
    pipeline.refresh(created(key))
    assert pipeline.column("SELECT DISTINCT country_code FROM voucher_customer.usage_totals ORDER BY 1") == sorted(
        names
    )
    pipeline.delete(key)
    pipeline.refresh({})
    assert pipeline.column("SELECT count(*) FROM voucher_customer.usage_totals") == [0]
