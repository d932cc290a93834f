"""The dataset: which objects are part of it."""

from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import fs

from functions.refresh.reading.dataset import is_in_dataset

TAKEN = [
    "a.parquet", "2020/01/a.parquet", "a.snappy.parquet", "part-00000-4c5e.c000.snappy.parquet", "year=2020/a.parquet",
    "a.parquet.gzip", "a.parquet.gz", "a.parquet.snappy", "a.parquet.zst", "a.parquet.zstd", "a.parquet.lz4",
    "a.parquet.lz4_raw", "a.parquet.br", "a.parquet.brotli", "a.parquet.bz2", "a.parquet.uncompressed",
    "A.PARQUET", "a.Parquet", "a.PARQUET.GZIP", "a.parquet.GZ", "a b+c.parquet", "a.parquet.parquet", "a.csv.parquet",
    "a_b.parquet", "a.b/c_d/e.parquet", "20200101_000_a.parquet", "x//y.parquet", "Perú/a.parquet", "a\nb.parquet",
    "a.parquet/b.parquet", "%5Ftemporary/a.parquet", " .parquet", "-.parquet",
]  # fmt: skip

IGNORED = [
    # what Spark, Hive, Hudi, Delta and Iceberg leave beside data
    "_SUCCESS", "_temporary/0/_temporary/attempt_0/part-00000.snappy.parquet", "_temporary/0/a.parquet", "_metadata",
    ".spark-staging-1/a.parquet", ".spark-staging-ab12/country=Peru/a.parquet", "2020/_temporary/a.parquet",
    ".hive-staging_hive_2020-01-06_1/-ext-10000/a.parquet", "_tmp.-ext/a.parquet", "_impala_insert_staging/a.parquet",
    "_delta_log/00000000000000000010.checkpoint.parquet", "_delta_index/a.parquet", ".hoodie/metadata/a.parquet",
    "_spark_metadata/0.parquet", "__HIVE_DEFAULT_PARTITION__/a.parquet", "_common_metadata.parquet", "_a.parquet",
    ".a.parquet", ".a.parquet.crc", ".parquet", ".parquet.gzip", "./a.parquet", "../a.parquet", "a/../b.parquet",
    # names that go on
    "a.parquet.bak", "a.parquet.tmp", "a.parquet.crc", "a.parquet.part", "a.parquet.filepart", "a.parquet.crdownload",
    "a.parquet._COPYING_", "a.parquet.inprogress", "a.parquet.old", "a.parquet.1", "a.parquet~", "a.parquet_old",
    "a.parquet.gpg", "a.parquet.gz.bak", "a.parquet.gzip.gzip", "a.parquet.", "a.parquet ", "a.parquet\n", "a.parquets",
    "a.parquet.csv", "a.parquet?versionId=1", "a.parquet.zip", "a.parquet.tar.gz", "a.parquet copy", "a.parquet (1)",
    # other names
    "b.parq", "b.pq", "part-00000", "a.csv", "a", "aparquet", "parquet", "a.parquet-dir/part-0", "a.parquet/",
    "folder/", "manifest.json", "a.\u017farquet", "a.parque\u0165", "a.PARQ", "a\0b.parquet",
]  # fmt: skip


@pytest.mark.parametrize("name", TAKEN, ids=ascii)
@pytest.mark.parametrize("prefix", ["vouchers/", "", "a/_b/.c/", "vouchers/part-", "_vouchers"])
def test_an_object_is_part_of_the_dataset(prefix: str, name: str) -> None:
    assert is_in_dataset(prefix + name, prefix)


@pytest.mark.parametrize("name", IGNORED, ids=ascii)
@pytest.mark.parametrize("prefix", ["vouchers/", "", "a/_b/.c/"])
def test_an_object_is_not_part_of_the_dataset(prefix: str, name: str) -> None:
    assert not is_in_dataset(prefix + name, prefix)


@pytest.mark.parametrize("key", ["a.parquet", "rejected/vouchers/a.parquet", "voucher/a.parquet", "Vouchers/a.parquet"])
def test_what_lies_beside_the_prefix_is_not_part_of_the_dataset(key: str) -> None:
    assert not is_in_dataset(key, "vouchers/")


def test_below_a_prefix_that_ends_within_a_name_the_folders_count() -> None:
    assert is_in_dataset("vouch_ers/a.parquet", "vouch")
    assert not is_in_dataset("vouchers/_a/b.parquet", "vouch")


def test_arrow_takes_the_same_folders_and_files(tmp_path: Path) -> None:
    """Arrow's own discovery is the reader whose rule for hidden names this one follows."""
    names = [name for name in TAKEN + IGNORED if not {"", ".", ".."} & set(name.split("/")) and "\0" not in name]
    names = [name for name in names if name not in {"a.parquet/b.parquet", "a.parquet-dir/part-0"}]
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    selector = fs.FileSelector(str(tmp_path), recursive=True)
    factory = ds.FileSystemDatasetFactory(fs.LocalFileSystem(), selector, ds.ParquetFileFormat())
    found = {str(Path(path).relative_to(tmp_path)) for path in factory.finish(pa.schema([])).files}
    visible = {name for name in names if not any(part.startswith(("_", ".")) for part in name.split("/"))}
    assert found == visible
    assert {name for name in names if is_in_dataset(name, "")} <= found


@given(st.text(min_size=1), st.sampled_from(["vouchers/", "", "v"]))
def test_what_is_taken_is_named_parquet(name: str, prefix: str) -> None:
    taken = is_in_dataset(f"{prefix}{name}", prefix)
    assert not taken or ".parquet" in name.lower()
