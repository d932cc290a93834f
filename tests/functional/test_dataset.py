"""The dataset in the bucket: leftovers of writers are ignored, named, and taken out where they were counted."""

from datetime import date
from pathlib import Path

import pytest

from functions.refresh.report.writer import LATEST
from functions.refresh.usecases.refresh import RefreshError
from infra.local import explore as exploring
from infra.local.explore import explore
from infra.local.objects import counted_of, objects_of
from infra.local.processes import LocalError
from tests.functional.conftest import Call, Pipeline
from tests.support import BUCKET, PREFIX, created, daily, deleted, parquet, record

GOOD = ["a.parquet", "A.PARQUET", "2020/b.snappy.parquet", "c.parquet.gzip"]

LEFTOVERS = [
    "_temporary/0/task/part-00000.snappy.parquet",
    ".spark-staging-1/part-00000.parquet",
    ".hive-staging_hive_1/-ext-10000/000000_0.parquet",
    "_delta_log/00000000000000000010.checkpoint.parquet",
    "a.parquet.bak",
    ".a.parquet.crc",
    "b.parq",
    "part-00000",
    "_SUCCESS",
]


def put_all(pipeline: Pipeline) -> None:
    for name in [*GOOD, *LEFTOVERS]:
        pipeline.put(name, [record()])
    # What a console makes for a folder is nothing to wait for.
    pipeline.put("2020/", b"")


def counted(pipeline: Pipeline) -> set[str]:
    return set(pipeline.column("SELECT key FROM voucher_customer.ledger WHERE etag IS NOT NULL"))


def test_leftovers_are_not_counted_but_named(pipeline: Pipeline, call: Call) -> None:
    put_all(pipeline)
    summary = pipeline.refresh(daily())
    assert (summary.objects_counted, summary.objects_ignored, summary.errors) == (len(GOOD), len(LEFTOVERS), [])
    assert summary.ignored == sorted(PREFIX + name for name in LEFTOVERS)[:5]
    assert counted(pipeline) == {PREFIX + name for name in GOOD}
    assert pipeline.sql.run("SELECT objects_ignored, ignored FROM voucher_customer.refreshes") == [
        [len(LEFTOVERS), summary.ignored]
    ]
    [run] = call("GET", "/refreshes")[1]["refreshes"]
    assert run["objects_ignored"] == len(LEFTOVERS)
    page = pipeline.s3.get_object(Bucket=BUCKET, Key=LATEST)["Body"].read().decode()
    assert f'"objects_ignored":{len(LEFTOVERS)},"ignored":["{summary.ignored[0]}",' in page


def test_the_event_of_a_leftover_says_that_it_is_ignored(pipeline: Pipeline) -> None:
    key = pipeline.put("b.parq", [record()])
    summary = pipeline.refresh(created(key))
    assert (summary.objects_counted, summary.objects_ignored, summary.ignored) == (0, 1, [key])
    pipeline.delete(key)
    assert pipeline.refresh(deleted(key)).objects_ignored == 0
    assert pipeline.refresh(created("elsewhere/b.parq")).objects_ignored == 0
    assert pipeline.refresh(created(f"{PREFIX}a\0b.parquet")).ignored == [f"{PREFIX}a\ufffdb.parquet"]
    assert pipeline.column("SELECT count(*) FROM voucher_customer.ledger") == [0]


@pytest.mark.parametrize("by", ["daily", "event"])
def test_what_an_earlier_release_counted_of_leftovers_is_taken_out(
    pipeline: Pipeline, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given leftovers that are counted, as release 0.1.0 did, whose dataset were all names with .parquet in them
    put_all(pipeline)
    with monkeypatch.context() as earlier:
        earlier.setattr(
            "functions.refresh.reading.bucket.is_in_dataset",
            lambda key, prefix: ".parquet" in key and not key.endswith("/"),
        )
        pipeline.refresh(daily())
    leftovers = {key for key in counted(pipeline) if key not in {PREFIX + name for name in GOOD}}
    assert len(leftovers) == 6
    # When the daily run looks at the bucket, or an event at one of them
    if by == "daily":
        assert pipeline.refresh(daily()).objects_removed == 6
    else:
        for key in leftovers:
            assert pipeline.refresh(created(key)).objects_removed == 1
    # Then they count no more, and the file in capitals does
    pipeline.refresh(daily())
    assert counted(pipeline) == {PREFIX + name for name in GOOD}
    assert sum(pipeline.published().values()) == 2 * len(GOOD)


def test_an_error_names_the_folder_that_holds_a_missing_column(pipeline: Pipeline) -> None:
    rows = [{name: value for name, value in record().items() if name != "country_code"}]
    pipeline.put("month=5/country_code=Peru/a.parquet", rows)
    pipeline.put("other/b.parquet", rows)
    pipeline.put("country_code=Peru/c.parquet", [record()])
    with pytest.raises(RefreshError) as error:
        pipeline.refresh(daily())
    first, second = sorted(error.value.summary.errors)
    assert "the key has a folder country_code=Peru, which is not read: write the column into the file too" in first
    assert "the key has" not in second
    assert counted(pipeline) == {f"{PREFIX}country_code=Peru/c.parquet"}


def test_a_folder_is_put_as_it_is_and_explored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(exploring, "REPORT", tmp_path / "explored.html")
    folder = tmp_path / "data"
    for name in [*GOOD, *LEFTOVERS]:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(parquet([record()]))
    objects = objects_of(str(folder))
    assert objects.keys() == {PREFIX + name for name in [*GOOD, *LEFTOVERS]}
    assert sorted(counted_of(objects)) == sorted(PREFIX + name for name in GOOD)
    assert explore(objects, as_of=date(2020, 6, 15), countries="")
    printed = capsys.readouterr().out
    assert f"Ignored, because not part of the dataset: {len(LEFTOVERS)}: vouchers/.a.parquet.crc, " in printed
    assert printed.endswith(f"ACCEPTED: {len(GOOD)} files; {len(GOOD)} of {len(GOOD)} rows counted, 0 rejected\n")


def test_files_of_the_same_name_do_not_replace_each_other(tmp_path: Path) -> None:
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.parquet").touch()
    assert list(objects_of(f"{tmp_path}/x {tmp_path}/y/a.parquet")) == ["vouchers/a.parquet", "vouchers/1/a.parquet"]


@pytest.mark.parametrize(
    ("data", "says"), [("b.parq", "is not named"), ("folder", "no .*file in"), ("none", "there is no")]
)
def test_data_of_which_nothing_would_be_counted_is_refused(tmp_path: Path, data: str, says: str) -> None:
    (tmp_path / "b.parq").touch()
    (tmp_path / "folder" / "_temporary").mkdir(parents=True)
    (tmp_path / "folder" / "_temporary" / "a.parquet").touch()
    with pytest.raises(LocalError, match=says):
        objects_of(str(tmp_path / data))
