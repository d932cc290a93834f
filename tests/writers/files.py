"""The files of all writers, by the name of writer and form."""

import json
import subprocess
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from functions.refresh.reading.thrift import Struct, read_struct, write_struct
from infra import ROOT
from tests.writers import by_pyarrow
from tests.writers.records import make_records

PYTHON = ROOT / ".local" / "tools" / "writers" / "bin" / "python"
"""Has the writers."""

SPARK = Path(__file__).parent / "spark"


def write_files(folder: Path) -> dict[str, Path]:
    """Have every writer write the same records into a folder."""
    records = make_records()
    command = [str(PYTHON), "-m", "tests.writers", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, input=json.dumps(records), text=True)
    native: list[dict[str, Any]] = [
        {**record, "last_order_ts": datetime.fromisoformat(record["last_order_ts"])} for record in records
    ]
    by_pyarrow.write(native, folder)
    return {path.stem: path for path in sorted([*folder.glob("*.parquet"), *SPARK.glob("*.parquet")])}


def with_footer(content: bytes, change: Callable[[Struct], object]) -> bytes:
    """Return a file with its footer changed in place."""
    end = len(content) - 8
    start = end - int.from_bytes(content[end : end + 4], "little")
    metadata = read_struct(content[start:end])
    change(metadata)
    footer = write_struct(metadata)
    return content[:start] + footer + len(footer).to_bytes(4, "little") + content[-4:]
