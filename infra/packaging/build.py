"""Build one function's package: `python -m infra.packaging.build refresh|lookup FOLDER`.

`sam build` calls it through the Makefile beside each function's code. The runtime and the architecture come
from the environment variables RUNTIME and ARCHITECTURE, because SAM does not hand its parameters to make.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

_ROOT = Path(__file__).parents[2]
_UV = Path(sys.executable).with_name("uv")

_PLATFORMS = {"x86_64": "x86_64-manylinux_2_28", "arm64": "aarch64-manylinux_2_28"}
DEFAULT_RUNTIME = "python3.14"
DEFAULT_ARCHITECTURE = "x86_64"

_USELESS_EVERYWHERE = (
    "bin", "**/tests", "**/*.pyi", "**/__pycache__",
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
        Patterns of what the requirements bring along and the function never uses.
    limit_mib : int
        How large the unzipped package may be.
    """

    lock: str
    sources: dict[str, str]
    useless: tuple[str, ...]
    limit_mib: int


PACKAGES = {
    "refresh": Package(
        lock="functions/refresh/requirements.lock",
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
            "pandas/conftest.py",
            "numpy/distutils", "numpy/f2py", "numpy/random/lib", "numpy/random/include",
            "numpy/_core/include", "numpy/_core/lib", "numpy/_core/_simd*",  # _simd is for numpy's own tests
            "pyarrow/include", "pyarrow/includes", "pyarrow/src",
            "pyarrow/**/*.pyx", "pyarrow/**/*.pxd", "pyarrow/**/*.pxi", "pyarrow/**/*.h",
            "pyarrow/libarrow_flight*", "pyarrow/libarrow_python_flight*", "pyarrow/_flight*",
            "pyarrow/_pyarrow_cpp_tests*", "pyarrow/_gcsfs*", "pyarrow/_azurefs*", "pyarrow/_hdfs*", "pyarrow/_s3fs*",
            "pyarrow/_orc*", "pyarrow/_dataset_orc*", "pyarrow/_substrait*",
        ),
        limit_mib=200,
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
    ),
}  # fmt: skip


def build(name: str, folder: Path, *, runtime: str, architecture: str) -> int:
    """Fill a folder with everything that a function needs on Lambda.

    Parameters
    ----------
    name : {'refresh', 'lookup'}
        The function.
    folder : Path
        Where to put it; made if need be.
    runtime : str
        The Lambda runtime, such as `python3.13`.
    architecture : {'x86_64', 'arm64'}
        The processor.

    Returns
    -------
    int
        Size in bytes, unzipped.

    Raises
    ------
    subprocess.CalledProcessError
        When a requirement has no wheel for the runtime.
    """
    package = PACKAGES[name]
    _install(package.lock, folder, runtime.removeprefix("python"), architecture)
    _remove(folder, (*_USELESS_EVERYWHERE, *package.useless))
    _remove_second_copies(folder / "pyarrow")
    for source, target in package.sources.items():
        _copy(_ROOT / source, folder / target)
    _compile(folder, runtime)
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _install(lock: str, folder: Path, version: str, architecture: str) -> None:
    options = [f"--python-version={version}", f"--python-platform={_PLATFORMS[architecture]}", f"--target={folder}"]
    command = ["pip", "install", "--quiet", "--no-build", "--no-deps", "--link-mode=copy", "--require-hashes"]
    subprocess.run([str(_UV), *command, *options, f"--requirements={lock}"], cwd=_ROOT, check=True)


def _remove(folder: Path, patterns: Iterable[str]) -> None:
    for pattern in patterns:
        for path in sorted(folder.glob(pattern)):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def _remove_second_copies(folder: Path) -> None:
    """Keep of each shared library the name that others load it by: wheels hold no links, only copies."""
    _remove(folder, ("*.so.*.*.*",))
    for library in folder.glob("lib*.so"):
        if any(folder.glob(f"{library.name}.*")):
            library.unlink()


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(
            source, target, ignore=shutil.ignore_patterns("__pycache__", "requirements.*"), dirs_exist_ok=True
        )
    else:
        shutil.copy2(source, target)


def _compile(folder: Path, runtime: str) -> None:
    """Ship byte code: without it a cold start spends a second and more compiling what it imports.

    Only the same Python can make it. Where that is not installed, the package works without.
    """
    found = subprocess.run(
        [str(_UV), "python", "find", "--no-python-downloads", runtime.removeprefix("python")],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    if found.returncode != 0:
        print(f"no {runtime} on this machine: the package has no byte code and starts slower", file=sys.stderr)
        return
    command = [found.stdout.strip(), "-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash", "."]
    subprocess.run(command, cwd=folder, check=True)


def main() -> None:
    """Build the package that the command line names."""
    name, folder = sys.argv[1], Path(sys.argv[2]).absolute()
    runtime = os.environ.get("RUNTIME", DEFAULT_RUNTIME)
    size = build(name, folder, runtime=runtime, architecture=os.environ.get("ARCHITECTURE", DEFAULT_ARCHITECTURE))
    limit = PACKAGES[name].limit_mib
    print(f"{name}: {size / 2**20:.1f} MiB unzipped for {runtime}")
    if size > limit * 2**20:
        sys.exit(
            f"{name}: {size / 2**20:.1f} MiB unzipped is over the limit of {limit} MiB: see `useless` in {__file__}"
        )


if __name__ == "__main__":
    main()
