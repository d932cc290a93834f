"""Counts that a query engine made and a person loaded, as docs/scale.md shows."""

import re

from tests.functional.conftest import Pipeline
from tests.functional.test_verification import verify, wrong
from tests.support import BUCKET, ROOT, daily, parquet, record, recount

QUERY, LOAD = re.findall(r"```sql\n(.*?)```", (ROOT / "docs" / "scale.md").read_text(), re.DOTALL)
ROWS = {
    "a.parquet": [record(), record(), record(total_orders=None), record(voucher_amount=None)],
    "2019/b.parquet": [record(voucher_amount=0.0, last_order_ts="2019-01-06"), record(country_code="China")],
}


def test_counts_that_are_loaded_as_docs_scale_says_are_published_and_not_read_again(pipeline: Pipeline) -> None:
    # Given a bucket whose objects another engine, which PostgreSQL plays here, has counted by the page's query
    pipeline.make()
    sql = pipeline.sql
    sql.execute_simple("""
        CREATE SCHEMA loaded;
        CREATE FUNCTION loaded.date_diff(text, date, date) RETURNS bigint LANGUAGE sql RETURN $3 - $2;
        CREATE TABLE loaded.vouchers (
            "$path" text, country_code text, last_order_ts timestamptz, total_orders numeric, voucher_amount float
        );
        CREATE TABLE loaded.objects (key text, etag text, size bigint);
        SET search_path TO loaded; SET timezone TO UTC
    """)
    for name, rows in ROWS.items():
        key = pipeline.put(name, rows)
        put = pipeline.s3.head_object(Bucket=BUCKET, Key=key)
        sql.run("INSERT INTO objects VALUES (:key, :etag, :size)", key=key, etag=put["ETag"], size=put["ContentLength"])
        for row in rows:
            sql.run(
                "INSERT INTO vouchers VALUES (:path, :country_code, CAST(:last_order_ts AS timestamptz),"
                " CAST(:total_orders AS numeric), :voucher_amount)",
                path=f"s3://{BUCKET}/{key}",
                **row,
            )
    sql.execute_simple(f"CREATE TABLE counts AS {QUERY}")
    sql.execute_simple("ALTER TABLE counts RENAME path TO key")
    sql.run("UPDATE counts SET key = replace(key, :start, '')", start=f"s3://{BUCKET}/")
    # When they are loaded, and an object comes meanwhile
    sql.execute_simple(LOAD)
    sql.execute_simple("DROP SCHEMA loaded CASCADE; RESET search_path")
    pipeline.put("c.parquet", parquet([record(voucher_amount=4400.0)]))
    summary = pipeline.refresh(daily())
    # Then only that one is read, and the table is that of the bucket
    assert (summary.objects_skipped, summary.objects_counted, summary.rows_read) == (2, 1, 1)
    every = [row for rows in ROWS.values() for row in rows] + [record(voucher_amount=4400.0)]
    assert pipeline.published() == recount(every, summary.as_of, ["Peru"])
    assert summary.unknown["frequent_segment"].amount_share > 0
    # And the entries are those that the refresh function would have made
    assert wrong(verify(pipeline)) == (0, 0, 0)
