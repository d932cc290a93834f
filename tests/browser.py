"""A real browser: Chromium without a window, driven by playwright."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

NO_BROWSER = "no Chromium is on this machine: install Debian's package chromium, or name one in CHROMIUM"


def find_browser() -> str | None:
    """Return the path of a Chromium: the one that CHROMIUM names, or the first that is installed."""
    return os.environ.get("CHROMIUM") or next((path for name in _NAMES if (path := shutil.which(name))), None)


@contextmanager
def running_browser() -> Iterator[Browser]:
    """Run it; playwright would have one of its own, which is not installed.

    Raises
    ------
    FileNotFoundError
        When there is none.
    """
    path = find_browser()
    if path is None:
        raise FileNotFoundError(NO_BROWSER)
    with sync_playwright() as playwright:
        # Without a sandbox of its own, which root may not have: it is shown pages of our own only.
        browser = playwright.chromium.launch(executable_path=Path(path), args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()
