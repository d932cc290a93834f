"""The report's page as a person meets it: in a real Chromium, read by eye, by keyboard, by screen reader, on paper."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Dialog, expect

from functions.common.database import Database
from functions.common.migrations import migrate
from functions.common.settings import load_settings
from functions.refresh.settings import RefreshSettings, write_names
from functions.refresh.usecases.events import Trigger
from functions.refresh.usecases.refresh import RefreshError
from functions.refresh.wiring import make_refresh
from infra.local.explore import embedded
from tests.browser import NO_BROWSER, find_browser, running_browser
from tests.support import BUCKET, HOSTILE, PREFIX, parquet, record, recount

pytestmark = pytest.mark.skipif(find_browser() is None, reason=NO_BROWSER)

AS_OF = date(2020, 12, 22)
COUNTRIES = ["Peru", "Chile", "Brazil", *HOSTILE]
LARGEST = [record(country_code="Brazil", voucher_amount=str(2**63 - 1))]

# Counts in the thousands, so that one sees how numbers are written.
ROWS = [
    *[record()] * 1500,
    *[record(voucher_amount=4400.0, total_orders="7")] * 1200,
    *[record(voucher_amount=None, total_orders="")] * 300,
    *[record(last_order_ts="2020-11-01", total_orders="40")] * 2100,
    *[record(country_code="Chile")] * 2,
    *[record(country_code=name) for name in HOSTILE],
]


class Shown:
    """A page in the browser, and what came with it.

    Attributes
    ----------
    complaints : list of str
        What the browser's console, errors and dialogs say.
    requests : list of str
        Addresses that were asked.
    """

    def __init__(self, browser: Browser, path: Path, fragment: str = "", **options: Any) -> None:
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.context = browser.new_context(**{"locale": "en-US", "timezone_id": "UTC", **options})
        self.page = self.context.new_page()
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", self._dismiss)
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri() + fragment)

    def _dismiss(self, dialog: Dialog) -> None:
        self.complaints.append(dialog.message)
        dialog.dismiss()

    def table(self, name: str) -> list[list[str]]:
        """Return the texts of a table's cells, row by row."""
        rows = self.page.get_by_role("region", name=name, exact=True).locator("tbody tr").all()
        return [[_plain(cell) for cell in row.locator("th, td").all_inner_texts()] for row in rows]


def visible(text: str) -> str:
    """Write out the characters that one could not see."""
    return re.sub("[\u2028\u2029\u202e]", lambda found: f"\\u{{{ord(found[0]):x}}}", text)


def _plain(text: str) -> str:
    return " ".join(text.split())


Show = Callable[..., Shown]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a page: two as-of days, a run that failed, rejected rows, names that would do harm."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    with embedded() as database_url, ExitStack() as closing:
        client = boto3.client("s3")
        client.create_bucket(Bucket=BUCKET)
        variables = {"DATABASE_URL": database_url, "BUCKET": BUCKET, "COUNTRIES": write_names(COUNTRIES)}
        settings = load_settings(RefreshSettings, variables)
        database = Database(settings, timeout_seconds=10)
        closing.callback(database.close)
        migrate(database)
        refresh = make_refresh(settings, database, lambda: datetime(2020, 12, 22, 14, 12, 3, tzinfo=UTC))
        client.put_object(Bucket=BUCKET, Key=f"{PREFIX}a.parquet", Body=parquet([*ROWS, record(total_orders="-1")]))
        refresh.run(Trigger("daily", AS_OF - timedelta(days=1)))
        client.put_object(Bucket=BUCKET, Key=f"{PREFIX}<b>.parquet", Body=b"garbage")
        client.put_object(Bucket=BUCKET, Key=f"{PREFIX}c.parquet", Body=parquet([record(voucher_amount=4400.0)] * 900))
        client.put_object(Bucket=BUCKET, Key=f"{PREFIX}d.parquet", Body=parquet(LARGEST))
        with pytest.raises(RefreshError):
            refresh.run(Trigger("daily", AS_OF))
        path.write_bytes(client.get_object(Bucket=BUCKET, Key="reports/latest.html")["Body"].read())
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as browser:
        yield browser


@pytest.fixture
def show(browser: Browser, written: Path) -> Iterator[Show]:
    """Show the page, with a browser's options."""
    opened: list[Shown] = []

    def open_page(fragment: str = "", **options: Any) -> Shown:
        opened.append(Shown(browser, written, fragment, **options))
        return opened[-1]

    yield open_page
    for shown in opened:
        shown.context.close()


