"""A backfill: the ledger made to match the bucket for a part of the dataset."""

from datetime import date

from tests.functional.conftest import NOW, Pipeline
from tests.support import PREFIX, daily, record


def test_a_backfill_counts_what_is_missing_under_its_prefix_and_nothing_else(pipeline: Pipeline) -> None:
    stays, goes = (pipeline.put(f"2019/{name}.parquet", [record()]) for name in "ab")
    elsewhere = pipeline.put("2020/a.parquet", [record()])
    pipeline.refresh(daily())
    pipeline.delete(goes)
    pipeline.delete(elsewhere)
    pipeline.put("2019/c.parquet", [record(voucher_amount=4400)] * 2)
    pipeline.put("2020/c.parquet", [record(voucher_amount=3520)])

    summary = pipeline.refresh({"prefix": f"{PREFIX}2019/"})

    assert (summary.objects_skipped, summary.objects_counted, summary.objects_removed) == (1, 1, 1)
    assert {key[5]: count for key, count in pipeline.published().items()} == {2640: 2, 4400: 2}
    assert pipeline.column("SELECT trigger FROM voucher_customer.refreshes ORDER BY refresh_id") == [
        "daily", "backfill",
    ]  # fmt: skip
    assert stays in pipeline.column("SELECT key FROM voucher_customer.ledger WHERE etag IS NOT NULL")


def test_the_day_of_a_backfill_is_its_own(pipeline: Pipeline) -> None:
    pipeline.refresh(daily("2021-01-05"))
    assert pipeline.refresh({"prefix": PREFIX}).as_of == NOW.date()
    assert pipeline.refresh({"prefix": PREFIX, "as_of": "2022-01-01"}).as_of == date(2022, 1, 1)
    assert pipeline.refresh(daily("2021-01-04")).as_of == date(2021, 1, 5)
