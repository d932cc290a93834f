"""An AWS account for the operator's commands: moto's server, taught what `sam deploy` and the preflight need.

moto is a second implementation of CloudFormation, beside the emulators. What it lacks is added here after AWS's
documents: the SAM transform, tags and outputs of change sets, failures with their rollback, resources that cannot be
deleted, limits of Lambda and the offers of RDS. Resources that moto does not know, and those of API Gateway, have a
name and nothing else.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest
from moto.awslambda import urls as lambda_urls
from moto.awslambda.models import LambdaBackend
from moto.awslambda.responses import LambdaResponse
from moto.cloudformation import parsing
from moto.cloudformation.models import ChangeSet as MotoChangeSet
from moto.cloudformation.models import CloudFormationBackend, Event, Stack, cloudformation_backends
from moto.cloudformation.responses import CloudFormationResponse
from moto.core.config import default_user_config
from moto.core.responses import EmptyResult
from moto.rds.models import DBInstance, DBParameterGroup, RDSBackend
from moto.stepfunctions import models as stepfunctions
from moto.stepfunctions.parser.models import stepfunctions_parser_backends
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

from tests.support import serving_aws

MICRO = "db.t4g.micro"

_class_of_type = parsing.resource_class_from_type


class RefusedError(Exception):
    """A resource that the account refuses, and why."""


@dataclass
class Account:
    """What the account allows, and what fails in it.

    Attributes
    ----------
    endpoint : str
        Where it answers.
    concurrency : int
        How many functions may run at once.
    classes : dict of str to list of str
        The classes of PostgreSQL 18 that a region offers; other regions offer `db.t4g.micro`.
    refused : dict of str to str
        Resources that cannot be created, with the reason.
    undeletable : dict of str to str
        Resources that cannot be deleted, with the reason.
    function : callable
        What every function does; it fails by a `RefusedError`. By default a migration that finds nothing to do.
    """

    endpoint: str
    concurrency: int = 1000
    classes: dict[str, list[str]] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    undeletable: dict[str, str] = field(default_factory=dict)
    function: Callable[[dict[str, Any]], dict[str, Any]] = lambda _: {"applied": [], "schema": []}

    def client(self, service: str, region: str) -> Any:
        """Return a boto3 client of the account."""
        make_client: Any = boto3.client  # its type stubs take only literal names of services
        return make_client(
            service,
            region_name=region,
            endpoint_url=self.endpoint,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )

    def set_status(self, region: str, stack: str, status: str) -> None:
        """Give a stack a status that moto does not come to by itself."""
        cloudformation_backends["123456789012"][region].get_stack(stack).status = status


@contextmanager
def serving_account(patch: pytest.MonkeyPatch) -> Iterator[Account]:
    """Serve an account on this machine."""
    with serving_aws() as address:
        # By this name moto knows where SAM puts nested templates.
        account = Account(address.replace("127.0.0.1", "localhost"))
        _teach_questions(account, patch)
        _teach_failures(account, patch)
        _teach_resources(patch)
        patch.setattr(CloudFormationBackend, "execute_change_set", _execute)
        patch.setattr(CloudFormationBackend, "delete_stack", _delete)
        patch.setattr(CloudFormationResponse, "delete_stack", _answer_deletion)
        patch.setattr(MotoChangeSet, "_parse_template", _expand)
        _teach_runs(account, patch)
        yield account


def _teach_questions(account: Account, patch: pytest.MonkeyPatch) -> None:
    def settings(_: LambdaResponse) -> str:
        limit = {"ConcurrentExecutions": account.concurrency, "UnreservedConcurrentExecutions": account.concurrency}
        return json.dumps({"AccountLimit": limit})

    def options(backend: RDSBackend, engine: str, _: str) -> list[dict[str, Any]]:
        classes = account.classes.get(backend.region_name, [MICRO])
        offered = [(version, name) for version in ("17.6", "18.1") for name in classes]
        return [{"Engine": engine, "EngineVersion": version, "DBInstanceClass": name} for version, name in offered]

    patch.setattr(LambdaResponse, "get_account_settings", settings, raising=False)
    patch.setitem(lambda_urls.url_paths, r"{0}/(?P<api_version>[^/]+)/account-settings/?$", LambdaResponse.dispatch)
    patch.setattr(RDSBackend, "describe_orderable_db_instance_options", options)


def _teach_runs(account: Account, patch: pytest.MonkeyPatch) -> None:
    """Let moto run state machines, and their functions be the account's one."""

    def invoke(_: LambdaBackend, name: str, version: str, body: str, sent: Any, response_headers: Any) -> bytes:
        try:
            answer = account.function(json.loads(body))
        except RefusedError as error:
            response_headers["x-amz-function-error"] = "Unhandled"
            answer = {"errorMessage": str(error), "errorType": "RefusedError"}
        return json.dumps(answer).encode()

    patch.setattr(LambdaBackend, "invoke", invoke)
    patch.setitem(default_user_config, "stepfunctions", {"execute_state_machine": True})
    patch.setattr(stepfunctions, "stepfunctions_backends", stepfunctions_parser_backends)
    patch.setenv("MOTO_PORT", account.endpoint.rpartition(":")[2])  # where state machines find functions


