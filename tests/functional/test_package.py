"""The built packages: small enough, and nothing imported before it is needed."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from infra.packaging.build import PACKAGES, build
from tests.support import ROOT

RUNTIME = f"python{sys.version_info.major}.{sys.version_info.minor}"
EMULATOR_PYTHON = ROOT / ".local" / "tools" / "emulator" / "bin" / "python"


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("packages")
    sizes = {name: build(name, folder / name, runtime=RUNTIME, architecture="x86_64") for name in PACKAGES}
    assert {name for name, size in sizes.items() if size > PACKAGES[name].limit_mib * 2**20} == set()
    return {name: folder / name for name in PACKAGES}


def run_on(package: Path, code: str) -> str:
    """Run code on a package as the runtime would: with boto3 and nothing else beside it."""
    env = {"PYTHONPATH": str(package), "PYTHONDONTWRITEBYTECODE": "1", "AWS_DEFAULT_REGION": "us-east-1"}
    done = subprocess.run([str(EMULATOR_PYTHON), "-c", code], cwd=package, env=env, check=False, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().strip()


def test_the_lookup_package_is_at_most_4_mb_zipped(packages: dict[str, Path], tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "lookup.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in packages["lookup"].rglob("*"):
            archive.write(path, path.relative_to(packages["lookup"]))
    assert (tmp_path / "lookup.zip").stat().st_size <= 4_000_000


@pytest.mark.parametrize(
    ("name", "module", "heavy"),
    [
        ("lookup", "app", {"boto3", "botocore.session", "pandas", "pyarrow", "requests"}),
        ("refresh", "functions.refresh.handler", {"chalice", "matplotlib", "pyarrow.flight"}),
    ],
)
def test_a_package_imports_alone_and_only_what_it_needs(
    packages: dict[str, Path], name: str, module: str, heavy: set[str]
) -> None:
    printed = run_on(
        packages[name], f"import sys, {module}; print(*sys.modules); print({module.split('.', maxsplit=1)[0]}.__file__)"
    )
    modules, place = printed.splitlines()
    assert heavy & set(modules.split()) == set()
    assert place.startswith(str(packages[name]))


@pytest.mark.parametrize("compression", ["snappy", "gzip", "zstd", "lz4", "brotli"])
def test_the_pruned_package_reads_every_compression(packages: dict[str, Path], compression: str) -> None:
    code = f"""
import io, pyarrow as pa, pyarrow.parquet as pq, functions.refresh.handler
from functions.refresh.usage import Usage
row = {{"country_code": "Peru", "last_order_ts": "2020-01-06", "total_orders": "2.0", "voucher_amount": 2640.0}}
file = io.BytesIO()
pq.write_table(pa.Table.from_pylist([row]), file, compression="{compression}")
usage = Usage()
usage.add(pq.read_table(file))
print(usage.table.num_rows)
"""
    assert run_on(packages["refresh"], code) == "2"
