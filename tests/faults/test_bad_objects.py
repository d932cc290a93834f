"""Objects that cannot be read, and keys that are odd: named in the ledger, never in the way of the others."""

import json
import threading
from collections.abc import Callable, Iterator
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

import boto3
import pyarrow as pa
import pytest

from tests.faults.world import World, some_rows
from tests.support import BUCKET, PREFIX, daily, parquet, record

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_GOOD = parquet([record()] * 9)


def _with(name: str, values: list[Any], kind: pa.DataType) -> bytes:
    rows = pa.Table.from_pylist([record()] * len(values))
    return parquet(rows.set_column(rows.column_names.index(name), name, pa.array(values, kind)))


def _twice() -> bytes:
    rows = pa.Table.from_pylist([record()])
    return parquet(rows.append_column("total_orders", rows["total_orders"]))


def _encrypted() -> bytes:
    """Encrypt the footer, and so the schema, with a key that the refresh function does not have."""
    encryption = pytest.importorskip("pyarrow.parquet.encryption", reason="pyarrow without encryption")

    class Keys(encryption.KmsClient):  # type: ignore[misc, name-defined]
        def wrap_key(self, key: bytes, _: str) -> bytes:
            return key.hex().encode()

        def unwrap_key(self, key: bytes, _: str) -> bytes:
            return bytes.fromhex(key.decode())

    properties = encryption.CryptoFactory(lambda _: Keys()).file_encryption_properties(
        encryption.KmsConnectionConfig(),
        encryption.EncryptionConfiguration(footer_key="f", column_keys={"c": ["country_code"]}),
    )
    return parquet([record()], encryption_properties=properties)


_NESTED = pa.list_(pa.struct([("a", pa.map_(pa.string(), pa.int64()))]))

BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "zero bytes": (lambda: b"", "is empty"),
    "four bytes": (lambda: b"PAR1", "is not readable parquet"),
    "text": (lambda: b"country_code,total_orders\n" * 20, "is not readable parquet"),
    "no footer": (lambda: _GOOD[:-8], "is not readable parquet"),
    "end only": (lambda: _GOOD[-200:], "is not readable parquet"),
    "an endless footer": (lambda: _GOOD[:-8] + b"\xff\xff\xff\x7fPAR1", "is not readable parquet"),
    "encrypted": (_encrypted, "is encrypted parquet"),
    "no columns": (lambda: parquet(pa.table({})), "needed column missing"),
    "other columns": (lambda: parquet(pa.table({"a": [1]})), "needed column missing"),
    "a column that occurs twice": (_twice, "needed column occurs twice: ['total_orders']"),
    "a list": (partial(_with, "total_orders", [[1]], pa.list_(pa.int64())), "column total_orders is of type list"),
    "deeply nested": (partial(_with, "voucher_amount", [[]], _NESTED), "column voucher_amount is of type list"),
    "booleans": (partial(_with, "voucher_amount", [True], pa.bool_()), "column voucher_amount is of type bool"),
    "a truth": (partial(_with, "country_code", [True], pa.bool_()), "column country_code is of type bool"),
    "a time of day": (partial(_with, "last_order_ts", [1], pa.time64("us")), "column last_order_ts is of type time64"),
    "noise": (
        partial(_with, "voucher_amount", list(range(260_000)), pa.int64()),
        "more than 500,000 combinations of country, dimension, value and amount",
    ),
}  # fmt: skip

# What is odd, and can be read: the rows that count.
ODD: dict[str, tuple[Callable[[], bytes], int]] = {
    "no rows": (lambda: parquet(pa.Table.from_pylist([record()]).slice(0, 0)), 0),
    "all amounts null": (partial(_with, "voucher_amount", [None, None], pa.null()), 2),
    "all countries null": (partial(_with, "country_code", [None, None], pa.null()), 0),
    "huge text": (partial(_with, "country_code", ["x" * 5_000_000, "Peru"], pa.large_string()), 1),
    "huge numbers in text": (partial(_with, "total_orders", ["9" * 100_000, "1e999999999", "3"], pa.string()), 1),
    **{
        codec: (partial(parquet, [record()] * 9, compression=codec), 9)
        for codec in ("none", "snappy", "gzip", "zstd", "lz4", "brotli")
    },
}

KEYS = [
    "a b.parquet", "a+b.parquet", "100%.parquet", "100%25.parquet", "[a].parquet", "*?.parquet", "ñandú/ü✓😀.parquet",
    "a//b.parquet", "a.b/a.parquet", "'\"\\;--.parquet", "x" * (1024 - len(PREFIX) - 8) + ".parquet",
]  # fmt: skip


