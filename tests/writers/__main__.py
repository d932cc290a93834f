"""Write records in every form: `python -m tests.writers FOLDER`, with the records as JSON on standard input."""

import json
import sys
from datetime import datetime
from pathlib import Path

from tests.writers import arrow_rs, by_duckdb, by_fastparquet, by_polars


def main() -> None:
    """Write the files of each writer, named after it: `duckdb-v2.parquet`."""
    folder = Path(sys.argv[1])
    records = json.load(sys.stdin)
    for record in records:
        record["last_order_ts"] = datetime.fromisoformat(record["last_order_ts"])
    for writer in (by_duckdb, by_polars, by_fastparquet, arrow_rs):
        writer.write(records, folder)


if __name__ == "__main__":
    main()
