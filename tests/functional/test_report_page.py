"""The report's page as people use it: in a real Chromium, read by eye, by keyboard, by screen reader, on paper."""

import csv
import io
import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.browser import NO_BROWSER, find_browser
from tests.report_pages import AS_OF, COUNTRIES, LATER, ROWS, Show, Shown
from tests.support import HOSTILE, recount

pytestmark = pytest.mark.skipif(find_browser() is None, reason=NO_BROWSER)


def visible(text: str) -> str:
    """Write out the characters that one could not see."""
    return re.sub("[\u2028\u2029\u202e]", lambda found: f"\\u{{{ord(found[0]):x}}}", text)


def heat_maps(shown: Shown, country: str) -> dict[tuple[str, int], int]:
    """Read the counts of a country by the first number of the segment and amount, as they are written in English."""
    counts = {}
    for title in ("By number of orders", "By days since the last order"):
        region = shown.page.get_by_role("region", name=f"{title}: how often each amount was used, {country}")
        headings = region.locator("thead th").all_inner_texts()[1:-1]
        for row in region.locator("tbody tr").all():
            segment = row.locator("th").inner_text().split()[0]
            cells = row.locator("td.cell b").all_inner_texts()
            for amount, cell in zip(headings, cells, strict=True):
                if count := int(re.sub(r"\D", "", cell)):
                    counts[segment, int(re.sub(r"[ (].*", "", amount).replace(",", ""))] = count
    return counts


def test_the_page_shows_the_numbers_of_the_table_and_sends_no_request(show: Show) -> None:
    shown = show()
    rows = [*ROWS, *LATER]
    for country in ("Peru", "Chile"):
        shown.page.get_by_role("combobox", name="Country", exact=True).select_option(country)
        expected = {
            (f"{low}+" if high == 99999999 else f"{low}\u2013{high}", amount): count
            for (_, _, _, low, high, amount), count in recount(rows, AS_OF, [country]).items()
        }
        assert heat_maps(shown, country) == expected
    assert shown.complaints == []
    assert shown.requests == [shown.page.url.partition("#")[0]]


def test_the_most_used_amount_is_marked_by_more_than_colour(show: Show) -> None:
    rows = show().table("By number of orders: how often each amount was used, Peru")
    assert rows[0] == ["0\u20134 orders", "300 11.1%", "★ 1,500 55.6% most used", "900 33.3%", "2,700"]


def test_a_stranger_reads_which_amount_how_sure_since_when_and_what_share_is_unknown(show: Show) -> None:
    shown = show()
    title = "By number of orders: the most used amount, Peru"
    headings = shown.page.get_by_role("region", name=title).locator("thead th").all_inner_texts()
    assert dict(zip(headings, shown.table(title)[0], strict=True)) == {
        "Segment": "0\u20134 orders",
        "Most used": "2,640",
        "Its share": "55.6%",
        "How sure": "decided, z 12.24",
        "Lead": "+22.2 points, 600 more than 4,400",
        "Since": "Dec 21, 2020",
        "Amount unknown": "11.1%",
        "Orders unknown": "11.1%",
        "Vouchers": "2,700",
    }
    assert "0 (no amount recorded)" in shown.page.locator(".heat thead").first.inner_text()
    for text in ("They cannot tell which amount works", "the data's own currency", "times are in UTC"):
        assert shown.page.get_by_text(text).count() == 1


def test_the_first_publication_says_so_and_no_later_one(show: Show) -> None:
    text = show(situation="first").page.locator("body").inner_text()
    assert "First publication: nothing was published before" in text
    assert "Most used changed\nfirst publication\nnothing was published before" in text
    assert "first publication" not in show().page.locator("body").inner_text().lower()


def test_changes_are_shown_with_their_causes(show: Show) -> None:
    # An amount that another overtook has a line of its own, with the object that caused it
    text = show(situation="four").page.locator("#campaign .card").first.inner_text()
    assert "Peru 5\u201313 orders: 4,400 → 2,640\nthe data changed\n1,201 vouchers by vouchers/e.parquet" in text
    # Segments that the day filled or emptied share a line
    text = show(situation="moved").page.locator("#campaign .card").first.inner_text()
    assert "none → " not in text
    moved = "The as-of day moved from Dec 22, 2020 to Jan 31, 2021: "
    assert f"{moved}1 segment holds vouchers and held none before (Peru 91\u2013120 days)." in text
    assert f"{moved}2 segments hold no voucher any more (Country 01 30\u201360 days, Peru 30\u201360 days)." in text


