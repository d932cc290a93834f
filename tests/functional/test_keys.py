"""Keys: whatever S3 takes as one, its object is counted, looked up, verified and taken out again."""

import string

from tests.functional.conftest import Pipeline
from tests.functional.test_backlog import Backlog
from tests.functional.test_verification import verify, wrong
from tests.support import BUCKET, PREFIX, created, daily, deleted, record

# S3 takes up to 1,024 bytes.
LONGEST = "x" * (1024 - len(PREFIX) - len(".parquet")) + ".parquet"

NAMES = [
    # what a library might take for a URL, an address or a pattern
    "s3://old/a.parquet", "s3:/a.parquet", "as3://b.parquet", "s3s3://://a.parquet", "x:accesspoint/a.parquet",
    "arn:aws:s3:us-east-1:123456789012:accesspoint/ap/a.parquet", ":accesspoint:a.parquet", "https://x/a.parquet",
    "a?versionId=1/b.parquet", "a?versionId=1&b.parquet", "a#b.parquet", "a;b.parquet", "*.parquet", "a[0-9]?.parquet",
    # what is encoded, or looks it
    "a b.parquet", " a.parquet", "a /b.parquet", "a+b.parquet", "a%2Fb.parquet", "a%20b.parquet", "a%.parquet",
    "a%%2F.parquet", "&amp;<b>.parquet", "a=b&c=d.parquet", "a\\b.parquet", "\\\\x.parquet",
    # slashes and dots
    "/a.parquet", "a//b.parquet", "///a.parquet", "a/b../c.parquet", "a...parquet", "~/a.parquet",
    # what SQL and arrays of PostgreSQL take for more than text
    "'; DROP TABLE x; --.parquet", "{a,b}.parquet", '"a".parquet', "NULL.parquet", "null/a.parquet", "$1.parquet",
    "%s%(a)s.parquet", ":key.parquet", "a_b%.parquet",
    # other characters
    "Perú/Ñandú.parquet", "中国/數據.parquet", "😀.parquet", "e\u0301.parquet", "\u00e9.parquet", "\u202eabc.parquet",
    "a\u00a0b.parquet", "a\u2028b.parquet", "a\tb.parquet", "a\nb.parquet", "a\r\nb.parquet",
    "\x7f.parquet", "\x01.parquet",
    "".join(character for character in string.printable if character not in "./_\x0b\x0c") + ".parquet",
    "\U0010ffff.parquet", LONGEST, "é" * 500 + ".parquet",
]  # fmt: skip


def keys_counted(pipeline: Pipeline) -> set[str]:
    return set(pipeline.column("SELECT key FROM voucher_customer.ledger WHERE etag IS NOT NULL AND error IS NULL"))


def vouchers(pipeline: Pipeline) -> int:
    [counted] = pipeline.column("SELECT coalesce(sum(rows_counted), 0) FROM voucher_customer.ledger")
    return int(counted)


def test_the_objects_of_all_keys_are_counted_verified_and_taken_out(pipeline: Pipeline) -> None:
    keys = {pipeline.put(name, [record(), record(country_code="")]) for name in NAMES}
    summary = pipeline.refresh(daily())
    assert (summary.errors, summary.objects_counted) == ([], len(NAMES))
    assert keys_counted(pipeline) == keys
    assert vouchers(pipeline) == len(NAMES)
    # One rejected row of each
    pages = pipeline.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix="rejected/")
    rejected = [found["Key"] for page in pages for found in page["Contents"]]
    assert len(rejected) == len(NAMES)
    assert sum(key.startswith(f"rejected/{PREFIX}") for key in rejected) == len(NAMES) - 2  # which are too long
    # Nothing is to be done again
    assert pipeline.refresh(daily()).objects_skipped == len(NAMES)
    for key in keys:
        pipeline.delete(key)
    assert pipeline.refresh(daily()).objects_removed == len(NAMES)
    assert vouchers(pipeline) == 0


def test_the_objects_of_events_are_counted_and_taken_out(pipeline: Pipeline) -> None:
    refresh = pipeline.make()
    for name in NAMES:
        key = pipeline.put(name, [record()])
        assert pipeline.refresh_with(refresh, created(key)).objects_counted == 1
        assert keys_counted(pipeline) == {key}
        pipeline.delete(key)
        assert pipeline.refresh_with(refresh, deleted(key)).objects_removed == 1
        assert vouchers(pipeline) == 0


def test_a_backlog_counts_the_objects_of_all_keys(pipeline: Pipeline) -> None:
    keys = {pipeline.put(name, [record()]) for name in NAMES}
    backlog = Backlog(pipeline)
    backlog.count_all(backlog.plan()[1])
    assert backlog.publish().objects_counted == len(NAMES)
    assert keys_counted(pipeline) == keys
    verified = verify(pipeline)
    assert (verified.objects_verified, wrong(verified)) == (len(NAMES), (0, 0, 0))


def test_an_object_that_is_named_like_another_is_not_confused_with_it(pipeline: Pipeline) -> None:
    # Without the key's own s3:// the other one would be read
    pipeline.put("a.parquet", [record()] * 5)
    key = pipeline.put("s3://a.parquet", [record()] * 2)
    pipeline.refresh(created(key))
    assert vouchers(pipeline) == 2