def heat_maps(shown: Shown, country: str) -> dict[tuple[str, int], int]:
    """Read the counts of a country by the first number of the segment and amount, as they are written in English."""
    counts = {}
    for title in ("By number of orders", "By days since the last order"):
        region = shown.page.get_by_role("region", name=f"{title}: how often each amount was used, {country}")
        headings = region.locator("thead th").all_inner_texts()[3:-1]
        for row in region.locator("tbody tr").all():
            segment = row.locator("th").inner_text().split()[0]
            cells = row.locator("td.cell b").all_inner_texts()
            for amount, cell in zip(headings, cells, strict=True):
                if count := int(re.sub(r"\D", "", cell)):
                    counts[segment, int(amount.replace(",", ""))] = count
    return counts


def test_the_page_shows_the_numbers_of_the_table_and_asks_nobody(show: Show) -> None:
    shown = show()
    rows = [*ROWS, *[record(voucher_amount=4400.0)] * 900]
    for country in ("Peru", "Chile"):
        shown.page.get_by_role("combobox", name="Country").select_option(country)
        expected = {
            (f"{low}+" if high == 99999999 else f"{low}\u2013{high}", amount): count
            for (_, _, _, low, high, amount), count in recount(rows, AS_OF, [country]).items()
        }
        assert heat_maps(shown, country) == expected
    assert shown.complaints == []
    assert shown.requests == [shown.page.url.partition("#")[0]]


def test_the_most_used_amount_is_marked_by_more_than_colour(show: Show) -> None:
    rows = show().table("By number of orders: how often each amount was used, Peru")
    assert rows[0] == [
        "0\u20134 orders", "2,640", "+22.2 points 600 over 4,400 decided, z 12.24",
        "300 11.1%", "★ 1,500 55.6% most used", "900 33.3%", "2,700",
    ]  # fmt: skip


def test_a_first_place_that_is_undecided_looks_so(show: Show) -> None:
    shown = show("#country=Chile")
    title = "By number of orders: how often each amount was used, Chile"
    assert shown.table(title) == [
        ["0\u20134 orders", "2,640 ? undecided", "no other amount undecided, z 1.41", "☆ 2 100.0% most used", "2"]
    ]
    frame = "getComputedStyle(document.querySelector('.won')).outlineStyle"
    assert shown.page.evaluate(frame) == "dashed"
    shown.page.get_by_role("combobox", name="Country").select_option("Peru")
    assert shown.page.evaluate(frame) == "none"
    overview = shown.table("The most used amount of each segment, by country")
    assert [cells[1] for cells in overview[:2]] == ["2,640", "2,640 ? undecided"]


def test_every_part_has_its_numbers(show: Show) -> None:
    shown = show()
    assert shown.page.title() == "Voucher report, Dec 22, 2020"
    values = {cells[0]: cells[1] for cells in shown.table("Rows read, counted and rejected, and values defaulted")}
    assert values["voucher_amount missing, counted as 0"] == values["total_orders missing, counted as 0"] == "300"
    assert shown.page.get_by_text("does not add up").count() == 0
    assert shown.page.get_by_text("adds up").count() == 2
    assert shown.table("Rows rejected by reason") == [["total_orders_negative", "1", "0.0%"]]
    [first, why, *_] = shown.table("The latest runs")
    assert (first[0], first[2], first[3], first[-1]) == ("2", "daily", "Dec 22, 2020", "published")
    assert why[0].startswith("vouchers/<b>.parquet: is no readable parquet")
    # Behind each chart lies its table
    for summary in shown.page.get_by_text("Show the numbers").all():
        summary.click()
    trend = shown.table("When the most used amount changed, Peru")
    assert trend[0] == ["0\u20134 orders", "Dec 21, 2020", "2,640", "83.3%"]
    orders = shown.table("Orders, Peru")
    assert sum(int(cells[-1].replace(",", "")) for cells in orders) == 6000


def test_numbers_and_days_are_written_as_the_reader_does(show: Show) -> None:
    shown = show(locale="de-DE")
    rows = shown.table("By number of orders: how often each amount was used, Peru")
    assert rows[0][4] == "★ 1.500 55,6 % most used"
    assert shown.page.title() == "Voucher report, 22.12.2020"


