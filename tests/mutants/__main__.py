"""Runs the tests of a module on each of its mutants: `python -m tests.mutants [MODULE ...]`.

A mutant is a module with one change: another operator, a number one up, a condition turned around. One that no test
notices is a missing test, or code that nothing needs. The tests run once in this process, which then has everything
imported and a PostgreSQL running; each mutant runs in a fork of it, which takes a second instead of ten. The files
stay as they are.
"""

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Generator
from importlib import import_module
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from select import select
from signal import SIGKILL
from types import CodeType, FrameType
from typing import Any, NoReturn

import pytest

from infra import ROOT
from infra.local.postgres import Postgres, start_postgres

_PYTHON = ROOT / ".local" / "tools" / "mutants" / "bin" / "python"

# Without slow tests that cover no line of their own: a mutant that survives runs all tests, so each costs time.
_RULES = ["tests/functional/test_data_rules.py", "-k", "not compression and not impossible and not not_parquet"]
_COUNTING = ["tests/unit/test_usage.py", "tests/functional/test_rejected.py", *_RULES]
_LEDGER = [
    "tests/functional/test_verification.py",
    "tests/functional/test_refresh.py",
    "tests/functional/test_races.py",
    "-k",
    "not history and not real",
]
_LOOKUP = ["tests/functional/test_api.py", "-k", "not whatever"]

TESTS = {
    "functions/common/days.py": ["functions/common/days.py", "tests/unit/test_days.py"],
    "functions/common/fields.py": ["functions/common/fields.py", "tests/unit/test_settings.py", *_LOOKUP],
    "functions/common/dimensions.py": ["tests/unit/test_dimensions.py"],
    "functions/common/families.py": ["tests/unit/test_families.py"],
    "functions/common/ranking.py": [
        "functions/common/ranking.py", "tests/unit/test_ranking.py", "tests/unit/test_description.py",
        "tests/functional/test_rankings.py",
    ],
    "functions/refresh/counting/cleaning.py": ["tests/unit/test_cleaning.py"],
    "functions/refresh/counting/rejected.py": ["tests/functional/test_rejected.py", "tests/functional/test_guard.py"],
    "functions/refresh/counting/encoding.py": _COUNTING,
    "functions/refresh/counting/usage.py": _COUNTING,
    "functions/refresh/publishing/rankings.py": ["tests/functional/test_rankings.py"],
    "functions/refresh/publishing/publication.py": [
        "tests/functional/test_rankings.py", "tests/functional/test_families.py", "tests/functional/test_unknown.py",
        *_LEDGER,
    ],
    "functions/refresh/ledger/ledger.py": [
        "functions/refresh/ledger/ledger.py", "tests/functional/test_backlog.py",
        "tests/functional/test_bad_objects.py", "tests/functional/test_costs.py", "tests/functional/test_guard.py",
        "tests/functional/test_why.py",
        "tests/functional/test_report.py::test_an_object_is_refused_since_its_first_failure",
        *_LEDGER,
    ],
    "functions/refresh/ledger/entry.py": [
        "tests/functional/test_backlog.py", "tests/functional/test_families.py", *_LEDGER,
    ],
    "functions/refresh/results.py": [
        "tests/unit/test_results.py", "tests/unit/test_template.py", "tests/functional/test_backlog.py", *_LEDGER,
    ],
    "functions/refresh/ledger/audit.py": ["tests/functional/test_families.py", *_LEDGER],
    "functions/refresh/ledger/partial_counts.py": ["tests/functional/test_backlog.py"],
    "functions/refresh/usecases/walk.py": ["tests/unit/test_walk.py", "tests/functional/test_backlog.py", *_LEDGER],
    "functions/refresh/usecases/reconcile.py": [
        "tests/unit/test_walk.py", "tests/functional/test_backlog.py", "tests/functional/test_deadline.py",
        "tests/functional/test_bad_objects.py", "tests/functional/test_costs.py", "tests/functional/test_dataset.py",
        "tests/functional/test_guard.py", "tests/functional/test_rejected.py",
        *_LEDGER,
    ],
    "chalice_app/app.py": ["tests/functional/test_request_log.py", *_LOOKUP],
    "chalice_app/chalicelib/customers.py": _LOOKUP,
    "chalice_app/chalicelib/lookup.py": _LOOKUP,
    "chalice_app/chalicelib/problems.py": _LOOKUP,
    "chalice_app/chalicelib/published.py": ["tests/functional/test_published.py", *_LOOKUP],
    "chalice_app/chalicelib/request_log.py": ["tests/functional/test_request_log.py"],
    "chalice_app/chalicelib/settings.py": ["tests/unit/test_settings.py"],
}  # fmt: skip


def _name(module: str) -> str:
    """Return the name under which a module is imported."""
    return module.removeprefix("chalice_app/").removesuffix(".py").replace("/", ".")


class _Mutant(SourceFileLoader):
    """Imports one module from another source than its file's."""

    def __init__(self, module: str, source: str) -> None:
        super().__init__(_name(module), str(ROOT / module))
        self._source = source

    def find_spec(self, fullname: str, path: object, target: object = None) -> ModuleSpec | None:
        return spec_from_file_location(fullname, self.path, loader=self) if fullname == self.name else None

    def get_code(self, fullname: str) -> CodeType:
        code: CodeType = compile(self._source, self.path, "exec")
        return code