def test_bad_objects_are_named_and_keep_what_was_counted_of_them(world: World) -> None:
    """Given good objects overwritten with bad ones, when refreshed, then each has its reason and the others go on."""
    random = Random(1)
    keys = {what: world.put(f"{what}.parquet", some_rows(random)) for what in BAD}
    world.refresh()
    for what, (make, _) in BAD.items():
        world.put(f"{what}.parquet", make())
    world.put("good.parquet", some_rows(random))

    report = world.start(daily()).wait()

    world.has_looked()
    world.check_all_counted()
    assert report.error == "RefreshError"
    errors = dict(world.sql.run("SELECT key, error FROM voucher_customer.ledger WHERE error IS NOT NULL"))
    assert errors.keys() == set(keys.values())
    assert [what for what, (_, says) in BAD.items() if says not in errors[keys[what]]] == []


def test_odd_objects_count_what_is_good_in_them(world: World, s3: "S3Client") -> None:
    """Given objects that are odd but whole, when refreshed, then their good rows count and nothing fails."""
    world.put("good.parquet", some_rows(Random(2)))
    for what, (make, _) in ODD.items():
        s3.put_object(Bucket=BUCKET, Key=f"{PREFIX}odd/{what}.parquet", Body=make())

    report = world.start(daily()).wait()

    assert report.summary, report
    found = world.sql.run("SELECT key, rows_counted, error FROM voucher_customer.ledger WHERE key LIKE '%/odd/%'")
    assert {key: (rows, error) for key, rows, error in found} == {
        f"{PREFIX}odd/{what}.parquet": (rows, None) for what, (_, rows) in ODD.items()
    }


def test_odd_keys_are_counted_and_a_bad_object_under_each_is_named(world: World) -> None:
    """Given keys with all that is special somewhere, when good, bad and deleted, then each is followed as any other."""
    random = Random(0)
    for name in KEYS:
        world.put(name, some_rows(random))
    world.refresh()
    world.check_all_counted()
    for name in KEYS:
        world.put(name, b"bad")
    world.refresh()
    world.check_all_counted()
    for name in KEYS:
        world.delete(name)
    world.refresh()
    world.check_all_counted()
    assert world.sql.run("SELECT count(*) FROM voucher_customer.usage_totals") == [[0]]


def test_an_object_that_s3_denies_is_named_and_counted_once_it_is_allowed(world: World, s3: "S3Client") -> None:
    """Given a key that the bucket's policy denies, when refreshed, then it fails alone; allowed again, it counts."""
    world.put("a.parquet", some_rows(Random(1)))
    world.refresh()
    denied = world.put("a.parquet", some_rows(Random(3)))
    world.put("b.parquet", some_rows(Random(2)))
    resource = f"arn:aws:s3:::{BUCKET}/{denied}"
    statement = {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "Resource": resource}
    s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))

    report = world.start(daily()).wait()
    s3.delete_bucket_policy(Bucket=BUCKET)

    assert report.error == "RefreshError", report
    assert report.message.startswith(f"{denied}: ")
    assert report.message.count("403") == 1 or "AccessDenied" in report.message
    assert world.sql.run("SELECT key FROM voucher_customer.ledger WHERE error IS NOT NULL") == [[denied]]
    world.refresh()
    world.check_all_counted()


def test_objects_deleted_between_listing_and_reading_are_not_missed(world: World, hooked: list[Any]) -> None:
    """Given objects that are listed and then go, when they are read, then nothing of them counts and nothing fails."""
    for name in ("a.parquet", "b.parquet", "c.parquet"):
        world.put(name, some_rows(Random(1)))

    def delete() -> None:
        world.delete("a.parquet")
        world.delete("b.parquet")

    hooked.append(delete)
    world.refresh()
    world.check_all_counted()
    assert not hooked


@pytest.fixture
def hooked(s3: "S3Client") -> Iterator[list[Any]]:
    """Call what is in the list, once, before an object is read."""
    hooks: list[Callable[[], None]] = []
    guard = threading.Lock()

    def call(**_: Any) -> None:  # what it returns would be taken for S3's answer
        with guard:  # objects are read several at once
            while hooks:
                hooks.pop()()

    assert boto3.DEFAULT_SESSION is not None
    boto3.DEFAULT_SESSION.events.register("before-call.s3.GetObject", call)
    yield hooks
    boto3.setup_default_session()
