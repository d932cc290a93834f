"""The template: what AWS would only say at deployment, or never."""

from typing import Any

import pytest
import yaml

from infra.packaging.build import DEFAULT_ARCHITECTURE, DEFAULT_RUNTIME
from tests.support import ROOT


class _Tags(yaml.SafeLoader):
    """Reads CloudFormation's short tags as what they stand for."""


def _tag(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return {suffix: loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {suffix: loader.construct_sequence(node, deep=True)}
    raise AssertionError(node)


_Tags.add_multi_constructor("!", _tag)


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    return yaml.load((ROOT / "template.yaml").read_text(), _Tags)  # type: ignore[no-any-return]  # noqa: S506


@pytest.fixture(scope="module")
def functions(template: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        name: resource["Properties"]
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::Serverless::Function"
    }


def test_the_routes_of_the_app_are_the_events_of_the_template(functions: dict[str, dict[str, Any]]) -> None:
    import app as lookup

    events = [event["Properties"] for event in functions["LookupFunction"]["Events"].values()]
    served = {(path, method) for path, views in lookup.app.routes.items() for method in views}
    assert {(event["Path"], event["Method"]) for event in events} == served


def test_only_the_index_answers_unsigned_requests(
    template: dict[str, Any], functions: dict[str, dict[str, Any]]
) -> None:
    assert template["Parameters"]["ApiAuthorization"]["Default"] == "AWS_IAM"
    signed = {"If": ["OnlySignedRequests", [{"SignedRequest": []}], []]}
    paths = template["Resources"]["LookupApi"]["Properties"]["DefinitionBody"]["paths"]
    secured = {
        (path, method.upper()): entry["security"]
        for path, methods in paths.items()
        for method, entry in methods.items()
    }
    events = [event["Properties"] for event in functions["LookupFunction"]["Events"].values()]
    assert set(secured) == {(event["Path"], event["Method"]) for event in events}
    unsigned = {route: security for route, security in secured.items() if security != signed}
    assert unsigned == {("/", "GET"): [], ("/", "HEAD"): []}


def test_no_policy_allows_every_action_or_every_resource(functions: dict[str, dict[str, Any]]) -> None:
    for properties in functions.values():
        for policy in properties["Policies"]:
            for entry in policy["Statement"]:
                statements = entry["If"][1:] if "If" in entry else [entry]
                for statement in statements:
                    assert "*" not in str(statement["Action"])
                    assert statement["Resource"] != "*"


def test_the_api_can_sign_in_as_its_own_user_only(functions: dict[str, dict[str, Any]]) -> None:
    lookup = functions["LookupFunction"]
    variables = lookup["Environment"]["Variables"]
    assert variables["DATABASE_USER"] == "voucher_reader"
    assert variables["DATABASE_SECRET"] == {"Ref": "DatabaseReaderSecret"}
    [statement] = lookup["Policies"][0]["Statement"]
    _, with_secret, with_iam = statement["If"]
    assert with_secret["Resource"] == {"Ref": "DatabaseReaderSecret"}
    assert with_iam["Resource"]["Sub"].endswith("/voucher_reader")


def test_every_function_keeps_its_logs_for_a_set_time(
    template: dict[str, Any], functions: dict[str, dict[str, Any]]
) -> None:
    for properties in functions.values():
        group = template["Resources"][properties["LoggingConfig"]["LogGroup"]["Ref"]]
        assert group["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"}


def test_a_refresh_that_fails_for_good_is_kept(functions: dict[str, dict[str, Any]]) -> None:
    config = functions["RefreshFunction"]["EventInvokeConfig"]
    assert config["DestinationConfig"]["OnFailure"]["Destination"] == {"GetAtt": "RefreshFailures.Arn"}


def test_there_is_a_rule_for_each_kind_of_event(functions: dict[str, dict[str, Any]]) -> None:
    events = functions["RefreshFunction"]["Events"]
    kinds = {
        detail_type
        for event in events.values()
        for detail_type in event["Properties"].get("Pattern", {}).get("detail-type", [])
    }
    assert kinds == {"Object Created", "Object Deleted"}
    assert [name for name, event in events.items() if event["Type"] == "Schedule"] == ["Daily"]


def test_the_build_and_the_template_have_the_same_defaults(template: dict[str, Any]) -> None:
    assert template["Parameters"]["Runtime"]["Default"] == DEFAULT_RUNTIME
    assert template["Parameters"]["Architecture"]["Default"] == DEFAULT_ARCHITECTURE


def test_no_parameter_has_a_secret_for_a_default(template: dict[str, Any]) -> None:
    assert template["Parameters"]["DatabaseSecret"]["Default"] == ""
    assert not [name for name in template["Parameters"] if "password" in name.lower()]