class _Tests:
    """The tests of a module. Each mutant is run against those that cover the line that was changed.

    First those that noticed most mutants so far, then the fastest.
    """

    def __init__(self, module: str) -> None:
        self._path = str(ROOT / module)
        self._name = _name(module)
        self._files = TESTS[module]
        self._lines: dict[str, set[int]] = {}
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._noticed: Counter[str] = Counter()
        self._line: int | None = None

    def pytest_collection_finish(self) -> None:
        # Before lines are noted: those that run when the module is imported belong to no test.
        import_module(self._name)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        if self._line is not None:
            return (yield)
        lines = self._lines.setdefault(item.nodeid, set())

        def trace(frame: FrameType, _event: str, _argument: object) -> Callable[..., Any] | None:
            if frame.f_code.co_filename != self._path:
                return None
            lines.add(frame.f_lineno)
            return trace

        threading.settrace(trace)
        sys.settrace(trace)
        try:
            return (yield)
        finally:
            sys.settrace(None)
            threading.settrace(None)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        # What is run when the module is imported, no test runs.
        items[:] = [item for item in items if self._line in self._lines.get(item.nodeid, ())] or items
        items.sort(key=lambda item: (-self._noticed[item.nodeid], self._seconds[item.nodeid]))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._seconds[report.nodeid] += report.duration
        if report.failed:
            self._noticed[report.nodeid] += 1

    def pass_here(self) -> bool:
        # Rewritten asserts tell more, which nobody reads here; and the module itself would be imported to have its own.
        arguments = ["-x", "-q", "-p", "no:cacheprovider", "--assert=plain", *self._files]
        return pytest.main(arguments, plugins=[self]) == pytest.ExitCode.OK

    def pass_in_fork(self, mutant: _Mutant, line: int, limit: float) -> bool:
        """Return whether the tests pass on a mutant, with a change in a line, within so many seconds."""
        self._line = line
        answers, answer = os.pipe()
        child = os.fork()
        if not child:
            self._answer(mutant, answer)
        os.close(answer)
        with os.fdopen(answers) as reader:
            if select([reader], [], [], limit)[0]:
                passed, noticed = json.loads(reader.read() or "[false, []]")  # or a crash
            else:
                os.killpg(child, SIGKILL)
                passed, noticed = False, []
        os.waitpid(child, 0)
        self._noticed.update(noticed)
        return bool(passed)

    def _answer(self, mutant: _Mutant, answer: int) -> NoReturn:
        """Write whether the tests pass, and those that do not."""
        passed = False
        before = Counter(self._noticed)
        try:
            os.setsid()
            silent = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silent, 1)
            os.dup2(silent, 2)
            sys.meta_path.insert(0, mutant)
            passed = self.pass_here()
        finally:
            os.write(answer, json.dumps([passed, list(self._noticed - before)]).encode())
            os._exit(0)


def _forget_project() -> None:
    """Have each fork import the project anew."""
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None) or ""
        if file.startswith(f"{ROOT}/") and not file.startswith(sys.prefix) and name != "__main__":
            del sys.modules[name]


def _print_survivors(module: str) -> None:
    """Print the mutants of a module that survive, each as the line that was changed."""
    tests, source = _Tests(module), (ROOT / module).read_text()
    made = subprocess.run(
        [_PYTHON, ROOT / "tests/mutants/mutate.py", module], check=True, capture_output=True, cwd=ROOT
    )
    mutants = json.loads(made.stdout)
    started = time.monotonic()
    if not tests.pass_here():
        sys.exit(f"the tests of {module} fail as it is")
    _forget_project()
    limit = 10 + 2 * (time.monotonic() - started)
    if not tests.pass_in_fork(_Mutant(module, source), 0, limit):
        sys.exit(f"the tests of {module} fail in a fork")
    survived = 0
    for mutant in mutants:
        before, after = source.splitlines(), mutant.splitlines()
        line = next(number for number, text in enumerate(before) if after[number : number + 1] != [text]) + 1
        if tests.pass_in_fork(_Mutant(module, mutant), line, limit):
            survived += 1
            print(f"{module}:{line}", f"-{before[line - 1]}", f"+{after[line - 1]}", sep="\n", flush=True)
    took = time.monotonic() - started
    print(f"{module}: {len(mutants)} mutants, {survived} survived, {took:.0f} s", flush=True)


def main() -> None:
    """Run the tests on the mutants of the modules named, or of all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=f"of {', '.join(TESTS)}")
    modules = parser.parse_args().modules or list(TESTS)
    if unknown := [module for module in modules if module not in TESTS]:
        parser.error(f"no tests are named for {', '.join(unknown)} in {Path(__file__).relative_to(ROOT)}")
    folder, address = start_postgres()
    os.environ["TEST_POSTGRES"] = address.url
    try:
        for module in modules:
            _print_survivors(module)
    finally:
        Postgres(folder).stop()


if __name__ == "__main__":
    main()
