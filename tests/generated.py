"""A client of the API, generated from its description by openapi-python-client."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.described import DESCRIPTION


def generate_client(folder: Path) -> None:
    """Generate the package `voucher_client` in a folder; a warning is an error."""
    (folder / "openapi.json").write_text(json.dumps(DESCRIPTION))
    (folder / "config.json").write_text('{"post_hooks": []}')
    subprocess.run(
        [
            Path(sys.executable).with_name("openapi-python-client"), "generate", "--path", folder / "openapi.json",
            "--meta", "none", "--config", folder / "config.json", "--output-path", folder / "voucher_client",
            "--fail-on-warning",
        ],
        check=True, env={**os.environ, "NO_COLOR": "1"}, capture_output=True, text=True,
    )  # fmt: skip