def _teach_failures(account: Account, patch: pytest.MonkeyPatch) -> None:
    create, delete = parsing.parse_and_create_resource, parsing.ResourceMap._delete_resource

    def create_or_refuse(name: str, resource: Any, resources: parsing.ResourceMap, **options: Any) -> Any:
        if name in account.refused:
            raise RefusedError(name, account.refused[name])
        return create(name, resource, resources, **options) or _stand_in(name, resource, resources)

    def delete_or_refuse(resources: parsing.ResourceMap, resource: Any, *rest: Any) -> None:
        if reason := account.undeletable.get(resource.logical_resource_id):
            raise RefusedError(resource.logical_resource_id, reason)
        # moto does not find the order in which the parts of a network go.
        if not resource.cf_resource_type.startswith("AWS::EC2::"):
            delete(resources, resource, *rest)

    patch.setattr(parsing, "parse_and_create_resource", create_or_refuse)
    patch.setattr(parsing.ResourceMap, "_delete_resource", delete_or_refuse)


class StandIn:
    """Stands for a resource of a type that moto's CloudFormation does not know."""

    def __init__(self, logical_id: str, kind: str) -> None:
        self.logical_resource_id, self.physical_resource_id, self.cf_resource_type = logical_id, logical_id, kind

    def is_created(self) -> bool:
        return True

    def delete(self, *_: str) -> None:
        pass

    def get_cfn_attribute(self, name: str) -> str:
        return f"{self.logical_resource_id}.{name}"


def _stand_in(name: str, resource: Any, resources: parsing.ResourceMap) -> StandIn | None:
    condition, kind = resource.get("Condition"), resource["Type"]
    is_wanted = not condition or resources.lazy_condition_map[condition]
    return StandIn(name, kind) if is_wanted and _known_class(kind) is None else None


def _known_class(kind: str) -> Any:
    # moto wants a name of an API that is described by a document, which AWS does not.
    return None if kind.startswith("AWS::ApiGateway::") else _class_of_type(kind)


def _teach_resources(patch: pytest.MonkeyPatch) -> None:
    """Add the attributes that moto's resources lack."""

    def tell(instance: DBInstance, name: str) -> Any:
        return instance.dbi_resource_id if name == "DbiResourceId" else known(instance, name)

    def made(stack: Stack) -> list[Any]:
        resources = stack.resource_map  # which makes what is asked for and not there
        return [resources[name] for name in resources if name in resources._parsed_resources]

    known = DBInstance.get_cfn_attribute
    patch.setattr(DBInstance, "get_cfn_attribute", tell)
    patch.setattr(DBInstance, "has_cfn_attr", classmethod(lambda *_: True))
    patch.setattr(DBParameterGroup, "physical_resource_id", property(lambda group: group.name), raising=False)
    patch.setattr(Stack, "get_cfn_attribute", _output, raising=False)
    patch.setattr(Stack, "stack_resources", property(made))
    patch.setattr(parsing, "resource_class_from_type", _known_class)


