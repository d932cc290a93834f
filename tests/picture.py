"""The picture of the report in the README: `python -m tests.picture [docs/images/report.png]`.

It shows the report of the sample for all its countries, after a fortnight of as-of days.
"""

import sys
import tempfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import boto3
from playwright.sync_api import ViewportSize

from functions.common.database import Database
from functions.common.migrations import migrate
from functions.common.settings import load_settings
from functions.refresh.settings import RefreshSettings
from functions.refresh.usecases.events import Trigger
from functions.refresh.wiring import make_refresh
from infra.local.explore import embedded
from infra.sample.sample import write_sample
from tests.browser import running_browser
from tests.families import pin_families
from tests.support import BUCKET, PREFIX, ROOT

COUNTRIES = "Peru,Australia,China,Latvia"
LAST_DAY = date(2020, 6, 15)
DAYS = 14

# As wide as the README shows it, as high as what a campaign looks at of a country.
_SIZE: ViewportSize = {"width": 960, "height": 1290}


def write_page(path: Path) -> None:
    """Count the sample, publish it as of some days, and write the last report."""
    pin_families()
    with embedded() as database_url:
        client = boto3.client("s3")
        client.create_bucket(Bucket=BUCKET)
        with tempfile.TemporaryDirectory() as folder:
            sample = Path(folder, "vouchers.parquet")
            write_sample(sample)
            client.upload_file(str(sample), BUCKET, f"{PREFIX}vouchers.parquet")
        variables = {"DATABASE_URL": database_url, "BUCKET": BUCKET, "PREFIX": PREFIX, "COUNTRIES": COUNTRIES}
        settings = load_settings(RefreshSettings, variables)
        database = Database(settings, timeout_seconds=60)
        migrate(database)
        refresh = make_refresh(settings, database, lambda: datetime.now(UTC))
        for days in reversed(range(DAYS)):
            summary = refresh.run(Trigger("daily", LAST_DAY - timedelta(days)))
        database.close()
        path.write_bytes(client.get_object(Bucket=BUCKET, Key=summary.report)["Body"].read())


def main(target: Path) -> None:
    """Write the picture."""
    with tempfile.TemporaryDirectory() as folder, running_browser() as browser:
        page = Path(folder, "report.html")
        write_page(page)
        shown = browser.new_page(viewport=_SIZE, locale="en-GB", timezone_id="UTC", color_scheme="light")
        shown.goto(f"{page.as_uri()}#country=Peru")
        target.parent.mkdir(parents=True, exist_ok=True)
        shown.screenshot(path=target)
    print(f"{target}: {target.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images" / "report.png")
