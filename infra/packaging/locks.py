"""The hashed locks: `python -m infra.packaging.locks [--check | --upgrade]`."""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from infra import ROOT

_UV = Path(sys.executable).with_name("uv")

_OPTIONS = ["--quiet", "--universal", "--python-version=3.11", "--generate-hashes", "--no-header"]

# The functions take the versions that the developers' lock has: what is tested is what is deployed.
_SAME_VERSIONS = ["--constraint=requirements.lock"]

_LOCKS: dict[str, list[str]] = {
    "requirements.txt": [],
    "functions/requirements.txt": _SAME_VERSIONS,
    "chalice_app/requirements.txt": [*_SAME_VERSIONS, "--excludes=chalice_app/excludes.txt"],
    "infra/packaging/rds-ca.txt": ["--no-deps"],
    "infra/tools/uv.txt": _SAME_VERSIONS,
    "infra/tools/emulator.txt": [],
    "infra/tools/sam.txt": [],
    "infra/tools/checkov.txt": [],
    "infra/tools/parliament.txt": [],
    "infra/tools/lambda.txt": [],
    "infra/tools/bench.txt": [],
    "infra/tools/mutants.txt": [],
    "infra/tools/writers.txt": [],
    # Releases after that day break it.
    "infra/tools/localstack.txt": ["--exclude-newer=2026-02-15"],
}


def make_lock(requirements: str, target: Path, options: list[str]) -> None:
    """Resolve one requirements file into a lock, keeping the versions that `target` holds already.

    Raises
    ------
    subprocess.CalledProcessError
        When there is no resolution; the output of uv has the reason.
    """
    arguments = [
        str(_UV),
        "pip",
        "compile",
        *_OPTIONS,
        *_LOCKS[requirements],
        *options,
        requirements,
        f"--output-file={target}",
    ]
    subprocess.run(arguments, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def stale_locks() -> list[str]:
    """Return the locks that a new resolution would change."""
    stale = []
    with tempfile.TemporaryDirectory() as folder:
        for requirements in _LOCKS:
            lock = Path(requirements).with_suffix(".lock")
            copy = Path(folder, str(lock).replace("/", "-"))
            shutil.copy(ROOT / lock, copy)
            make_lock(requirements, copy, [])
            if copy.read_text() != (ROOT / lock).read_text():
                stale.append(str(lock))
    return stale


def main() -> None:
    """Make every lock, or check them."""
    parser = argparse.ArgumentParser(description=__doc__)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true", help="change nothing, fail if a lock is out of date")
    what.add_argument("--upgrade", action="store_true", help="take the newest releases")
    arguments = parser.parse_args()
    if arguments.check:
        if stale := stale_locks():
            sys.exit(f"out of date: {', '.join(stale)}; run `make lock`")
        return
    for requirements in _LOCKS:
        make_lock(requirements, Path(requirements).with_suffix(".lock"), ["--upgrade"] if arguments.upgrade else [])


if __name__ == "__main__":
    main()
