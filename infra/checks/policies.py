"""The policies of templates and docs as IAM gets them: `python -m infra.checks.policies FOLDER` writes and lints each.

An IAM linter reads plain documents. What CloudFormation would fill in is an example here: an account, a region, the ARN
of a resource. Both branches of a condition are written, as two statements.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from infra import ROOT
from infra.checks.transform import NESTED, TEMPLATE, read_template, transform

_LINTER = ROOT / ".local" / "tools" / "parliament" / "bin" / "parliament"

_ACCEPTED = [
    # SAM writes this policy, for the destinations of the refresh function's results.
    ("NO_VERSION", "RefreshFunctionRole-0.json"),
    # The linter expects a resource of every kind that an action knows; these are about executions only.
    ("RESOURCE_MISMATCH", "states:ListExecutions", ":mapRun:"),
    ("RESOURCE_MISMATCH", "states:DescribeExecution", ":express:"),
]
"""Findings to ignore, by their text."""

_PSEUDO_PARAMETERS = {
    "AWS::Partition": "aws",
    "AWS::Region": "us-east-1",
    "AWS::AccountId": "123456789012",
    "AWS::StackName": "voucher-segmenter",
}
_HERE = "us-east-1:123456789012"

_ARNS = {
    "AWS::S3::Bucket": "arn:aws:s3:::bucket",
    "AWS::SQS::Queue": f"arn:aws:sqs:{_HERE}:queue",
    "AWS::Lambda::Function": f"arn:aws:lambda:{_HERE}:function:name",
    "AWS::StepFunctions::StateMachine": f"arn:aws:states:{_HERE}:stateMachine:name",
    "AWS::Events::Rule": f"arn:aws:events:{_HERE}:rule/name",
}
"""What `!GetAtt Name.Arn` gives, by the type of the resource."""

_OUTPUTS = {"Outputs.FoundRule": _ARNS["AWS::Events::Rule"], "Outputs.ResourceId": "db-ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
"""Outputs of the nested stacks that policies use."""

_GIVEN = {
    "DatabaseResourceId": "db-ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "DatabaseSecret": f"arn:aws:secretsmanager:{_HERE}:secret:database-abcdef",
    "DatabaseWriterSecret": f"arn:aws:secretsmanager:{_HERE}:secret:writer-abcdef",
    "DatabaseReaderSecret": f"arn:aws:secretsmanager:{_HERE}:secret:reader-abcdef",
    "ApiAllowedCidrs": ["192.0.2.0/24"],
}
"""Parameters that are empty by default, but not where a policy has them."""


def policies() -> dict[str, Any]:
    """Return every policy document of the stack, by template and resource."""
    parts = {path.name: read_template(path) for path in NESTED}
    template = transform(read_template(TEMPLATE), {})
    defaults = {name: entry.get("Default") for name, entry in template["Parameters"].items()}
    return dict(_policies_of("template", template, {**defaults, **_GIVEN}, parts))


def documented_policies() -> dict[str, Any]:
    """Return the policies that pages of the docs show to people, by page: names for what they fill in are examples."""
    found = {}
    for page in sorted((ROOT / "docs").glob("*.md")):
        for number, text in enumerate(_DOCUMENTED.findall(page.read_text())):
            here = text.replace("REGION:ACCOUNT", _HERE)
            found[f"{page.stem}-{number}"] = json.loads(re.sub("[A-Z_]{3,}", lambda name: name[0].lower(), here))
    return found


_DOCUMENTED = re.compile(r'^```\n(\{"Version": .*?)^```$', re.MULTILINE | re.DOTALL)


def _policies_of(
    stack: str, template: Mapping[str, Any], given: Mapping[str, Any], parts: Mapping[str, Any]
) -> Iterator[tuple[str, Any]]:
    """Walk through a template and its nested templates."""
    resources = template["Resources"]
    for name, resource in resources.items():
        for number, document in enumerate(_documents(resource["Properties"])):
            yield f"{stack}-{name}-{number}", _filled(document, resources, given)
    for path, name in _PARTS.get(stack, {}).items():
        properties = resources[name]["Properties"]["Parameters"]
        filled = {parameter: _filled(value, resources, given) for parameter, value in properties.items()}
        yield from _policies_of(path, parts[f"{path}.yaml"], filled, parts)


_PARTS = {
    "template": {"backlog": "Backlog", "database": "Database", "events": "Events", "manual": "Manual"},
    "database": {"network": "Network"},
}
"""The nested stacks with policies, and their names."""


def _documents(value: Any) -> Iterator[Any]:
    """Find the policy documents in a resource, at any depth; cfn-lint checks who may assume a role."""
    if isinstance(value, dict):
        if "Statement" in value:
            yield value
        else:
            for name, entry in value.items():
                if name != "AssumeRolePolicyDocument":
                    yield from _documents(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from _documents(entry)


def _filled(value: Any, resources: Mapping[str, Any], given: Mapping[str, Any]) -> Any:
    """Put an example where CloudFormation would put the real value."""
    if isinstance(value, list):
        filled: list[Any] = []
        for entry in value:
            branches = entry["Fn::If"][1:] if isinstance(entry, dict) and "Fn::If" in entry else [entry]
            filled += [_filled(branch, resources, given) for branch in branches]
        return filled
    if isinstance(value, str):
        # API Gateway expands the short form, so that a document need not know the id of its own API.
        return re.sub("^execute-api:/", f"arn:aws:execute-api:{_HERE}:api/", value)
    return _called(value, resources, given) if isinstance(value, dict) else value


def _called(value: Mapping[str, Any], resources: Mapping[str, Any], given: Mapping[str, Any]) -> Any:
    """Return the value of a CloudFormation function; for anything else, fill in its entries."""
    [(function, argument), *_] = value.items()
    if function == "Ref":
        return _reference(argument, resources, given)
    if function == "Fn::GetAtt":
        name, attribute = argument
        return _attribute(name, attribute, resources)
    if function == "Fn::If":
        return _filled(argument[1], resources, given)
    if function == "Fn::Sub":
        return _substituted(argument, resources, given)
    return {name: _filled(entry, resources, given) for name, entry in value.items()}


def _substituted(value: Any, resources: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    text, names = value if isinstance(value, list) else (value, {})
    own = {name: _filled(entry, resources, given) for name, entry in names.items()}

    def fill(match: re.Match[str]) -> str:
        name, _, attribute = match[1].partition(".")
        if attribute:
            return _attribute(name, attribute, resources)
        return str(own[name] if name in own else _reference(name, resources, given))

    return re.sub(r"\$\{([^}]+)\}", fill, text)


def _reference(name: str, resources: Mapping[str, Any], given: Mapping[str, Any]) -> Any:
    known = {**_PSEUDO_PARAMETERS, **given}
    if name in known:
        return known[name]
    # Of these a reference is the ARN; of others the name.
    kind = resources[name]["Type"]
    return _ARNS[kind] if kind == "AWS::StepFunctions::StateMachine" else name.lower()


def _attribute(name: str, attribute: str, resources: Mapping[str, Any]) -> str:
    if attribute in _OUTPUTS:
        return _OUTPUTS[attribute]
    return _ARNS[resources[name]["Type"]] if attribute == "Arn" else name.lower()


def findings(folder: Path) -> list[str]:
    """Lint the policies in a folder, and return what is wrong with them.

    Raises
    ------
    subprocess.CalledProcessError
        When the linter itself fails.
    """
    command = [str(_LINTER), "--directory", str(folder), "--include_policy_extension", "json", "--json"]
    linted = subprocess.run(command, check=False, capture_output=True, text=True)
    if linted.returncode and not linted.stdout:
        raise subprocess.CalledProcessError(linted.returncode, command, linted.stdout, linted.stderr)
    found = {line for line in linted.stdout.splitlines() if line.strip()}
    return sorted(line for line in found if not any(all(part in line for part in parts) for parts in _ACCEPTED))


def main() -> None:
    """Write the policies into the folder that the command line names, and lint them."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.json"):
        old.unlink()
    for name, document in {**policies(), **documented_policies()}.items():
        (folder / f"{name}.json").write_text(json.dumps(document, indent=2))
    found = findings(folder)
    print(*found, sep="\n", end="\n" if found else "")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
