"""Odd parquet: what other readers read is counted, everything else is refused with what is wrong with it."""

import base64
import bz2
import gzip
import lzma
import uuid
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from functions.refresh.reading import row_groups
from functions.refresh.reading.thrift import Struct
from functions.refresh.usecases.refresh import RefreshError
from tests.functional.conftest import Pipeline
from tests.support import created, daily, parquet, record
from tests.writers.files import with_footer
from tests.writers.records import SENTINELS

_RECORDS = pa.Table.from_pylist([record()] * 3)
_GOOD = parquet(_RECORDS)
_LARGE = parquet(pa.Table.from_pylist([record(extra=f"{number:032}") for number in range(9000)]), use_dictionary=False)
_ALL_BYTES = parquet(
    _RECORDS.select([]).append_column("country_code", pa.array([b"Peru"] * 3))
    .append_column("last_order_ts", pa.array([b"2020-01-06"] * 3))
    .append_column("total_orders", pa.array([b"2.0"] * 3))
    .append_column("voucher_amount", pa.array([b"2640"] * 3))
)  # fmt: skip


def _with(name: str, values: list[Any], kind: pa.DataType | None = None, **options: Any) -> bytes:
    """Write good records but for a column."""
    return parquet(_RECORDS.set_column(_RECORDS.column_names.index(name), name, pa.array(values, kind)), **options)


def _described(name: str, **fields: Any) -> Callable[[Struct], None]:
    """Describe a column otherwise: fields of parquet.thrift's SchemaElement."""
    numbers = {"repetition": 3, "converted": 6, "logical": 10}

    def change(metadata: Struct) -> None:
        for element in metadata[2][1][1]:
            if element[4][1] == name.encode():
                element.update({numbers[field]: value for field, value in fields.items()})

    return change


def _chunks(change: Callable[[Struct], object]) -> Callable[[Struct], None]:
    """Describe every column chunk otherwise."""

    def change_all(metadata: Struct) -> None:
        for group in metadata[4][1][1]:
            for chunk in group[1][1][1]:
                change(chunk)

    return change_all


def _groups(fields: Struct) -> Callable[[Struct], None]:
    """Describe every row group otherwise."""

    def change_all(metadata: Struct) -> None:
        for group in metadata[4][1][1]:
            group.update(fields)

    return change_all


def _twice_the_chunks(metadata: Struct) -> None:
    [group] = metadata[4][1][1]
    group[1][1][1].extend(group[1][1][1][:])


def _with_long_text_and_optional_keys(metadata: Struct) -> None:
    _described("key", repetition=(5, 1))(metadata)
    metadata[5] = (9, (12, [{1: (8, b"text"), 2: (8, b"x" * 2**24)}]))


def _statistics(statistics: Struct) -> bytes:
    return with_footer(_GOOD, _chunks(lambda chunk: chunk[3][1].update({12: (12, statistics)})))


def _encrypted(column: str, *, hides_footer: bool) -> bytes:
    encryption = pytest.importorskip("pyarrow.parquet.encryption", reason="pyarrow without encryption")

    class Keys(encryption.KmsClient):  # type: ignore[misc, name-defined]
        def wrap_key(self, key: bytes, _: str) -> bytes:
            return base64.b64encode(key)

        def unwrap_key(self, key: bytes, _: str) -> bytes:
            return base64.b64decode(key)

    properties = encryption.CryptoFactory(lambda _: Keys()).file_encryption_properties(
        encryption.KmsConnectionConfig(),
        encryption.EncryptionConfiguration(
            footer_key="f", column_keys={"c": [column]}, plaintext_footer=not hides_footer
        ),
    )
    return parquet(_RECORDS.append_column("extra", pa.array([1, 2, 3])), encryption_properties=properties)


_MAP = parquet(_RECORDS.append_column("map", pa.array([[("k", 1)]] * 3, pa.map_(pa.string(), pa.int64()))))
_BYTES = _with("country_code", [b"Peru"] * 3, pa.binary(), store_schema=False)

