"""Write the API's description and its page: `PYTHONPATH=.:chalice_app python -m infra.description [--check]`."""

import argparse
import json
import sys
from pathlib import Path

from infra import ROOT
from infra.description.document import make_document
from infra.description.page import make_page

DOCUMENT = ROOT / "chalice_app" / "chalicelib" / "openapi.json"
PAGE = ROOT / "docs" / "api.html"


def stale_files() -> dict[Path, str]:
    """Return the files that differ from what the models and routes say, with what they should hold."""
    document = make_document()
    made = {DOCUMENT: json.dumps(document, indent=1, ensure_ascii=False) + "\n", PAGE: make_page(document)}
    return {path: text for path, text in made.items() if not path.exists() or path.read_text() != text}


def main() -> None:
    """Write the files, or name those that are out of date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing, fail if a file is out of date")
    is_check = parser.parse_args().check
    stale = stale_files()
    if is_check and stale:
        sys.exit(f"out of date: {', '.join(str(path.relative_to(ROOT)) for path in stale)}. Run make fix")
    for path, text in stale.items():
        path.write_text(text)
        print(f"wrote {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
