"""How fresh answers are: `python -m tests.benchmarks.freshness`.

From the moment at which an object begins to be put until the lookup API answers with what it holds: S3's event,
EventBridge, the refresh function, its publication, the API's next look at the database. Cold is the first object of
a stack, for which both functions start; warm are those after it.
"""

import statistics
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from infra import ROOT
from infra.local.processes import wait_for
from infra.local.stack import PREFIX, Stack
from infra.local.starting import start_stack
from tests.benchmarks.measuring import print_table
from tests.support import parquet, record

_WARM_OBJECTS = 20
_PATIENCE_SECONDS = 120
_PUBLISHED = """
    SELECT extract(epoch FROM published_at)
    FROM voucher_customer.publication JOIN voucher_customer.refreshes USING (refresh_id)
"""


def measure(stack: Stack, number: int) -> tuple[float, float]:
    """Put an object with an amount that none before it has; return the seconds until it is published, and answered."""
    amount = 1000 + number
    body = parquet([record(voucher_amount=float(amount))])
    began = time.time()
    stack.client("s3").put_object(Bucket=stack.bucket, Key=f"{PREFIX}{number}.parquet", Body=body)
    wait_for(
        "the answer", lambda: f'"voucher_amount":{amount}.0' in _segments(stack) or None,
        seconds=_PATIENCE_SECONDS, every=0.02,
    )  # fmt: skip
    answered = time.time() - began
    connection = stack.connect()
    [[published_at]] = connection.run(_PUBLISHED)
    connection.close()
    return float(published_at) - began, answered


def _segments(stack: Stack) -> str:
    try:
        with urllib.request.urlopen(f"{stack.api_url}/segments?country_code=Peru", timeout=30) as response:
            return str(response.read().decode())
    except urllib.error.HTTPError:
        return ""  # nothing is published yet


def main() -> None:
    """Measure on each emulator that is installed, print the table."""
    lines = []
    for emulator, tool in (("ministack", "emulator"), ("localstack", "localstack")):
        if not (ROOT / ".local" / "tools" / tool / ".ready").exists():
            print(f"{emulator} is not installed: make .local/tools/{tool}/.ready")
            continue
        with tempfile.TemporaryDirectory() as folder:
            stack = start_stack(Path(folder), countries="Peru", emulator=emulator)
            try:
                cold, *warm = [measure(stack, number) for number in range(1 + _WARM_OBJECTS)]
            finally:
                stack.stop()
        published, answered = zip(*warm, strict=True)
        lines.append(
            {
                "emulator": emulator,
                "cold: published, s": f"{cold[0]:.1f}",
                "answered, s": f"{cold[1]:.1f}",
                "warm: published, s": f"{statistics.median(published):.2f}",
                "answered, median s": f"{statistics.median(answered):.2f}",
                "worst s": f"{max(answered):.2f}",
            }
        )
    print_table(f"From a drop to the API's answer, one cold and {_WARM_OBJECTS} warm objects", lines)


if __name__ == "__main__":
    main()
