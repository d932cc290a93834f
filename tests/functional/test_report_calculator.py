"""The report's calculator and its since: what the lookup API answers, from the figures in the page."""

import random
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from chalicelib.lookup import NoAnswerError, explanation
from functions.common.fields import FieldsError
from tests.browser import NO_BROWSER, find_browser
from tests.report_pages import AS_OF, FOUR, Reports, Show

pytestmark = pytest.mark.skipif(find_browser() is None, reason=NO_BROWSER)

CUSTOMERS = 1000
NUMBERS = [
    "0", "4", "5", "13", "14", "37", "38", "99999999", "100000000", str(2**63 - 1), str(2**63), "007", "5.0", "5.5",
    "-1", "x",
]  # fmt: skip

# Fills in the form as a person does, and reads the answers as a download would have them.
ASK = """customers => customers.map(customer => {
    const form = document.querySelector('#calculator .form');
    for (const [name, value] of Object.entries(customer)) {
        form.querySelector(name === 'country_code' ? 'select' : `[name="${name}"]`).value = value;
    }
    form.dispatchEvent(new Event('input'));
    return [...document.querySelectorAll('#calculator tbody tr')]
        .map(row => [...row.cells].map(cell => cell.csv ?? cell.textContent));
})"""


def customers() -> list[dict[str, str]]:
    draw = random.Random(3)

    def day() -> str:
        ago = draw.choice((draw.randrange(-10, 230), draw.randrange(900), 29, 30, 60, 61, 179, 180, 737_000, -40_000))
        return str(AS_OF - timedelta(days=ago))

    return [
        {
            "country_code": draw.choice(FOUR),
            "total_orders": draw.choice(NUMBERS) if draw.random() < 0.4 else str(draw.randrange(60)),
            "last_order_ts": day(),
            "first_order_ts": day(),
        }
        for _ in range(CUSTOMERS)
    ]


def amounts_of(found: dict[str, Any]) -> str:
    amounts = " ".join(f"{amount:.0f}" for amount in found["voucher_amount"])
    return amounts if found["doubt"]["decided"] else f"{amounts} undecided"


def test_it_answers_a_thousand_customers_as_the_api_does(show: Show, report_pages: Reports) -> None:
    publication = report_pages.asked.publication
    shown = show(situation="families")
    today = datetime.now(UTC).date()
    met = {"answer": 0, "undecided": 0, "tied": 0, "no answer": 0, "bad field": 0}
    asked = customers()
    for customer, answers in zip(asked, shown.page.evaluate(ASK, asked), strict=True):
        for family, cells in zip(publication.families, answers, strict=True):
            try:
                explained = explanation(publication, {**customer, "segment_name": family}, today=today)
            except FieldsError:
                assert "must " in cells[1], (customer, family, cells)
                met["bad field"] += 1
                continue
            except NoAnswerError:
                assert cells[2].startswith("no "), (customer, family, cells)
                met["no answer"] += 1
                continue
            found = msgspec.json.decode(msgspec.json.encode(explained))  # as a caller reads it
            _, number, segment, amounts, share, sure, lead, since, unknown, vouchers = cells
            doubt, rule = found["doubt"], found["segment"]
            assert amounts == amounts_of(found), (customer, family)
            assert sure == f"{'decided' if doubt['decided'] else 'undecided'}, z {doubt['z']:g}"
            assert share == pytest.approx(found["share"], abs=0.00006)
            assert round(share * vouchers) == found["count"]
            assert unknown == pytest.approx(found["unknown"]["amount_share"], abs=0.00006)
            assert int(re.sub(r"[^\d]", "", segment.split("\u2013")[0].split(" ")[0])) == rule["min_range"]
            assert f"{found[publication.families[family].dimension.number_name]:,} " in number
            is_tied = len(found["voucher_amount"]) > 1
            assert is_tied or not found["runner_up"] or f", {doubt['lead']:,} more than " in lead
            assert since == report_pages.asked.since[customer["country_code"], family, rule["segment_type"]]
            met["answer"] += 1
            met["undecided"] += not doubt["decided"]
            met["tied"] += is_tied
    assert min(met.values()) > 0, met
    assert shown.complaints == []


def test_it_asks_for_what_the_families_need(show: Show) -> None:
    group = show(situation="families").page.get_by_role("group", name="Ask for one customer")
    assert group.locator("label").all_inner_texts() == ["Customer's country", "Orders", "Last order", "First order"]
    group = show(situation="first").page.get_by_role("group", name="Ask for one customer")
    assert group.locator("label").all_inner_texts() == ["Customer's country", "Orders", "Last order"]