# Each counts as three good records.
COUNTED: dict[str, Callable[[], bytes]] = {
    "a map with optional keys beside": lambda: with_footer(_MAP, _described("key", repetition=(5, 1))),
    "an annotation of tomorrow beside": lambda: with_footer(_MAP, _described("value", converted=(5, 99))),
    "a name that is no UTF-8 beside": lambda: parquet(_RECORDS.append_column("note", pa.array([1, 2, 3]))).replace(
        b"note", b"not\xff"
    ),
    "a decimal beside that is too long": lambda: with_footer(
        parquet(_RECORDS.append_column("long", pa.array([1, 2, 3], pa.decimal256(76)))),
        lambda metadata: metadata[2][1][1][-1].update({8: (5, 90), 10: (12, {5: (12, {1: (5, 0), 2: (5, 90)})})}),
    ),
    "all bytes": lambda: _ALL_BYTES,
    "bytes of fixed length": lambda: _with("country_code", [b"Peru"] * 3, pa.binary(4)),
    "bytes as an enumeration": lambda: with_footer(_BYTES, _described("country_code", converted=(5, 4))),
    "no statistics": lambda: with_footer(_GOOD, _chunks(lambda chunk: chunk[3][1].pop(12))),
    "statistics of wrong lengths": lambda: _statistics({5: (8, b"zz"), 6: (8, b"\xff" * 9)}),
    "statistics of old writers": lambda: _statistics({1: (8, b"\xff"), 2: (8, b"")}),
    "impossible numbers of nulls": lambda: _statistics({3: (6, -7), 4: (6, 2**62)}),
    "no list of encodings": lambda: with_footer(_GOOD, _chunks(lambda chunk: chunk[3][1].update({2: (9, (5, []))}))),
    "no encoding statistics": lambda: with_footer(_GOOD, _chunks(lambda chunk: chunk[3][1].pop(13, None))),
    "no column orders": lambda: with_footer(_GOOD, lambda metadata: metadata.pop(7)),
    "no writer": lambda: with_footer(_GOOD, lambda metadata: metadata.pop(6)),
    "an Arrow schema that is none": lambda: with_footer(
        _GOOD, lambda metadata: metadata.update({5: (9, (12, [{1: (8, b"ARROW:schema"), 2: (8, b"AAAA")}]))})
    ),
    "an encrypted column beside": lambda: _encrypted("extra", hides_footer=False),
    "the text that joined files have": lambda: parquet(_RECORDS.append_column("x", pa.array(["PAR1PAR1"] * 3))),
    "bytes between data and footer": lambda: (
        _GOOD[: _start_of_footer(_GOOD)] + b"PAR1" * 3 + _GOOD[_start_of_footer(_GOOD) :]
    ),
    "a column whose name begins like ours": lambda: parquet(
        _RECORDS.append_column("total_orders.x", pa.array([1, 2, 3])).append_column(
            "a", pa.array([{"total_orders": 1}] * 3)
        )
    ),
}

