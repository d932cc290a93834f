"""One count in a process of its own: `python -m tests.benchmarks.contender NAME PREFIX`, which prints JSON."""

import gc
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def _find(name: str) -> Callable[[str], dict[str, Any]]:
    """Import only what the contender needs, before the clock starts."""
    if name in ("polars", "duckdb"):
        from tests.benchmarks import peers

        __import__(name)
        return peers.count_with_polars if name == "polars" else peers.count_with_duckdb
    from tests.benchmarks import counting

    return {"refresh": counting.count, "floor": counting.decode, "pandas": counting.count_plainly}[name]


def _peak_bytes() -> int:
    """Return the most memory that this process ever held; what getrusage says includes that of its parent."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def _measure(call: Callable[[str], dict[str, Any]], prefix: str) -> tuple[dict[str, Any], float, float]:
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    result = call(prefix)
    seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF)
    return result, seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Count twice, and print what was found, the seconds, the processor's seconds and the peak memory.

    The first time makes clients and threads, which a process does once.
    """
    name, prefix = sys.argv[1:]
    call = _find(name)
    _, first_seconds, _ = _measure(call, prefix)
    # A collection over everything that was imported takes a tenth of a second, whenever it happens to fall due.
    gc.collect()
    result, seconds, cpu = _measure(call, prefix)
    figures = {"seconds": seconds, "cpu": cpu, "first_seconds": first_seconds, "peak_bytes": _peak_bytes()}
    json.dump({**result, **figures}, sys.stdout)


if __name__ == "__main__":
    main()
