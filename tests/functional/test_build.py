"""The build: the same content always makes the same archive, within its limits, for every runtime."""

import os
import re
import shutil
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from infra.packaging.build import LAMBDA_SYSTEM, build
from infra.packaging.folder import files
from infra.packaging.kept import kept_package
from tests.certificates import make_certificate
from tests.support import ROOT

RUNTIME = f"python{sys.version_info.major}.{sys.version_info.minor}"
SAM_PYTHON = ROOT / ".local" / "tools" / "sam" / "bin" / "python"
LAMBDA_ARCHIVE = """
import hashlib, sys
from concurrent.futures import ThreadPoolExecutor
from samcli.lib.package.utils import make_zip_with_lambda_permissions, zip_folder
def describe(folder):
    with zip_folder(folder, make_zip_with_lambda_permissions) as (archive, name):
        return name, hashlib.sha256(open(archive, "rb").read()).hexdigest()
for found in ThreadPoolExecutor().map(describe, sys.argv[1:]):
    print(*found)
"""
MACHINES = {"x86_64": 62, "arm64": 183}  # as ELF files number them


def run_build(
    checkout: Path, name: str, folder: Path, *, umask: int = 0o022, **changes: str
) -> subprocess.CompletedProcess[str]:
    """Build as `sam build` does."""
    # Beside the checkout's .venv this Python may be on no path, and byte code is made by one that is found.
    path = f"{Path(sys.base_prefix) / 'bin'}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "RUNTIME": RUNTIME, "ARCHITECTURE": "x86_64", "RDS_CA": "", **changes}
    return subprocess.run(
        [str(ROOT / ".venv" / "bin" / "python"), "-m", "infra.packaging.build", name, str(folder)],
        cwd=checkout, env=env, umask=umask, check=False, capture_output=True, text=True,
    )  # fmt: skip


def listing(folder: Path) -> list[tuple[str, int, int]]:
    """Return name, mode and time of everything in a folder, in the order in which SAM archives it."""
    found = [Path(parent, name) for parent, folders, files in os.walk(folder) for name in [".", *files]]
    stats = {path: path.stat() for path in found}
    return [(str(path.relative_to(folder)), stat.st_mode, stat.st_mtime_ns) for path, stat in stats.items()]


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """Copy the checkout: younger files in another folder."""
    copy = tmp_path / "elsewhere" / "copy"
    for part in ("functions", "chalice_app", "infra"):
        shutil.copytree(ROOT / part, copy / part, copy_function=shutil.copyfile)
    return copy


@pytest.mark.parametrize("name", ["migrate", "lookup"])
def test_the_same_content_makes_the_same_archive(tmp_path: Path, elsewhere: Path, name: str) -> None:
    # Given: the checkout, the copy, and in that an earlier package
    first, second = tmp_path / name, elsewhere / "build" / name
    second.mkdir(parents=True)
    for file in ("rds-ca.pem", "left_over.py"):
        (second / file).touch()
    # When: both are built, by users with different masks and settings
    built = run_build(ROOT, name, first)
    again = run_build(elsewhere, name, second, umask=0o077, PYTHONHASHSEED="7", PYTHONOPTIMIZE="1")
    # Then: both say the same hash of the content; names, modes, times and their order are equal
    assert (built.returncode, again.returncode) == (0, 0)
    assert built.stdout == again.stdout
    assert re.search(r", sha256 [0-9a-f]{64}\n$", built.stdout)
    assert listing(first) == listing(second)
    # … and so are SAM's archives and their names in S3
    done = subprocess.run(
        [str(SAM_PYTHON), "-c", LAMBDA_ARCHIVE, first, second], check=True, capture_output=True, text=True
    )
    one, other = done.stdout.splitlines()
    assert one == other


def test_the_refresh_package_has_the_same_content_wherever_it_is_built(tmp_path: Path, elsewhere: Path) -> None:
    """Its 200 MB take long to build and to pack: the one that is kept for emulators is compared by its files."""
    kept = kept_package("refresh", runtime=RUNTIME, architecture="x86_64", system=LAMBDA_SYSTEM)
    built = tmp_path / "refresh"
    done = run_build(elsewhere, "refresh", built, umask=0o077, PYTHONHASHSEED="7", PYTHONOPTIMIZE="1")
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(kept) as archive:
        assert archive.namelist() == [path.relative_to(built).as_posix() for path in files(built)]
        assert [name for name in archive.namelist() if archive.read(name) != (built / name).read_bytes()] == []


@pytest.mark.parametrize("architecture", ["x86_64", "arm64"])
@pytest.mark.parametrize("runtime", ["python3.11", "python3.12", "python3.13", "python3.14"])
def test_the_lookup_package_builds_for_every_runtime(tmp_path: Path, runtime: str, architecture: str) -> None:
    build("lookup", tmp_path / "lookup", runtime=runtime, architecture=architecture)
    libraries = list(tmp_path.rglob("*.so"))
    version = runtime.removeprefix("python").replace(".", "")
    assert {struct.unpack_from("<H", path.read_bytes(), 18)[0] for path in libraries} == {MACHINES[architecture]}
    assert {path.name.split(".")[1].split("-")[1] for path in libraries} == {version}


def test_the_lookup_package_builds_for_a_stack_on_a_mac(tmp_path: Path) -> None:
    """As far as that is seen elsewhere: every library is one of macOS on Apple silicon."""
    build("lookup", tmp_path / "lookup", runtime="python3.13", architecture="arm64", system="darwin")
    libraries = list(tmp_path.rglob("*.so"))
    assert libraries
    assert all(path.name.endswith("-darwin.so") for path in libraries)
    # The first words of a Mach-O file of 64 bits, for arm64
    assert {path.read_bytes()[:8] for path in libraries} == {bytes.fromhex("cffaedfe0c000001")}


def test_an_unknown_architecture_is_named(tmp_path: Path) -> None:
    done = run_build(ROOT, "lookup", tmp_path / "lookup", ARCHITECTURE="sparc")
    assert done.returncode == 1
    assert done.stderr == "lookup: ARCHITECTURE is 'sparc' and must be one of x86_64, arm64\n"


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    done = run_build(ROOT, "lookup", tmp_path)
    assert done.returncode == 1
    assert f"lookup: {tmp_path} holds something that is not a package" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("megabytes", "message"),
    [(4, "MB zipped is over the limit of 4 MB"), (20, "MiB unzipped is over the limit of 20 MiB")],
    ids=["zipped", "unzipped"],
)
def test_a_package_over_its_limit_fails_the_build(tmp_path: Path, megabytes: int, message: str) -> None:
    # Given: an earlier package, and an authority that weighs too much
    folder = tmp_path / "lookup"
    folder.mkdir()
    (folder / "rds-ca.pem").write_text("of the earlier package")
    heavy, _ = make_certificate(authority=True, ballast=os.urandom(megabytes * 10**6))
    (tmp_path / "heavy.pem").write_text(heavy)
    # When
    done = run_build(ROOT, "lookup", folder, RDS_CA=str(tmp_path / "heavy.pem"))
    # Then: the build fails and says why, and leaves the earlier package and nothing else
    assert done.returncode == 1
    assert message in done.stderr
    assert "`useless` in infra/packaging/build.py" in done.stderr
    assert (folder / "rds-ca.pem").read_text() == "of the earlier package"
    assert {path.name for path in tmp_path.iterdir()} == {"lookup", "heavy.pem"}