# What each is refused with.
REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "two files": (lambda: _GOOD + _GOOD, "before the parquet that it ends with: files were joined"),
    "two other files": (lambda: _LARGE + _GOOD, "files were joined"),
    "a large file at the end": (lambda: _GOOD + _LARGE, "files were joined"),
    "three files": (lambda: _GOOD + _LARGE + _LARGE, "files were joined"),
    "a file with an index of pages": (
        lambda: _GOOD + parquet(_RECORDS, write_page_index=True), "files were joined"
    ),
    "a byte order mark in front": (lambda: b"\xef\xbb\xbf" + _GOOD, "files were joined"),
    "an empty file at the end": (lambda: _GOOD + parquet(_RECORDS[:0]), "files were joined"),
    "a summary of other files": (
        lambda: with_footer(_GOOD, _chunks(lambda chunk: chunk.update({1: (8, b"part-0.parquet")}))),
        "describes rows in other files",
    ),
    "an encrypted footer": (lambda: _encrypted("country_code", hides_footer=True), "is encrypted parquet"),
    "an encrypted column": (lambda: _encrypted("country_code", hides_footer=False), "is encrypted parquet"),
    "more rows in the footer than in its row groups": (
        lambda: with_footer(_GOOD, lambda metadata: metadata.update({3: (6, 9)})),
        "its footer has 9 rows, and its row groups have 3",
    ),
    "a row group that the footer leaves out": (
        lambda: with_footer(
            parquet(_RECORDS, row_group_size=1), lambda metadata: metadata[4][1][1].pop()
        ),
        "its footer has 3 rows, and its row groups have 2",
    ),
    "fewer rows than values": (
        lambda: with_footer(_GOOD, lambda metadata: (metadata.update({3: (6, 2)}), _groups({3: (6, 2)})(metadata))),
        "row group 0 has 2 rows, and its column country_code 3 values",
    ),
    "fewer values than rows": (
        lambda: with_footer(_GOOD, _chunks(lambda chunk: chunk[3][1].update({5: (6, 0)}))),
        "row group 0 has 3 rows, and its column country_code 0 values",
    ),
    "column chunks of no bytes": (
        lambda: with_footer(_GOOD, _chunks(lambda chunk: chunk[3][1].update({7: (6, 0)}))),
        "row group 0 has 3 rows, of which 0 can be read",
    ),
    "more column chunks than columns": (
        lambda: with_footer(_GOOD, _twice_the_chunks),
        "row group 0 has 8 columns instead of 4",
    ),
    "compression that Arrow lacks": (
        lambda: with_footer(_GOOD, _chunks(lambda chunk: chunk[3][1].update({4: (5, 3)}))),
        "cannot be read here, though other readers may: ",
    ),
    "a gzip": (lambda: gzip.compress(_GOOD), "is not readable parquet: it is compressed by gzip as a whole"),
    "a bzip2": (lambda: bz2.compress(_GOOD), "is not readable parquet: it is compressed by bzip2 as a whole"),
    "an xz": (lambda: lzma.compress(_GOOD), "is not readable parquet: it is compressed by xz as a whole"),
    "an Arrow file": (lambda: b"ARROW1\0\0" + b"x" * 99, "is not readable parquet: it is an Arrow file"),
    "other names": (
        lambda: parquet(
            _RECORDS.rename_columns(["\ufeffcountry_code", "LastOrderTs", "total_orders ", "voucher amount"])
        ),
        "missing: ['country_code', 'last_order_ts', 'total_orders', 'voucher_amount'];"
        r" the object has '\ufeffcountry_code', 'LastOrderTs', 'total_orders ', 'voucher amount'",
    ),
    "a letter of another script": (
        lambda: parquet(_RECORDS.rename_columns(["\u0441ountry_code", *_RECORDS.column_names[1:]])),
        r"missing: ['country_code']; the object has '\u0441ountry_code'",
    ),
    "a name that is no UTF-8": (
        lambda: _GOOD.replace(b"country_code", b"country_cod\xff"), r"the object has 'country_cod\ufffd'"
    ),
    "quite other names": (
        lambda: parquet(pa.table({f"column_{number}": [1] for number in range(12)})),
        "the object has 'column_0', 'column_1', 'column_2', 'column_3', 'column_4', 'column_5', 'column_6',"
        " 'column_7', 'column_8', 'column_9' and 2 more",
    ),
    "a truth": (
        lambda: _with("total_orders", [True] * 3),
        "column total_orders is of type bool; it can be read from text, integer, float and decimal",
    ),
    "a footer too long to leave columns out of": (
        lambda: with_footer(_MAP, _with_long_text_and_optional_keys),
        "Map keys must be annotated as required; the cause may be a column that is not needed, but the footer is too",
    ),
    "a time of day": (
        lambda: _with("last_order_ts", [1] * 3, pa.time64("us")),
        "column last_order_ts is of type time64[us]; it can be read from text, timestamp and date",
    ),
    "a duration": (lambda: _with("total_orders", [1] * 3, pa.duration("s")), "column total_orders is of type duration"),
    "a structure": (lambda: _with("country_code", [{"x": 1}] * 3), "struct<x: int64>; it can be read from text"),
    "a list": (lambda: _with("country_code", [["Peru"]] * 3), "column country_code is of type list<"),
    "a map": (
        lambda: _with("country_code", [[("a", 1)]] * 3, pa.map_(pa.string(), pa.int32())),
        "column country_code is of type map<",
    ),
    "a map with optional keys": (
        lambda: with_footer(
            _with("country_code", [[("a", 1)]] * 3, pa.map_(pa.string(), pa.int32())),
            _described("key", repetition=(5, 1)),
        ),
        "column country_code cannot be read: Map keys must be annotated as required",
    ),
    "a UUID": (lambda: _with("country_code", [uuid.UUID(int=1).bytes] * 3, pa.uuid()), "country_code is of type UUID"),
    "BSON": (lambda: with_footer(_BYTES, _described("country_code", converted=(5, 20))), "is of type BSON"),
    "an annotation of tomorrow": (
        lambda: with_footer(_BYTES, _described("country_code", logical=(12, {30: (12, {})}))),
        "country_code is of type UNDEFINED",
    ),
    "a number of 128 bits": (
        lambda: _with("total_orders", [b"2" * 16] * 3, pa.binary(16)),
        "column total_orders is of type fixed_size_binary[16]",
    ),
    "a number as INT96": (
        lambda: _with("total_orders", [datetime(2020, 1, 6)] * 3, use_deprecated_int96_timestamps=True),
        "column total_orders is of type timestamp[ms]",
    ),
}  # fmt: skip


