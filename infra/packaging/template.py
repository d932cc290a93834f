"""The template for an emulator: with archives in place of the folders that `sam build` would build from."""

import json
import re

from infra import ROOT
from infra.packaging.kept import kept_package
from infra.progress import Progress

# RefreshFunction is built as `refresh`: its property CodeUri, before the next resource begins.
_CODE = re.compile(r"^(?P<before>  (?P<name>\w+)Function:\n(?:(?!  \w).*\n)*?      CodeUri: )\S+", re.MULTILINE)
_NESTED = re.compile(r"^(?P<before>      TemplateURL: )(?P<path>\S+)", re.MULTILINE)


def packaged_template(*, runtime: str, architecture: str, system: str) -> str:
    """Return `template.yaml` with each function's archive and with absolute paths of the nested templates.

    Parameters
    ----------
    runtime, architecture, system : str
        What the archives are built for: see `infra.packaging.build.build`.

    Raises
    ------
    BuildError
        When one cannot be built.
    """

    def with_archive(found: re.Match[str]) -> str:
        name = found["name"].lower()
        with Progress(f"package the function {name}"):
            archive = kept_package(name, runtime=runtime, architecture=architecture, system=system)
        return found["before"] + json.dumps(str(archive))

    template = _CODE.sub(with_archive, (ROOT / "template.yaml").read_text())
    return _NESTED.sub(lambda found: found["before"] + json.dumps(str(ROOT / found["path"])), template)
