"""The page: one file that needs no network; its script shows the figures in it."""

import base64
import hashlib
from functools import cache
from html import escape
from pathlib import Path

import msgspec

from functions.refresh.report.model import CountryFigures, Figures

_ASSETS = Path(__file__).with_name("assets")
_SCRIPTS = ("text", "elements", "colours", "overview", "campaign", "calculator", "charts", "runs", "show")

# Characters that could end the script or begin other markup inside a text.
_ESCAPED = {"<": r"\u003c", ">": r"\u003e", "&": r"\u0026", "\u2028": r"\u2028", "\u2029": r"\u2029"}
_TRANSLATION = str.maketrans(_ESCAPED)


def render(figures: Figures) -> bytes:
    """Return the page as HTML in UTF-8.

    Values reach it in two ways: in a block of JSON, which the script shows as text only, and in the table for a
    browser without scripts, where they are escaped.
    """
    before_days, before_table, before_data, end = _parts()
    data = msgspec.json.encode(figures).decode().translate(_TRANSLATION)
    days = f"As of {figures.as_of}, a whole day in UTC. Published {figures.published_at:%Y-%m-%d %H:%M} UTC."
    return "".join((before_days, days, before_table, _plain_table(figures), before_data, data, end)).encode()


@cache
def _parts() -> tuple[str, str, str, str]:
    """Return the four parts of the page around its days, table and data; its policy allows no other style or script."""
    page, style = ((_ASSETS / f"report.{kind}").read_text() for kind in ("html", "css"))
    script = "\n".join(
        ('"use strict";', "(() => {", *((_ASSETS / f"{name}.js").read_text() for name in _SCRIPTS), "})();")
    )
    page = page.replace("{style_hash}", _hash(style)).replace("{script_hash}", _hash(script))
    page = page.replace("{style}", style).replace("{script}", script)
    before_days, _, rest = page.partition("{days}")
    before_table, _, rest = rest.partition("{table}")
    before_data, _, end = rest.partition("{data}")
    return before_days, before_table, before_data, end


def _hash(text: str) -> str:
    """Return the hash that names a script or a style in a content security policy."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _plain_table(figures: Figures) -> str:
    """Return the rows of the most used amounts, for a browser without scripts."""
    return "\n".join(
        _plain_row(country, number) for country in figures.countries for number in range(len(country.segments))
    )


def _plain_row(country: CountryFigures, number: int) -> str:
    segment = country.segments[number]
    most_used, since = segment.most_used, segment.since
    cells = (
        country.country_code,
        segment.segment_name,
        segment.segment_type,
        ", ".join("0 (no amount recorded, or 0)" if amount == "0" else amount for amount in most_used.amounts),
        f"{most_used.count:,}",
        f"{most_used.vouchers:,}",
        "decided" if most_used.decided else "undecided",
        f"{since.as_of}{'' if since.is_exact else ' or before'}" if since else "",
    )
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