def test_names_that_would_do_harm_stay_text(show: Show) -> None:
    shown = show()
    select = shown.page.get_by_role("combobox", name="Country")
    for name in HOSTILE:
        select.select_option(name)
        expect(shown.page.locator(".choice .print-only")).to_have_text(visible(name))
    # Then nothing of them became a part of the page
    assert shown.page.locator("script").count() == 2
    assert shown.page.locator("img, b > b").count() == 0
    assert shown.complaints == []
    assert shown.page.get_by_text("9,223,372,036,854,775,807").count() > 0


def test_even_markup_that_got_in_could_run_nothing(show: Show) -> None:
    # When the page held an attacker's markup, in spite of everything
    shown = show()
    shown.page.evaluate(
        "document.body.insertAdjacentHTML('beforeend',"
        ' \'<img src=x onerror="window.harmed=1"><a id=bad href="javascript:window.harmed=1">x</a>\')'
    )
    shown.page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), {text: 'window.harmed=1'}))"
    )
    shown.page.locator("#bad").click()
    # Then its policy keeps the browser from running any of it
    assert shown.page.evaluate("window.harmed") is None
    assert any("Content Security Policy" in complaint for complaint in shown.complaints)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 375])
def test_the_page_is_accessible(show: Show, scheme: str, width: int) -> None:
    shown = show(color_scheme=scheme, viewport={"width": width, "height": 900})
    for summary in shown.page.locator("summary").all():
        summary.click()
    found = Axe().run(shown.page)
    assert found.violations_count == 0, found.generate_report()
    assert found.response["passes"]


def test_a_phone_scrolls_tables_and_not_the_page(show: Show) -> None:
    shown = show(viewport={"width": 375, "height": 800})
    assert shown.page.evaluate("document.documentElement.scrollWidth") == 375


def test_a_keyboard_reaches_everything(show: Show) -> None:
    shown = show()
    focused = "document.activeElement.getAttribute('aria-label') || document.activeElement.textContent"
    shown.page.keyboard.press("Tab")
    assert shown.page.evaluate(focused) == "Skip to the figures"
    met: list[str] = []
    while (text := shown.page.evaluate(focused)) and len(met) < 60:
        met.append(text)
        if text == "Objects that cannot be counted":
            break
        shown.page.keyboard.press("Tab")
    regions = [region.get_attribute("aria-label") for region in shown.page.get_by_role("region").all()]
    tables = [name for name in regions if name and shown.page.get_by_role("region", name=name, exact=True).is_visible()]
    assert [name for name in tables if name not in met] == []
    # And a country is chosen with it
    shown.page.get_by_role("combobox", name="Country").focus()
    shown.page.keyboard.press("ArrowDown")
    expect(shown.page.get_by_role("region", name="Orders, Chile")).to_be_attached()


def test_a_link_leads_to_a_country(show: Show) -> None:
    shown = show("#country=Chile")
    assert shown.page.get_by_role("combobox", name="Country").input_value() == "Chile"
    shown.page.get_by_role("link", name="Peru").click()
    expect(shown.page.get_by_role("combobox", name="Country")).to_have_value("Peru")
    assert show("#country=%E0%A4%A").page.get_by_role("combobox", name="Country").input_value() == "Peru"


def test_paper_has_the_country_and_no_controls(show: Show) -> None:
    shown = show("#country=Chile")
    shown.page.emulate_media(media="print")
    assert not shown.page.get_by_role("combobox", name="Country").is_visible()
    assert shown.page.locator(".choice .print-only").inner_text() == "Chile"
    assert not shown.page.get_by_text("Show the numbers").first.is_visible()


def test_without_scripts_the_most_used_amounts_are_there(show: Show) -> None:
    shown = show(java_script_enabled=False)
    rows = [
        [_plain(cell) for cell in row.locator("td").all_inner_texts()] for row in shown.page.locator("tbody tr").all()
    ]
    assert ["Peru", "frequent_segment", "0-4", "2640", "1,500", "2,700"] in rows
    assert ["Chile", "frequent_segment", "0-4", "2640 (undecided)", "2", "2"] in rows
    assert rows[-1][0] == _plain(HOSTILE[-1])
    assert len(rows) == 4 + 2 * (len(COUNTRIES) - 1) + 1