def test_a_first_place_that_is_undecided_looks_so(show: Show) -> None:
    shown = show("#country=Chile")
    title = "By number of orders: how often each amount was used, Chile"
    assert shown.table(title) == [["0\u20134 orders", "☆ 2 100.0% most used, undecided", "2"]]
    [cells] = shown.table("By number of orders: the most used amount, Chile")
    assert cells[1:5] == ["2,640 ? undecided", "100.0%", "undecided: 2 vouchers, fewer than 30", "no other amount"]
    frame = "getComputedStyle(document.querySelector('.won')).outlineStyle"
    assert shown.page.evaluate(frame) == "dashed"
    shown.page.get_by_role("combobox", name="Country", exact=True).select_option("Peru")
    assert shown.page.evaluate(frame) == "none"
    overview = shown.table("The most used amount of each segment, by country")
    assert [cells[1] for cells in overview[:2]] == ["2,640", "2,640 ? undecided"]


def test_every_part_has_its_numbers(show: Show) -> None:
    shown = show()
    assert shown.page.title() == "Voucher report, Dec 22, 2020"
    values = {cells[0]: cells[1] for cells in shown.table("Rows read, counted and rejected, and unknown values")}
    assert values["voucher_amount unknown, counted as 0"] == values["total_orders unknown, counted as 0"] == "300"
    assert shown.page.get_by_text("does not add up").count() == 0
    assert shown.page.get_by_text("adds up").count() == 2
    assert shown.table("Rows rejected by reason") == [["total_orders_negative", "1", "under 0.1%"]]
    [first, why, *_] = shown.table("The latest runs")
    assert (first[0], first[2], first[3], first[-1]) == ("2", "daily", "Dec 22, 2020", "published")
    assert first[6].endswith("7 not counted any more (vouchers/<i>gone.parquet 7)")
    assert why[0].startswith("vouchers/<b>.parquet: is not readable parquet")
    # Behind each chart lies its table
    shown.open_numbers()
    trend = shown.table("When the most used amount changed, Peru")
    assert trend[0] == ["0\u20134 orders", "Dec 21, 2020", "2,640", "83.3%", "decided"]
    orders = shown.table("Orders, Peru")
    assert sum(int(cells[-1].replace(",", "")) for cells in orders) == 6000


def test_numbers_and_days_are_written_as_the_reader_does(show: Show) -> None:
    shown = show(locale="de-DE")
    rows = shown.table("By number of orders: how often each amount was used, Peru")
    assert rows[0][2] == "★ 1.500 55,6 % most used"
    assert shown.page.title() == "Voucher report, 22.12.2020"


def test_names_that_would_do_harm_stay_text(show: Show) -> None:
    shown = show()
    select = shown.page.get_by_role("combobox", name="Country", exact=True)
    for name in HOSTILE:
        select.select_option(name)
        expect(shown.page.locator("#country option:checked")).to_have_text(visible(name))
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


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 375)])
def test_the_page_is_accessible(show: Show, scheme: str, width: int) -> None:
    shown = show(color_scheme=scheme, viewport={"width": width, "height": 900})
    shown.open_numbers()
    found = Axe().run(shown.page)
    assert found.violations_count == 0, found.generate_report()
    assert found.response["passes"]


def test_a_keyboard_reaches_everything(show: Show) -> None:
    shown = show()
    focused = "(({ariaLabel, textContent, id}) => ariaLabel || textContent || id)(document.activeElement)"
    shown.page.keyboard.press("Tab")
    assert shown.page.evaluate(focused) == "Skip to the figures"
    met: list[str] = []
    while (text := shown.page.evaluate(focused)) and len(met) < 150:
        met.append(text)
        if text == "Objects that cannot be counted":
            break
        shown.page.keyboard.press("Tab")
    regions = [region.get_attribute("aria-label") for region in shown.page.get_by_role("region").all()]
    tables = [name for name in regions if name and shown.page.get_by_role("region", name=name, exact=True).is_visible()]
    assert [name for name in tables if name not in met] == []
    # And a country is chosen with it
    shown.page.get_by_role("combobox", name="Country", exact=True).focus()
    shown.page.keyboard.press("ArrowDown")
    expect(shown.page.get_by_role("region", name="Orders, Chile")).to_be_attached()