def _start_of_footer(content: bytes) -> int:
    return len(content) - 8 - int.from_bytes(content[-8:-4], "little")


@pytest.mark.parametrize("is_large", [False, True], ids=["fetched at once", "column by column"])
def test_what_other_readers_read_is_counted(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, is_large: bool
) -> None:
    if is_large:
        monkeypatch.setattr(row_groups, "_MAX_FETCHED_BYTES", -1)
    for name, make in COUNTED.items():
        pipeline.put(f"{name}.parquet", make())
    summary = pipeline.refresh(daily())
    assert (summary.objects_counted, summary.rows_rejected) == (len(COUNTED), {})
    assert pipeline.column("SELECT DISTINCT rows_counted FROM voucher_customer.ledger") == [3]
    assert set(pipeline.published().values()) == {3 * len(COUNTED)}
    assert len(pipeline.published()) == 2


def test_what_cannot_be_counted_is_refused_with_what_is_wrong(pipeline: Pipeline) -> None:
    keys = {what: pipeline.put(f"{what}.parquet", make()) for what, (make, _) in REFUSED.items()}
    with pytest.raises(RefreshError) as failure:
        pipeline.refresh(daily())
    errors = dict(pipeline.sql.run("SELECT key, error FROM voucher_customer.ledger"))
    assert all(f"{key}: {errors[key]}" in str(failure.value) for key in keys.values())
    assert {what: errors[keys[what]] for what, (_, says) in REFUSED.items() if says not in errors[keys[what]]} == {}


@pytest.mark.parametrize("kind", ["int96", "timestamp_micros", "timestamp_millis"])
def test_the_days_that_writers_have_for_never_are_the_same_in_every_type(
    pipeline: Pipeline, foreign_files: dict[str, Path], kind: str
) -> None:
    pipeline.refresh(created(pipeline.put("v.parquet", foreign_files[f"spark-sentinels-{kind}"].read_bytes())))
    assert _days(pipeline) == SENTINELS


def test_every_day_of_int96_is_read_right(pipeline: Pipeline) -> None:
    # Given a day of every decade that there is, and moments at both ends of a day
    days = [date(year, 3, 1) for year in range(1, 10_000, 10)]
    moments = [datetime(9999, 12, 31, 23, 59, 59, 999_999), datetime(1, 1, 1)]
    table = pa.Table.from_pylist([record()] * (len(days) + len(moments)))
    values = pa.array([*(datetime(day.year, day.month, day.day) for day in days), *moments], pa.timestamp("us"))
    table = table.set_column(1, "last_order_ts", values)
    # When they are written as INT96, which wraps around in nanoseconds, then each keeps its day
    pipeline.refresh(created(pipeline.put("v.parquet", table, use_deprecated_int96_timestamps=True)))
    assert _days(pipeline) == sorted(map(str, [*days, date(1, 1, 1), date(9999, 12, 31)]))


