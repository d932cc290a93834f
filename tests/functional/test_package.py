"""The built packages: small enough, and nothing imported before it is needed."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from infra.localstack.process import runtime_python
from tests.support import RUNTIME, parquet, record, serving_aws


def run_on(package: Path, code: str, **variables: str) -> str:
    """Run code on a package as the runtime would: with boto3 and nothing else beside it."""
    env = {"PYTHONPATH": str(package), "PYTHONDONTWRITEBYTECODE": "1", "AWS_DEFAULT_REGION": "us-east-1", **variables}
    done = subprocess.run(
        [str(runtime_python(RUNTIME)), "-c", code], cwd=package, env=env, check=False, capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().strip()


@pytest.mark.parametrize(
    ("name", "module", "heavy"),
    [
        ("lookup", "app", {"boto3", "botocore.session", "pandas", "pyarrow", "requests"}),
        ("migrate", "functions.migrate.handler", {"boto3", "botocore.session", "chalice", "pandas", "pyarrow"}),
        ("refresh", "functions.refresh.handler", {"chalice", "matplotlib", "pyarrow.flight"}),
    ],
)
def test_a_package_imports_alone_and_only_what_it_needs(
    packages: dict[str, Path], name: str, module: str, heavy: set[str]
) -> None:
    printed = run_on(
        packages[name],
        f"import sys, {module}; print(*sys.modules); print({module.split('.', maxsplit=1)[0]}.__file__)"
        "; print(f'python{sys.version_info.major}.{sys.version_info.minor}')",
    )
    modules, place, runtime = printed.splitlines()
    assert heavy & set(modules.split()) == set()
    assert place.startswith(str(packages[name]))
    assert runtime == RUNTIME


@pytest.fixture(scope="module")
def s3_address() -> Iterator[str]:
    """Run S3 where the package's process can reach it."""
    with serving_aws() as endpoint:
        yield endpoint


@pytest.mark.parametrize("compression", ["snappy", "gzip", "zstd", "lz4", "brotli"])
def test_the_pruned_package_counts_every_compression_from_s3(
    packages: dict[str, Path], s3_address: str, monkeypatch: pytest.MonkeyPatch, compression: str
) -> None:
    # Given: a bucket with one object
    variables = {"AWS_ENDPOINT_URL": s3_address, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3", region_name="us-east-1")
    client.create_bucket(Bucket=compression)
    body = parquet([record(), record(voucher_amount=None)], compression=compression)
    client.put_object(Bucket=compression, Key="vouchers/a.parquet", Body=body)
    # When: the package reads the dataset as the function does
    code = f"""
import functions.refresh.handler
from functions.refresh.reading.bucket import Bucket
from functions.refresh.counting.usage import Usage
from functions.common.dimensions import combine, parse_dimension
needed = combine([parse_dimension("total_orders"), parse_dimension("days_since(last_order_ts)")])
bucket, usage = Bucket("{compression}", "vouchers/"), Usage(needed)
for key, version in bucket.versions():
    for share in bucket.shares(key, version, needed.columns, 2):
        for batch in share:
            usage.add(batch.records, batch.first_row)
print(*sorted(tuple(row.values()) for row in usage.table.to_pylist()), sep="\\n")
"""
    printed = run_on(packages["refresh"], code, **variables)
    # Then: it has counted each row by both dimensions
    assert printed.splitlines() == [
        "('Peru', 'days_since(last_order_ts)', 18267, -1, 1)",
        "('Peru', 'days_since(last_order_ts)', 18267, 2640, 1)",
        "('Peru', 'total_orders', 2, -1, 1)",
        "('Peru', 'total_orders', 2, 2640, 1)",
    ]
