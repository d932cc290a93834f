"""Reports of several situations, written by the refresh function's own code, and a browser's window to look at them."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import boto3
from playwright.sync_api import Browser, BrowserContext, Dialog

from chalicelib.customers import HistoryOfFamily
from chalicelib.history import read_history
from chalicelib.published import Publication, PublicationCache
from functions.common.database import Database
from functions.common.migrations import migrate
from functions.common.settings import load_settings
from functions.refresh.ledger import schema
from functions.refresh.settings import RefreshSettings, write_names
from functions.refresh.usecases.events import Trigger
from functions.refresh.usecases.refresh import RefreshError
from functions.refresh.wiring import make_refresh
from infra.local.explore import embedded
from tests.families import SQL, append_example, pin_families
from tests.support import BUCKET, HOSTILE, PREFIX, parquet, record

AS_OF = date(2020, 12, 22)

# A spreadsheet would run the last two.
COUNTRIES = ["Peru", "Chile", "Brazil", *HOSTILE, "=1+1", "x;=1+1"]
LARGEST = [record(country_code="Brazil", voucher_amount=str(2**63 - 1))]
FOUR = ["Peru", "Chile", "Brazil", "Country 01"]
FIFTY = [f"Country {number:02}" for number in range(50)]

# Counts in the thousands, so that one sees how numbers are written.
ROWS = [
    *[record()] * 1500,
    *[record(voucher_amount=4400.0, total_orders="7")] * 1200,
    *[record(voucher_amount=None, total_orders="")] * 300,
    *[record(last_order_ts="2020-11-01", total_orders="40")] * 2100,
    *[record(country_code="Chile")] * 2,
    *[record(country_code=name) for name in COUNTRIES[3:]],
]

# The day after, one amount overtakes another, one object cannot be counted, and one is gone.
LATER = [record(voucher_amount=4400.0)] * 900
GONE = "<i>gone.parquet"
OVERTAKEN = [record(voucher_amount=2640.0, total_orders="8")] * 1201


class Asked(NamedTuple):
    """A publication as the lookup API has it, beside the page of the same one."""

    publication: Publication
    since: dict[tuple[str, str, str], str]


class Reports(NamedTuple):
    """The pages by situation, and what the API knows of that of the calculator."""

    pages: dict[str, Path]
    asked: Asked


class _Pipeline:
    """The refresh function's own wiring, for one bucket and database after the other."""

    def __init__(self, database_url: str, folder: Path, closing: ExitStack) -> None:
        self._url = database_url
        self._folder = folder
        self.client = boto3.client("s3")
        self.database = Database(self._settings(["Peru"]), timeout_seconds=10)
        closing.callback(self.database.close)
        self.pages: dict[str, Path] = {}

    def _settings(self, countries: list[str]) -> RefreshSettings:
        variables = {"DATABASE_URL": self._url, "BUCKET": BUCKET, "COUNTRIES": write_names(countries)}
        return load_settings(RefreshSettings, variables)

    def begin(self) -> None:
        with self.database.transaction() as connection:
            connection.run("DROP SCHEMA IF EXISTS voucher_customer CASCADE")
        migrate(self.database)
        for entry in self.client.list_objects_v2(Bucket=BUCKET, Prefix=PREFIX).get("Contents", []):
            self.client.delete_object(Bucket=BUCKET, Key=entry["Key"])

    def put(self, name: str, body: bytes) -> None:
        self.client.put_object(Bucket=BUCKET, Key=PREFIX + name, Body=body)

    def publish(self, situation: str, countries: list[str], as_of: date) -> None:
        """Publish, and keep the page that comes of it."""
        refresh = make_refresh(
            self._settings(countries), self.database, lambda: datetime(2020, 12, 22, 14, 12, 3, tzinfo=UTC)
        )
        with suppress(RefreshError):  # where an object is refused
            refresh.run(Trigger("daily", as_of))
        self.pages[situation] = self._folder / f"{situation}.html"
        self.pages[situation].write_bytes(
            self.client.get_object(Bucket=BUCKET, Key="reports/latest.html")["Body"].read()
        )

    def ask(self) -> Asked:
        cache = PublicationCache(self.database, check_seconds=0, stale_seconds=60, monotonic=time.monotonic)
        publication = cache.get()
        since = {
            (country, family, label): str(day)
            for country in publication.countries
            for family in publication.families
            for history in [read_history(self.database, publication, HistoryOfFamily(country, family))]
            for label, day in history.since.items()
        }
        return Asked(publication, since)