def test_an_int96_that_no_calendar_has_rejects_its_row(pipeline: Pipeline) -> None:
    # Given the last day that INT96 can name, far beyond what microseconds hold
    moments = [datetime(2020, 1, 6)] * 3
    content = _with(
        "last_order_ts", moments, use_deprecated_int96_timestamps=True, use_dictionary=False, compression="none"
    )
    julian_day = (date(2020, 1, 6).toordinal() + 1_721_425).to_bytes(4, "little")
    assert content.count(julian_day) >= 3
    # When it is counted, then it is no day of another year
    summary = pipeline.refresh(created(pipeline.put("v.parquet", content.replace(julian_day, b"\xff\xff\xff\x7f"))))
    assert summary.rows_rejected == {"last_order_ts_unreadable": 3}


@pytest.mark.parametrize(
    "kind", [pa.binary(), pa.large_binary(), pa.binary_view(), pa.dictionary(pa.int8(), pa.binary())]
)
@pytest.mark.parametrize("options", [{}, {"use_dictionary": False, "store_schema": False}], ids=["", "plain"])
def test_bytes_that_are_not_utf_8_reject_their_row(
    pipeline: Pipeline, kind: pa.DataType, options: dict[str, Any]
) -> None:
    # Given an object for each column, of which that has a good value, a bad one and none
    keys = {}
    for name, value in record().items():
        good = str(value).encode()
        keys[name] = pipeline.put(f"{name}.parquet", _with(name, [good, b"\xff" + good, None], kind, **options))
    # When they are counted
    pipeline.refresh(daily())
    # Then the bad value rejects its row
    ledger = pipeline.sql.run("SELECT key, rows_counted, rows_rejected FROM voucher_customer.ledger")
    found = {key: (rows >= 1, reasons) for key, rows, reasons in ledger}
    for name, key in keys.items():
        assert found[key][0], name
        assert found[key][1][f"{name}_unreadable"] == 1
    # And they are written with their reasons
    written = pipeline.s3.list_objects_v2(Bucket="voucher-bucket", Prefix="rejected/")["Contents"]
    reasons = set()
    for rejected in written:
        body = pipeline.s3.get_object(Bucket="voucher-bucket", Key=rejected["Key"])["Body"].read()
        reasons |= set(pq.read_table(pa.BufferReader(body))["reason"].to_pylist())
    assert {f"{name}_unreadable" for name in keys} <= reasons


@pytest.mark.parametrize("column", ["total_orders", "voucher_amount"])
def test_json_is_read_as_text(pipeline: Pipeline, column: str) -> None:
    values = pa.array(["2", "2.0", '"2"', None, "{}"], pa.json_())
    table = pa.Table.from_pylist([record()] * 5)
    table = table.set_column(table.column_names.index(column), column, values)
    summary = pipeline.refresh(created(pipeline.put("v.parquet", table)))
    assert summary.rows_rejected == {f"{column}_unreadable": 2}
    assert summary.rows_counted == 3


def _days(pipeline: Pipeline) -> list[str]:
    days = pipeline.column(
        "SELECT DISTINCT value FROM voucher_customer.usage_totals"
        " WHERE dimension = 'days_since(last_order_ts)' ORDER BY value"
    )
    return [str(date.fromordinal(date(1970, 1, 1).toordinal() + day)) for day in days]


def test_many_days_of_a_timestamp_count_beside_a_null_and_a_day_before_1970(pipeline: Pipeline) -> None:
    days = [datetime.fromordinal(date(2015, 1, 1).toordinal() + number) for number in range(1500)]
    table = pa.Table.from_pylist([record()] * 1502)
    table = table.set_column(1, "last_order_ts", pa.array([*days, None, datetime(1969, 12, 31)], pa.timestamp("us")))
    summary = pipeline.refresh(created(pipeline.put("v.parquet", table)))
    assert (summary.rows_counted, summary.rows_rejected) == (1501, {"last_order_ts_missing": 1})