def test_a_link_leads_to_a_country(show: Show) -> None:
    shown = show("#country=Chile")
    assert shown.page.get_by_role("combobox", name="Country", exact=True).input_value() == "Chile"
    shown.page.get_by_role("link", name="Peru").click()
    expect(shown.page.get_by_role("combobox", name="Country", exact=True)).to_have_value("Peru")
    assert show("#country=%E0%A4%A").page.get_by_role("combobox", name="Country", exact=True).input_value() == "Peru"


def test_paper_has_every_country_and_no_controls(show: Show) -> None:
    shown = show("#country=Chile")
    shown.page.emulate_media(media="print")
    expect(shown.page.locator("#campaign h3.country")).to_have_text([visible(name) for name in COUNTRIES])
    for name in ("Peru", "Chile", "Brazil"):
        assert shown.table(f"By number of orders: the most used amount, {name}")
    for control in ("select", "input", "button", "summary"):
        assert shown.page.locator(control).filter(visible=True).count() == 0
    # And the screen has the one that was chosen again
    shown.page.emulate_media(media="screen")
    expect(shown.page.locator("h3.country")).to_have_count(0)
    assert shown.table("By number of orders: the most used amount, Chile")


def test_every_table_can_be_downloaded_for_a_spreadsheet(show: Show) -> None:
    shown = show()
    tables = {}
    for number in range(shown.page.locator("button.csv").count()):
        if number % 8 == 0:  # Chromium may stop a page after ten downloads
            shown = show()
            shown.open_numbers()
        with shown.page.expect_download() as download:
            shown.page.locator("button.csv").nth(number).click()
        raw = download.value.path().read_bytes()
        assert raw.startswith(b"\xef\xbb\xbf"), "spreadsheets take it for another encoding"
        assert raw.count(b"\n") >= raw.count(b"\r\n") > 1
        rows = list(csv.reader(io.StringIO(raw.decode("utf-8-sig"), newline=""), strict=True))
        assert {len(row) for row in rows} == {len(rows[0])} or "ask-for" in download.value.suggested_filename
        tables[download.value.suggested_filename] = rows
        # And nobody was asked for anything
        assert shown.requests == [shown.page.url] + [url for url in shown.requests if url.startswith("blob:")]
        assert shown.complaints == []
    assert len(tables) == shown.page.get_by_role("region").filter(has=shown.page.locator("table")).count()
    # Numbers are those of no language
    heat = tables["2020-12-22-by-number-of-orders-how-often-each-amount-was-used-peru.csv"]
    assert heat[:2] == [["Segment", "0", "2640", "4400", "All"], ["0\u20134 orders", "300", "1500", "900", "2700"]]
    # No name is a formula, nor does it hide one behind what may end a cell
    names = [name for name, *_ in tables["2020-12-22-rows-by-country.csv"]]
    assert {"'=1+1", "x;'=1+1", "Peru"} < set(names)


def test_without_scripts_the_most_used_amounts_are_there(show: Show) -> None:
    shown = show(java_script_enabled=False)
    rows = [
        [" ".join(cell.split()) for cell in row.locator("td").all_inner_texts()]
        for row in shown.page.locator("tbody tr").all()
    ]
    text = shown.page.locator(".plain p").first.inner_text()
    assert text == "As of 2020-12-22, a whole day in UTC. Published 2020-12-22 14:12 UTC."
    assert ["Peru", "frequent_segment", "0-4", "2640", "1,500", "2,700", "decided", "2020-12-21"] in rows
    assert ["Chile", "frequent_segment", "0-4", "2640", "2", "2", "undecided", "2020-12-22"] in rows
    assert {" ".join(name.split()) for name in HOSTILE} < {row[0] for row in rows}
    assert len(rows) == 4 + 2 * (len(COUNTRIES) - 1) + 1
