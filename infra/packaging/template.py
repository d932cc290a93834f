"""The template for an emulator: with archives in place of the folders that `sam build` would build from."""

import json
import re
from collections.abc import Callable
from pathlib import Path

from infra import ROOT

# RefreshFunction is built as `refresh`: its property CodeUri, before the next resource begins.
_CODE = re.compile(r"^(?P<before>  (?P<name>\w+)Function:\n(?:(?!  \w).*\n)*?      CodeUri: )\S+", re.MULTILINE)
_NESTED = re.compile(r"^(?P<before>      TemplateURL: )(?P<path>\S+)", re.MULTILINE)


def packaged_template(archive_of: Callable[[str], Path]) -> str:
    """Return `template.yaml` with each function's archive and with absolute paths of the nested templates.

    Parameters
    ----------
    archive_of : callable
        Gives the archive of a function: 'refresh', 'migrate' or 'lookup'.
    """

    def with_archive(found: re.Match[str]) -> str:
        return found["before"] + json.dumps(str(archive_of(found["name"].lower())))

    template = _CODE.sub(with_archive, (ROOT / "template.yaml").read_text())
    return _NESTED.sub(lambda found: found["before"] + json.dumps(str(ROOT / found["path"])), template)
