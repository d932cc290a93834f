"""What a cold start imports: `python -m tests.benchmarks.coldstart`.

Each package is built as it is deployed and imported by the Python that stands for Lambda's, in fresh processes,
in turns with the library that most of its time belongs to.
"""

import os
import statistics
import subprocess
from pathlib import Path

from infra import ROOT
from infra.packaging.build import build
from tests.benchmarks.measuring import FOLDER, print_table, save
from tests.support import ARCHITECTURE, RUNTIME

_ROUNDS = 7
_PYTHON = ROOT / ".local" / "tools" / "lambda" / "bin" / "python"
# A function imports its handler's module and is ready: neither opens a connection before it is asked something.
_ENTRY = {"refresh": "functions.refresh.handler", "lookup": "app"}
_LIBRARY = {"refresh": "awswrangler", "lookup": "chalice"}
_IMPORT = "import sys, time; t = time.perf_counter(); __import__(sys.argv[1]); print(time.perf_counter() - t)"
# The interpreter's own variables would be the developer's, not Lambda's; the rest is what settings are read from.
_ENVIRONMENT = {"PATH": os.environ["PATH"], "POWERTOOLS_SERVICE_NAME": "benchmark"}


def seconds_to_import(module: str, package: Path) -> float:
    """Import a module from a package in a fresh process, which may write no byte code."""
    command = [str(_PYTHON), "-B", "-c", _IMPORT, module]
    done = subprocess.run(command, cwd=package, env=_ENVIRONMENT, check=True, capture_output=True, text=True)
    return float(done.stdout)


def main() -> None:
    """Build, measure, print the table and save the figures."""
    lines, figures = [], {}
    for name, entry in _ENTRY.items():
        package = FOLDER / "packages" / name
        size = build(name, package, runtime=RUNTIME, architecture=ARCHITECTURE)
        times: dict[str, list[float]] = {entry: [], _LIBRARY[name]: []}
        for module in times:
            seconds_to_import(module, package)  # reads the files into the kernel's cache
        for _ in range(_ROUNDS):
            for module, measured in times.items():
                measured.append(seconds_to_import(module, package) * 1000)
        function, library = (statistics.median(measured) for measured in times.values())
        figures[name] = {"ms": round(function), "library": _LIBRARY[name], "library_ms": round(library), "bytes": size}
        lines.append(
            {
                "package": name,
                "MiB": f"{size / 2**20:.0f}",
                "imports": f"`{entry}`",
                "ms": f"{function:.0f}",
                "beside": f"`{_LIBRARY[name]}` alone",
                "its ms": f"{library:.0f}",
                "ratio": f"{function / library:.2f}",
            }
        )
    print_table(f"Cold start with byte code, medians of {_ROUNDS}, {RUNTIME} on {ARCHITECTURE}", lines)
    save("coldstart", {"rounds": _ROUNDS, "packages": figures})


if __name__ == "__main__":
    main()
