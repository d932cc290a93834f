"""The hooks: a commit that `make lint` would refuse is refused before git makes it."""

from pathlib import Path

import pytest

from tests.checkout import copy_checkout, run
from tests.e2e.conftest import EMULATOR
from tests.support import ROOT

pytestmark = pytest.mark.skipif(EMULATOR != "ministack", reason="it asks no emulator")

GOOD = '"""A module."""\n\n\ndef double(number: int) -> int:\n    """Double a number."""\n    return number * 2\n'


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Copy the checkout, make it a repository of its own with one commit, and install the hooks."""
    copy = copy_checkout(tmp_path)
    author = "git config user.name Somebody && git config user.email somebody@example.com"
    run(f"git init --quiet && {author} && git add --all && git commit --quiet --message Begin", copy)
    assert "pre-commit installed at .git/hooks/pre-commit" in run("make hooks", copy).stdout
    return copy


def commit(repository: Path, text: str, *, status: int = 0) -> str:
    """Commit a module; answers what git and the hooks said."""
    (repository / "functions" / "double.py").write_text(text)
    done = run(
        "git add functions && git commit --message Double", repository, status=status,
        PRE_COMMIT_HOME=str(repository / ".local" / "pre-commit"),
        MYPY_CACHE_DIR=str(ROOT / ".mypy_cache"),
    )  # fmt: skip
    return done.stdout + done.stderr


def test_a_commit_is_refused_until_it_is_as_make_lint_wants_it(repository: Path) -> None:
    # Given files that are badly formatted, full of what ruff refuses, or of the wrong type
    for text, hook, says in (
        (GOOD.replace("number * 2", "number*2"), "ruff format", "+    return number * 2"),
        (f"import os\n{GOOD}", "ruff check", "`os` imported but unused"),
        (GOOD.replace("number * 2", "str(number)"), "mypy", "Incompatible return value"),
    ):
        # When they are committed, then the hook says why not, and git makes no commit
        said = commit(repository, text, status=1)
        assert f"{hook}....." in said
        assert says in said
        assert "Begin" in run("git log --oneline --max-count=1", repository).stdout
    # When the last is repaired, then it is committed
    commit(repository, GOOD)
    assert "Double" in run("git log --oneline --max-count=1", repository).stdout


def test_make_clean_removes_the_hooks_too_because_they_need_what_it_removes(repository: Path) -> None:
    (repository / ".venv").unlink()
    (repository / ".venv" / "bin").mkdir(parents=True)
    (repository / ".venv" / "bin" / "pre-commit").symlink_to(ROOT / ".venv" / "bin" / "pre-commit")
    (repository / ".local" / "tools").unlink()
    run("make clean", repository)
    assert not (repository / ".git" / "hooks" / "pre-commit").exists()