def write_reports(folder: Path) -> Reports:
    """Write a page of each situation."""
    with embedded() as database_url, ExitStack() as closing:
        pipeline = _Pipeline(database_url, folder, closing)
        pipeline.client.create_bucket(Bucket=BUCKET)
        pipeline.begin()
        pipeline.put("a.parquet", parquet([*ROWS, record(total_orders="-1")]))
        pipeline.put(GONE, parquet([record(country_code="Elsewhere")] * 7))
        pipeline.publish("first", ["Peru"], AS_OF - timedelta(days=1))
        pipeline.client.delete_object(Bucket=BUCKET, Key=PREFIX + GONE)
        pipeline.put("<b>.parquet", b"garbage")
        pipeline.put("c.parquet", parquet(LATER))
        pipeline.put("d.parquet", parquet(LARGEST))
        pipeline.publish("failed", COUNTRIES, AS_OF)
        pipeline.put("e.parquet", parquet([*OVERTAKEN, *_many()]))
        pipeline.publish("four", FOUR, AS_OF)
        pipeline.publish("moved", FOUR, AS_OF + timedelta(days=40))
        pipeline.publish("fifty", FIFTY, AS_OF + timedelta(days=41))
        append_example(folder / SQL.name)
        closing.callback(pin_families)
        schema.FAMILIES_FILE = folder / SQL.name
        pipeline.begin()
        pipeline.put("a.parquet", parquet(_customers(2000)))
        pipeline.publish("families", FOUR, AS_OF - timedelta(days=3))
        pipeline.put("b.parquet", parquet(_customers(150, seed=2)))
        pipeline.publish("families", FOUR, AS_OF)
        return Reports(pipeline.pages, pipeline.ask())


def _many() -> list[dict[str, Any]]:
    """Return records of fifty countries, whose amounts are each country's own."""
    draw = random.Random(7)
    return [
        record(
            country_code=name,
            voucher_amount=float(draw.choice((1, 2, 2, 3)) * (10 + number % 7)),
            total_orders=str(draw.randrange(60)),
            last_order_ts=str(AS_OF - timedelta(days=draw.randrange(25, 220))),
        )
        for number, name in enumerate(FIFTY)
        for _ in range(40)
    ]


def _customers(number: int, seed: int = 1) -> list[dict[str, Any]]:
    """Return records of four families, with ties, small segments, empty ones and unknown values."""
    draw = random.Random(seed)
    rows = []
    for _ in range(number):
        ordered = AS_OF - timedelta(days=draw.choice((draw.randrange(-3, 95), draw.randrange(200))))
        rows.append(
            record(
                country_code=draw.choice(("Peru", "Peru", "Chile", "Brazil") if draw.random() < 0.99 else FOUR),
                voucher_amount=draw.choice((None, 0.0, 2640.0, 2640.0, 3520.0, 3520.0, 4400.0)),
                total_orders=draw.choice(("", "0", "4", "5", "13", "14", str(draw.randrange(37)))),
                last_order_ts=str(ordered),
                first_order_ts=str(ordered - timedelta(days=draw.randrange(900))),
                timestamp=str(ordered + timedelta(days=draw.randrange(-5, 190))),
            )
        )
    return rows


class Shown:
    """A page in the browser, and what came with it.

    Attributes
    ----------
    complaints : list of str
        What the browser's console, errors and dialogs say.
    requests : list of str
        Addresses that were asked.
    """

    def __init__(self, context: BrowserContext, path: Path, fragment: str = "") -> None:
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page = context.new_page()
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", self._dismiss)
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri() + fragment)

    def _dismiss(self, dialog: Dialog) -> None:
        self.complaints.append(dialog.message)
        dialog.dismiss()

    def open_numbers(self) -> None:
        """Show the numbers behind every chart."""
        self.page.evaluate("document.querySelectorAll('details').forEach(numbers => { numbers.open = true; })")

    def table(self, name: str) -> list[list[str]]:
        """Return the texts of a table's cells, row by row."""
        region = self.page.get_by_role("region", name=name, exact=True)
        rows: list[list[str]] = region.evaluate(
            "region => [...region.querySelectorAll('tbody tr')].map(row => [...row.cells].map(cell => cell.innerText))"
        )
        return [[" ".join(cell.split()) for cell in row] for row in rows]


Show = Callable[..., Shown]


@contextmanager
def showing(browser: Browser, reports: Reports) -> Iterator[Show]:
    """Show pages, with a browser's options."""
    with ExitStack() as closing:

        def show(fragment: str = "", situation: str = "failed", **options: Any) -> Shown:
            context = browser.new_context(**{"locale": "en-US", "timezone_id": "UTC", **options})
            closing.callback(context.close)
            return Shown(context, reports.pages[situation], fragment)

        yield show
