"""A copy of the checkout, in which the project's own commands run."""

import os
import shutil
import subprocess
from pathlib import Path

from tests.families import SQL
from tests.support import ROOT

MINUTES = 60

ELSEWHERE = ("AWS_", "DATABASE_URL")
"""How variables begin that would lead commands and tests to a stack, as after `source .local/env`."""


def clean_environment() -> dict[str, str]:
    """Return an environment without what would lead the commands elsewhere."""
    strange = (*ELSEWHERE, "MAKE", "MFLAGS", "PYTEST_", "VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if not name.startswith(strange)}


def copy_checkout(copy: Path) -> Path:
    """Copy the checkout with the families that ship, so that its local stack is not the developer's.

    What is installed is shared.
    """
    listed: subprocess.CompletedProcess[str] = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    (copy / ".local").mkdir()
    (copy / ".venv").symlink_to(ROOT / ".venv")
    (ROOT / ".local" / "packages").mkdir(exist_ok=True)
    for shared in ("tools", "packages"):  # packages are kept by what they are built from
        (copy / ".local" / shared).symlink_to(ROOT / ".local" / shared)
    families = copy / "infra" / "sql" / SQL.name
    if families.read_text() != SQL.read_text():
        shutil.copy2(SQL, families)
        run("PYTHONPATH=.:chalice_app .venv/bin/python -m infra.description", copy)
    return copy


def run(
    command: str, checkout: Path, *, status: int = 0, typed: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a shell command in the checkout, type into it, and check how it ends."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=checkout, env=clean_environment() | environment, check=False, capture_output=True, text=True,
        input=typed, timeout=10 * MINUTES,
    )  # fmt: skip
    assert done.returncode == status, f"{command}: status {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done
