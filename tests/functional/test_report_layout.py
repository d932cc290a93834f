"""How the report lies on screens and paper: nothing leaves its card, no label covers another."""

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser import NO_BROWSER, find_browser
from tests.report_pages import FIFTY, Show

pytestmark = pytest.mark.skipif(find_browser() is None, reason=NO_BROWSER)

SCREENS: dict[str, dict[str, Any]] = {
    "desktop": {"viewport": {"width": 1280, "height": 900}},
    "phone": {"viewport": {"width": 390, "height": 844}},
    "dark": {"viewport": {"width": 800, "height": 900}, "color_scheme": "dark"},
    "paper": {"viewport": {"width": 704, "height": 900}},
}

# What is wrong with the boxes of a page, in words.
MEASURE = """() => {
    const wrong = [];
    const shown = found => found.checkVisibility() && found.getBoundingClientRect().width > 0;
    const name = found => `${found.tagName} ${found.textContent.slice(0, 40)}`;
    if (document.documentElement.scrollWidth > innerWidth) wrong.push('the page scrolls sideways');
    for (const card of document.querySelectorAll('.card, .tile')) {
        const around = card.getBoundingClientRect();
        for (const found of card.querySelectorAll('*')) {
            if (!shown(found) || found.closest('.hidden') || found.matches('.hidden *')) continue;
            const scroll = found.closest('.scroll');
            if (scroll && scroll !== found) continue;
            const box = found.getBoundingClientRect();
            const outside = Math.max(around.left - box.left, box.right - around.right, around.top - box.top,
                                     box.bottom - around.bottom);
            if (outside > 0.5) wrong.push(`${name(found)} leaves its card by ${outside}`);
        }
    }
    const meet = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 0.5
        && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1;
    for (const drawing of document.querySelectorAll('.chart, .strip')) {
        const texts = [...drawing.querySelectorAll('text')].filter(shown);
        texts.forEach((one, number) => texts.slice(number + 1).forEach(other => {
            if (meet(one.getBoundingClientRect(), other.getBoundingClientRect())) {
                wrong.push(`${name(one)} covers ${name(other)}`);
            }
        }));
    }
    for (const chart of document.querySelectorAll('.chart')) {
        const tops = kind => Math.min(...[...chart.querySelectorAll(kind)].map(one => one.getBoundingClientRect().top));
        if (tops('rect') < tops('.grid') - 1) wrong.push(`a bar of ${chart.ariaLabel} ends above the grid`);
    }
    for (const scroll of document.querySelectorAll('.scroll')) {
        const hint = scroll.parentNode.querySelector('.hint');
        const isWide = scroll.scrollWidth > scroll.clientWidth + 1;
        if (shown(scroll) && shown(scroll.parentNode.querySelector('.csv')) && isWide !== hint.checkVisibility()) {
            wrong.push(`${scroll.ariaLabel} scrolls: ${isWide}, says so: ${!isWide}`);
        }
    }
    for (const map of document.querySelectorAll('.heat')) {
        const [first, around] = [map.querySelector('.cell'), map.closest('.scroll')];
        const beyond = first.getBoundingClientRect().right - around.getBoundingClientRect().right;
        if (beyond > 0.5) wrong.push(`no count of ${map.caption.textContent} is in sight`);
    }
    return wrong;
}"""

# What differs between colours is no box: each situation is looked at where it has most to go wrong.
SITUATIONS = {
    "desktop": ["failed", "fifty", "families"],
    "phone": ["four", "failed", "families"],
    "dark": ["first", "moved"],
    "paper": ["failed", "families"],
}


@pytest.mark.parametrize("screen", SCREENS)
def test_nothing_leaves_its_card_and_no_label_covers_another(show: Show, screen: str) -> None:
    for situation in SITUATIONS[screen]:
        shown = show(situation=situation, **SCREENS[screen])
        if screen == "paper":
            shown.page.emulate_media(media="print")
            expect(shown.page.locator("#data h3.country")).not_to_have_count(0)
        else:
            shown.open_numbers()
        # The page learns sizes after its next frame.
        shown.page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        assert shown.page.evaluate(MEASURE) == [], situation
        assert shown.complaints == []


def test_charts_have_titles_of_axes_borders_of_segments_and_dates(show: Show) -> None:
    shown = show(situation="four")
    texts = shown.page.locator(".chart").first.locator("text").all_text_contents()
    assert {"Vouchers", "Orders"} < set(texts)
    borders = shown.page.locator(".chart").first.locator("line.border title").all_text_contents()
    assert borders == ["5 orders", "14 orders", "38 orders"]
    days = shown.page.locator(".chart").nth(1).locator("line.border title").all_text_contents()
    assert days == ["180 days", "121 days", "91 days", "61 days"]
    assert shown.page.locator(".axis").inner_text().split("\n") == ["Dec 21, 2020", "Dec 22, 2020"]


def test_the_numbers_behind_a_chart_show_all_columns(show: Show) -> None:
    shown = show(situation="fifty")
    shown.open_numbers()
    hidden = shown.page.evaluate(
        "[...document.querySelectorAll('details .scroll')].filter(one => one.scrollWidth > one.clientWidth)"
        ".map(one => one.ariaLabel)"
    )
    assert hidden == []


def test_an_amount_has_one_colour_on_the_whole_page(show: Show) -> None:
    shown = show(situation="fifty")
    found = shown.page.evaluate(
        """names => names.flatMap(name => {
            document.querySelector('#country').value = name;
            location.hash = `#country=${name}`;
            dispatchEvent(new Event('hashchange'));
            return [...document.querySelectorAll('.legend li:has(rect), .heat thead span:has(rect)')]
                .map(one => [one.textContent, one.querySelector('rect').className.baseVal]);
        })""",
        FIFTY[:8],
    )
    colours: dict[str, set[str]] = {}
    for text, colour in found:
        colours.setdefault(text, set()).add(colour)
    assert len(colours) > 10
    assert {text: several for text, several in colours.items() if len(several) > 1} == {}
    # And the amounts of one country have different ones
    for drawn in shown.page.locator("#data .legend").all():
        classes = [rect.get_attribute("class") for rect in drawn.locator("rect").all()]
        assert len(set(classes)) == len(classes)
