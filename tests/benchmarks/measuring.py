"""Measuring counts in processes of their own, in turns, and saying what was measured."""

import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from infra import ROOT
from infra.checks.transform import TEMPLATE, read_template

FOLDER = ROOT / ".local" / "bench"
OBJECTS = FOLDER / "s3"

_BENCH_PYTHON = ROOT / ".local" / "tools" / "bench" / "bin" / "python"
_ALLOCATORS = ("ARROW_DEFAULT_MEMORY_POOL", "JE_ARROW_MALLOC_CONF", "MALLOC_ARENA_MAX")
_PEERS = ("polars", "duckdb")
_VERSIONS_OF_PEERS = (
    "from importlib.metadata import version as v; print(*(f'{n} {v(n)}' for n in ('polars', 'duckdb')))"
)


class Run(NamedTuple):
    """What a process found, and what it took to count (imports aside), the second time and the first."""

    result: dict[str, Any]
    seconds: float
    cpu: float
    first_seconds: float
    peak_bytes: int


def run(name: str, prefix: str, endpoint: Mapping[str, str], *, cores: Sequence[int] = ()) -> Run:
    """Let a contender count a dataset in a process of its own, twice.

    Parameters
    ----------
    name : {'refresh', 'floor', 'pandas', 'polars', 'duckdb'}
        The contender.
    prefix : str
        The dataset.
    endpoint : mapping of str to str
        See `tests.benchmarks.s3.serving`.
    cores : sequence of int, optional
        The processor's cores that it may use; all of them by default.

    Raises
    ------
    subprocess.CalledProcessError
        When it fails; what it said is printed.
    """
    python = _BENCH_PYTHON if name in _PEERS else Path(sys.executable)
    confine = ["taskset", "--cpu-list", ",".join(map(str, cores))] if cores else []
    command = [*confine, str(python), "-m", "tests.benchmarks.contender", name, prefix]
    environment = {**os.environ, **_environment_of_the_function(), **endpoint}
    done = subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    result = json.loads(done.stdout)
    figures = (result.pop(name) for name in Run._fields[1:])
    return Run(result, *figures)


@cache
def _environment_of_the_function() -> dict[str, str]:
    """Return what the template says of memory: it counts for the deployed function, so here too."""
    function = read_template(TEMPLATE)["Resources"]["RefreshFunction"]["Properties"]
    variables = function["Environment"]["Variables"]
    return {name: variables[name] for name in _ALLOCATORS}


class Medians(NamedTuple):
    """The medians of several runs."""

    seconds: float
    cpu: float
    first_seconds: float
    peak_mb: float


def medians(runs: Sequence[Run]) -> Medians:
    """Return what most runs took."""
    return Medians(
        round(statistics.median(run.seconds for run in runs), 3),
        round(statistics.median(run.cpu for run in runs), 3),
        round(statistics.median(run.first_seconds for run in runs), 3),
        round(statistics.median(run.peak_bytes for run in runs) / 1e6),
    )


def surroundings() -> str:
    """Say on what it was measured: versions and cores."""
    ours = " ".join(f"{name} {version(name)}," for name in ("awswrangler", "pyarrow", "numpy", "pandas", "pg8000"))
    asked = [str(_BENCH_PYTHON), "-c", _VERSIONS_OF_PEERS]
    peers = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip().replace(" d", ", d")
    return f"Python {platform.python_version()}, {ours} {peers}, {os.cpu_count()} cores ({platform.machine()})"


def print_table(title: str, rows: Sequence[Mapping[str, object]]) -> None:
    """Print rows as a table in Markdown, so that it can go into the docs as it is."""
    names = list(rows[0])
    lines = [[str(row[name]) for name in names] for row in rows]
    widths = [max(len(line[at]) for line in [names, *lines]) for at in range(len(names))]

    def text(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"

    print(f"\n{title}\n", text(names), "|" + "|".join("-" * (width + 2) for width in widths) + "|", sep="\n")
    print("\n".join(text(line) for line in lines), flush=True)


def save(name: str, figures: Mapping[str, object]) -> None:
    """Write figures with what they were measured on to `.local/bench/NAME.json`."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    content = {"measured on": surroundings(), **figures}
    (FOLDER / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")


def plot(folder: Path) -> None:
    """Draw what is saved, in the environment that has matplotlib."""
    subprocess.run([str(_BENCH_PYTHON), "-m", "tests.benchmarks.plots", str(FOLDER), str(folder)], cwd=ROOT, check=True)