def _output(stack: Stack, attribute: str) -> str:
    """Return an output of a nested stack."""
    if attribute == "Outputs":  # moto drops the output's name inside of Fn::Sub
        return str(stack.name)
    output = stack.output_map[attribute.removeprefix("Outputs.")]
    assert output
    return str(output.value)


def _expand(change_set: MotoChangeSet) -> None:
    """Read the template of a change set and apply the SAM transform."""
    template = Stack.parse_template(change_set.template)
    if template.pop("Transform", None):
        parameters = {name: entry["Default"] for name, entry in template.get("Parameters", {}).items()}
        session = boto3.Session(region_name=change_set.stack.region_name)
        translator = Translator({}, Parser(), boto_session=session)
        template = translator.translate(template, parameter_values=parameters | change_set.parameters)
        change_set.template = json.dumps(template)
    change_set.template_dict = template


def _execute(backend: CloudFormationBackend, change_set_name: str, stack_name: str | None = None) -> None:
    change_set: Any = backend.describe_change_set(change_set_name)
    stack: Any = backend.stacks[change_set.stack_id]
    change_set.execution_status = "EXECUTE_COMPLETE"
    stack.tags = change_set.tags
    if change_set.change_set_type == "UPDATE":
        stack.update(change_set.template, parameters=change_set.parameters)
        return
    stack.parameters, stack.template = change_set.parameters, change_set.template
    stack._parse_template()
    stack.resource_map = stack._create_resource_map()
    stack.output_map = stack._create_output_map()
    stack._add_stack_event("CREATE_IN_PROGRESS", "User Initiated")
    try:
        stack.create_resources()
    except RefusedError as error:
        stack.output_map._output_json_map = {}  # moto would make again what an output refers to
        _add_event(stack, "CREATE_FAILED", error)
        stack._add_stack_event("ROLLBACK_IN_PROGRESS", f"The following resource(s) failed to create: [{error.args[0]}]")
        _delete_resources(stack, "ROLLBACK")


def _delete_resources(stack: Stack, operation: str) -> None:
    if operation == "DELETE":
        # As Retain, but where the creation itself is taken back:
        # https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-attribute-deletionpolicy.html
        for entry in stack.resource_map._resource_json_map.values():
            if entry.get("DeletionPolicy") == "RetainExceptOnCreate":
                entry["DeletionPolicy"] = "Retain"
    try:
        stack.resource_map.delete()
    except RefusedError as error:
        _add_event(stack, "DELETE_FAILED", error)
        stack.status = f"{operation}_FAILED"
    else:
        stack.status = f"{operation}_COMPLETE"
    stack._add_stack_event(stack.status)


def _add_event(stack: Stack, status: str, error: RefusedError) -> None:
    name, reason = error.args
    kind = stack.template_dict["Resources"][name]["Type"]
    event: Any = Event(stack.stack_id, stack.name, name, f"{stack.name}-{name}", kind, status, reason, None)
    stack.events.append(event)


def _answer_deletion(response: CloudFormationResponse) -> EmptyResult:
    backend: Any = response.cloudformation_backend
    backend.delete_stack(response._get_param("StackName"), response._get_param("RetainResources", []))
    return EmptyResult()


def _delete(backend: CloudFormationBackend, name_or_stack_id: str, retained: list[str] | tuple[()] = ()) -> None:
    stack = backend.get_stack(name_or_stack_id)
    for name in retained:
        stack.template_dict["Resources"][name]["DeletionPolicy"] = "Retain"
    stack._add_stack_event("DELETE_IN_PROGRESS", "User Initiated")
    _delete_resources(stack, "DELETE")
    if stack.status == "DELETE_COMPLETE":
        backend.deleted_stacks[stack.stack_id] = backend.stacks.pop(stack.stack_id)
