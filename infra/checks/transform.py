"""The template as SAM expands it: `python -m infra.checks.transform FILE` writes it as JSON, for linters.

SAM's short forms hide roles, permissions and dependencies. Circular dependencies show only here.
"""

import json
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
from cfnlint.decode import cfn_yaml
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

from infra import ROOT

TEMPLATE = ROOT / "template.yaml"
NESTED = sorted((ROOT / "infra" / "templates").glob("*.yaml"))

_REGION = "us-east-1"

# It warns about a switch that only AWS's own service has.
logging.getLogger("samtranslator").setLevel(logging.ERROR)


def read_template(path: Path) -> dict[str, Any]:
    """Read a template, with CloudFormation's short tags in their long form."""
    template: dict[str, Any] = json.loads(json.dumps(cfn_yaml.load(str(path))))
    return template


def transform(template: Mapping[str, Any], parameters: Mapping[str, str]) -> dict[str, Any]:
    """Expand the SAM resources of a template.

    Parameters
    ----------
    template : mapping
        The template; it stays as it is.
    parameters : mapping of str to str
        Values of parameters; the others have their defaults.

    Returns
    -------
    dict
        Plain CloudFormation, with placeholders for what `sam deploy` uploads.

    Raises
    ------
    samtranslator.model.exceptions.InvalidDocumentException
        When SAM does not take the template.
    """
    copy = json.loads(json.dumps(template))
    for resource in copy["Resources"].values():
        if "CodeUri" in resource.get("Properties", {}):
            resource["Properties"]["CodeUri"] = "s3://artifacts/package.zip"
        if "TemplateURL" in resource.get("Properties", {}):
            resource["Properties"]["TemplateURL"] = "https://artifacts.s3.amazonaws.com/nested.template"
    values = {name: entry["Default"] for name, entry in copy["Parameters"].items() if "Default" in entry}
    # The map of managed policies is for policies that are named without their ARN: there are none.
    translator = Translator({}, Parser(), boto_session=boto3.Session(region_name=_REGION))
    expanded: dict[str, Any] = translator.translate(copy, parameter_values={**values, **parameters})
    return expanded


def main() -> None:
    """Write the transformed template into the file that the command line names."""
    target = Path(sys.argv[1])
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(transform(read_template(TEMPLATE), {}), indent=2))


if __name__ == "__main__":
    main()
