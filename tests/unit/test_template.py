"""The templates, as SAM makes them: what AWS would only say at deployment, or never."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest

from functions.common.ranking import Ranking
from functions.refresh.results import Summary
from functions.refresh.settings import PLANS_PREFIX, REJECTED_PREFIX, REPORTS_PREFIX
from functions.refresh.usecases.backlog import read_step
from functions.refresh.usecases.deadline import PUBLISHING_SECONDS
from functions.refresh.usecases.events import Trigger, read_event
from infra.checks.policies import policies
from infra.checks.transform import NESTED, TEMPLATE, read_template, transform
from infra.packaging.build import DEFAULT_ARCHITECTURE, DEFAULT_RUNTIME

Template = dict[str, Any]

# What an instance of the default class takes, and API Gateway's own limit on an answer.
CONNECTIONS_OF_THE_DATABASE = 80
API_GATEWAY_SECONDS = 29

# A statement that denies, or that lets API Gateway or EventBridge in, may say "everyone" and "everything".
MANAGED_POLICIES = {
    # Logs, and the network interfaces of a function in a VPC: both ask for "*", neither reads data.
    "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole",
    "arn:aws:iam::aws:policy/service-role/AWSLambdaVPCAccessExecutionRole",
    "arn:${AWS::Partition}:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs",
}


@pytest.fixture(scope="module")
def written() -> Template:
    return read_template(TEMPLATE)


@pytest.fixture(scope="module")
def transformed(written: Template) -> Template:
    return transform(written, {})


@pytest.fixture(scope="module")
def every_template(transformed: Template) -> dict[str, Template]:
    return {"template.yaml": transformed, **{path.name: read_template(path) for path in NESTED}}


def of_type(template: Template, kind: str) -> dict[str, Any]:
    return {name: entry for name, entry in template["Resources"].items() if entry["Type"] == kind}


def properties_of(template: Template, kind: str) -> dict[str, Any]:
    return {name: entry["Properties"] for name, entry in of_type(template, kind).items()}


def parts(value: Any) -> Iterator[Any]:
    """Walk through everything in a template, whatever branch of a condition it stands in."""
    yield value
    if isinstance(value, dict):
        for entry in value.values():
            yield from parts(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from parts(entry)


def statements(template: Template) -> Iterator[dict[str, Any]]:
    for part in parts(template):
        if isinstance(part, dict) and "Effect" in part and "Action" in part:
            yield part


def test_the_routes_of_the_app_are_the_paths_of_the_api(transformed: Template) -> None:
    import app as lookup

    paths = transformed["Resources"]["LookupApi"]["Properties"]["Body"]["paths"]
    routes = {(path, method) for path, views in lookup.app.routes.items() for method in views}
    assert routes == {(path, method.upper()) for path, methods in paths.items() for method in methods}


def test_every_path_invokes_the_function_and_the_stage_may(transformed: Template) -> None:
    paths = transformed["Resources"]["LookupApi"]["Properties"]["Body"]["paths"]
    invoked = [entry["x-amazon-apigateway-integration"] for methods in paths.values() for entry in methods.values()]
    assert all(entry == invoked[0] for entry in invoked)
    assert (invoked[0]["type"], invoked[0]["httpMethod"]) == ("aws_proxy", "POST")
    assert "functions/${LookupFunction.Arn}/invocations" in invoked[0]["uri"]["Fn::Sub"]
    # API Gateway may invoke it for the one stage only
    permissions = properties_of(transformed, "AWS::Lambda::Permission").values()
    [permission] = [entry for entry in permissions if entry["FunctionName"] == {"Ref": "LookupFunction"}]
    assert permission["Principal"] == "apigateway.amazonaws.com"
    assert permission["SourceArn"]["Fn::Sub"].endswith(":${LookupApi}/v1/*")


def test_only_the_index_answers_unsigned_requests(transformed: Template) -> None:
    assert transformed["Parameters"]["ApiAuthorization"]["Default"] == "AWS_IAM"
    asked = {
        "Fn::If": ["OnlySignedRequests", [{"SignedRequest": []}], {"Fn::If": ["OnlyWithKey", [{"api_key": []}], []]}]
    }
    paths = transformed["Resources"]["LookupApi"]["Properties"]["Body"]["paths"]
    security = {
        (path, method): entry["security"] for path, methods in paths.items() for method, entry in methods.items()
    }
    unsigned = {route: asks for route, asks in security.items() if asks != asked}
    assert unsigned == {("/", "get"): [], ("/", "head"): []}


def test_the_api_is_regional_throttled_logged_and_deployed_at_every_change(
    written: Template, transformed: Template
) -> None:
    api = transformed["Resources"]["LookupApi"]["Properties"]
    assert api["EndpointConfiguration"] == {"Types": ["REGIONAL"]}
    [stage] = properties_of(transformed, "AWS::ApiGateway::Stage").values()
    # And a deployment makes no stage beside it
    [deployment] = properties_of(transformed, "AWS::ApiGateway::Deployment").values()
    assert "StageName" not in deployment
    [setting] = stage["MethodSettings"]
    assert (setting["ResourcePath"], setting["HttpMethod"]) == ("/*", "*")
    assert setting["ThrottlingRateLimit"] == {"Ref": "ApiRate"}
    logged = json.loads(stage["AccessLogSetting"]["Format"])
    assert {"request_id", "status", "latency_ms"} <= set(logged)
    assert "querystring" not in stage["AccessLogSetting"]["Format"]
    assert written["Resources"]["LookupApi"]["Properties"]["AlwaysDeploy"] is True


def test_no_policy_allows_every_action_or_every_resource(every_template: dict[str, Template]) -> None:
    found = {}
    for name, template in every_template.items():
        for statement in statements(template):
            if statement["Effect"] == "Deny":
                continue
            assert "*" not in json.dumps(statement["Action"]), statement
            if statement.get("Resource") == "*":
                found[name] = statement
            if statement.get("Principal") == "*":
                # Who may ask is decided by the route's own authorization; what may be asked through the endpoint is
                # bounded by the resource.
                actions = ("execute-api:Invoke", ["s3:GetObject", "s3:ListBucket"], "s3:PutObject")
                assert statement["Action"] in actions, statement
    assert found == {}


def test_rejected_rows_reports_and_plans_are_all_that_may_be_written_to_the_bucket_and_they_expire(
    every_template: dict[str, Template],
) -> None:
    # Given the prefixes that the function writes to
    template = every_template["template.yaml"]
    prefixes = [REJECTED_PREFIX, REPORTS_PREFIX, PLANS_PREFIX]
    # Then its role and the network let it write there, and nowhere else
    for name, bucket in (("template.yaml", "VoucherBucket.Arn"), ("network.yaml", "BucketArn")):
        writing = [entry["Resource"] for entry in statements(every_template[name]) if "s3:PutObject" in entry["Action"]]
        allowed = [place for resource in writing for place in (resource if isinstance(resource, list) else [resource])]
        assert allowed == [{"Fn::Sub": f"${{{bucket}}}/{prefix}*"} for prefix in prefixes]
    # And what lies there goes by itself
    [bucket_properties] = properties_of(template, "AWS::S3::Bucket").values()
    rules = bucket_properties["LifecycleConfiguration"]["Rules"]
    kept = {rule["Prefix"]: rule["ExpirationInDays"] for rule in rules if "Prefix" in rule}
    assert kept == dict(zip(prefixes, (90, 365, 14), strict=True))


def test_every_policy_is_handed_to_the_linter_as_iam_gets_it(every_template: dict[str, Template]) -> None:
    # Given the statements of all templates
    written = [entry["Sid"] for template in every_template.values() for entry in statements(template) if "Sid" in entry]
    # When they are filled in as CloudFormation does
    documents = policies()
    # Then none is missing, and nothing is left to be filled in
    found = [entry.get("Sid") for document in documents.values() for entry in document["Statement"]]
    assert sorted(filter(None, found)) == sorted(written)
    text = json.dumps(documents)
    assert [word for word in ("Fn::", '"Ref"', "${", "null") if word in text] == []
    assert "arn:aws:s3:::bucket/vouchers/*" in text
    assert "arn:aws:rds-db:us-east-1:123456789012:dbuser:db-ABCDEFGHIJKLMNOPQRSTUVWXYZ/voucher_reader" in text


def test_no_role_has_managed_policies_beyond_those_for_logs_and_network(transformed: Template) -> None:
    roles = properties_of(transformed, "AWS::IAM::Role").values()
    managed = [policy for role in roles for policy in role.get("ManagedPolicyArns", [])]
    names = {policy["Fn::Sub"] if isinstance(policy, dict) else policy for policy in managed}
    assert names == MANAGED_POLICIES


@pytest.mark.parametrize(
    ("function", "user", "secret"),
    [
        ("LookupFunction", "voucher_reader", "DatabaseReaderSecret"),
        ("RefreshFunction", "voucher_writer", "DatabaseWriterSecret"),
        ("MigrateFunction", "${DatabaseUser}", "DatabaseSecret"),
    ],
)
def test_every_function_signs_in_as_its_own_user_and_only_as_that(
    transformed: Template, function: str, user: str, secret: str
) -> None:
    variables = transformed["Resources"][function]["Properties"]["Environment"]["Variables"]
    assert variables["DATABASE_USER"] == ({"Ref": user[2:-1]} if user.startswith("$") else user)
    assert variables["DATABASE_SECRET"] == {"Ref": secret}
    role = transformed["Resources"][f"{function}Role"]["Properties"]["Policies"]
    allowed = [
        entry for entry in statements(role) if entry.get("Sid") in ("SignInToTheDatabase", "ReadTheDatabasePassword")
    ]
    assert [entry["Action"] for entry in allowed] == ["rds-db:connect", "secretsmanager:GetSecretValue"]
    assert allowed[0]["Resource"]["Fn::Sub"][0].endswith(f"/{user}")
    assert allowed[1]["Resource"] == {"Ref": secret}
    # And but for the refresh function, that is all that they may
    if function != "RefreshFunction":
        assert len(list(statements(role))) == 2


def test_no_secret_stands_in_plain_text(every_template: dict[str, Template]) -> None:
    for template in every_template.values():
        for name, parameter in template.get("Parameters", {}).items():
            assert "password" not in name.lower()
            assert not name.endswith("Secret") or parameter["Default"] == ""
        for part in parts(template["Resources"]):
            keys = [key.lower() for key in part] if isinstance(part, dict) else []
            assert not {"masteruserpassword", "secretstring", "database_password"} & set(keys)
    assert of_type(every_template["database.yaml"], "AWS::RDS::DBInstance")


def test_every_function_that_is_invoked_without_waiting_has_a_failure_destination(
    transformed: Template, every_template: dict[str, Template]
) -> None:
    # Given the rules, each of which may invoke the refresh function, and no other
    rules = properties_of(every_template["events.yaml"], "AWS::Events::Rule")
    permissions = properties_of(every_template["events.yaml"], "AWS::Lambda::Permission").values()
    assert {entry["SourceArn"]["Fn::GetAtt"][0] for entry in permissions} == set(rules)
    assert all(entry["FunctionName"] == {"Ref": "RefreshFunction"} for entry in permissions)
    targets = [target for rule in rules.values() for target in rule["Targets"]]
    assert all(target["Arn"] == {"Ref": "RefreshFunction"} for target in targets)
    given = transformed["Resources"]["Events"]["Properties"]["Parameters"]
    invoked = {given["RefreshFunction"]["Fn::GetAtt"][0]}
    # Then what it fails on, and what cannot be delivered to it, is kept
    configs = properties_of(transformed, "AWS::Lambda::EventInvokeConfig").values()
    queues = {
        config["FunctionName"]["Ref"]: config["DestinationConfig"]["OnFailure"]["Destination"] for config in configs
    }
    queue = {"Fn::GetAtt": ["RefreshFailures", "Arn"]}
    assert queues == dict.fromkeys(invoked, queue)
    assert given["FailureQueue"] == queue
    assert all(target["DeadLetterConfig"]["Arn"] == {"Ref": "FailureQueue"} for target in targets)


def test_every_rule_and_no_other_may_write_to_the_failure_queue(every_template: dict[str, Template]) -> None:
    # Given every rule of the stack, and how it is referred to
    events, backlog = every_template["events.yaml"], every_template["backlog.yaml"]
    rules = [{"Fn::GetAtt": [name, "Arn"]} for name in of_type(events, "AWS::Events::Rule")]
    [found] = of_type(backlog, "AWS::Events::Rule")
    assert backlog["Outputs"]["FoundRule"]["Value"] == {"Fn::GetAtt": [found, "Arn"]}
    given = every_template["template.yaml"]["Resources"]["Events"]["Properties"]["Parameters"]
    assert given["BacklogRule"] == {"Fn::GetAtt": ["Backlog", "Outputs.FoundRule"]}
    assert sum(len(of_type(template, "AWS::Events::Rule")) for template in every_template.values()) == len(rules) + 1
    # Then the queue names them, and not their names, which CloudFormation shortens
    [policy] = properties_of(events, "AWS::SQS::QueuePolicy").values()
    [allowed] = [entry for entry in statements(policy) if entry["Effect"] == "Allow"]
    assert allowed["Condition"] == {"ArnEquals": {"aws:SourceArn": [*rules, {"Ref": "BacklogRule"}]}}


def test_the_result_of_a_refresh_is_sent_to_the_event_bus(transformed: Template) -> None:
    [config] = properties_of(transformed, "AWS::Lambda::EventInvokeConfig").values()
    assert config["DestinationConfig"]["OnSuccess"]["Destination"]["Fn::Sub"].endswith(":event-bus/default")


def test_a_run_that_deferred_objects_starts_the_next_one_by_its_own_result(every_template: dict[str, Template]) -> None:
    # Given the rule on results, which are those of every function of the account
    rules = properties_of(every_template["events.yaml"], "AWS::Events::Rule").values()
    [rule] = [rule for rule in rules if rule.get("EventPattern", {}).get("source") == ["lambda"]]
    # Then it takes those of this function that say that something is left
    assert rule["EventPattern"]["resources"] == [{"prefix": {"Ref": "RefreshFunction"}}]
    assert rule["EventPattern"]["detail"] == {"responsePayload": {"next_step": ["unfinished"]}}
    # And what it sends is an event that the function reads
    [target] = rule["Targets"]
    assert target["Arn"] == {"Ref": "RefreshFunction"}
    assert sent_by(target) == Trigger("unfinished", date(2020, 12, 22))


@pytest.mark.parametrize(
    ("deferred", "backlog_bytes", "next_step"),
    [
        (0, 0, "none"),
        (3, 0, "unfinished"),
        (3, 1, "backlog"),
        (3, 6 * 10**12, "backlog"),  # EventBridge compares numbers within 5.0e9 only
    ],
)
def test_every_result_is_taken_by_the_rule_that_it_is_for(deferred: int, backlog_bytes: int, next_step: str) -> None:
    summary = Summary(
        refresh_id=1, trigger="daily", as_of=date(2020, 12, 22), countries=["Peru"], started_at=datetime.now(UTC),
        objects_deferred=deferred, backlog_bytes=backlog_bytes,
    )  # fmt: skip
    answer = summary.answer()
    assert answer.next_step == next_step
    # And it is small, however many countries there are
    summary.rankings = [Ranking(f"Country {number}", "recency_segment", "180+", [2640], 1, 1) for number in range(9999)]
    assert len(msgspec.json.encode(summary.answer())) < 1100
    assert summary.answer().segments_published == 9999


def test_no_rule_compares_numbers_or_booleans(every_template: dict[str, Template]) -> None:
    rules = [
        rule for template in every_template.values() for rule in properties_of(template, "AWS::Events::Rule").values()
    ]
    compared = [part for rule in rules for part in parts(rule.get("EventPattern")) if not isinstance(part, dict | list)]
    assert "unfinished" in compared
    assert all(part is None or isinstance(part, str) for part in compared)


def sent_by(target: dict[str, Any]) -> Trigger:
    """Read what the target of a rule is sent."""
    made = target["InputTransformer"]["InputTemplate"]
    for name, path in target["InputTransformer"]["InputPathsMap"].items():
        assert path == f"$.{name}"
        made = made.replace(f"<{name}>", json.dumps("2020-12-22T00:29:07Z"))
    return read_event(json.loads(made), bucket="b", prefix="vouchers/", now=datetime.now(UTC))


def test_a_run_that_finds_a_backlog_starts_the_state_machine_by_its_own_result(
    every_template: dict[str, Template],
) -> None:
    # Given the rule on results
    [rule] = properties_of(every_template["backlog.yaml"], "AWS::Events::Rule").values()
    # Then it takes those of this function that the rule on unfinished runs does not take
    assert rule["EventPattern"]["resources"] == [{"prefix": {"Ref": "RefreshFunction"}}]
    assert rule["EventPattern"]["detail"] == {"responsePayload": {"next_step": ["backlog"]}}
    # And starts the state machine with an event that the steps read, and an undelivered one is kept
    [target] = rule["Targets"]
    assert target["Arn"] == {"Ref": "StateMachine"}
    assert target["DeadLetterConfig"]["Arn"] == {"Ref": "FailureQueue"}
    assert sent_by(target) == Trigger("backlog", date(2020, 12, 22))


@pytest.fixture(scope="module")
def states(every_template: dict[str, Template]) -> dict[str, Any]:
    """Return the states of the state machine, as CloudFormation fills its definition in."""
    given = every_template["template.yaml"]["Parameters"]
    text = every_template["backlog.yaml"]["Resources"]["StateMachine"]["Properties"]["DefinitionString"]["Fn::Sub"]
    for name, parameter in (("Concurrency", "BacklogConcurrency"), ("ToleratedFailures", "BacklogToleratedFailures")):
        text = text.replace(f"${{{name}}}", str(given[parameter]["Default"]))
    definition = json.loads(text)
    assert definition["TimeoutSeconds"] <= timedelta(days=7).total_seconds()  # as long as parts are kept
    states: dict[str, Any] = definition["States"]
    return states


def test_every_step_of_a_backlog_is_read_and_tried_again_within_bounds(
    every_template: dict[str, Template], states: dict[str, Any]
) -> None:
    # Given the states that invoke the function
    tasks = {**states, **states["Count"]["ItemProcessor"]["States"]}
    taken = {name: state for name, state in tasks.items() if state.get("Resource", "").endswith(":lambda:invoke")}
    assert set(taken) == {"Plan", "CountItem", "Publish"}
    item = {"objects": [["vouchers/a.parquet", ['"etag"', 1], 0]]}
    timeout = every_template["template.yaml"]["Resources"]["RefreshFunction"]["Properties"]["Timeout"]
    for state in taken.values():
        # Then what they send is a step
        payload = {"event": {}, "item": item, "since": "2020-12-22T00:29:07Z"}
        names = {name.removesuffix(".$") for name in state["Parameters"]["Payload"]}
        sent = {name: state["Parameters"]["Payload"].get(name, payload.get(name)) for name in names}
        assert read_step(sent)
        # And they wait as long as the function may run, and give up after a bounded number of tries
        assert state["TimeoutSeconds"] > timeout
        throttled, other = state["Retry"]
        assert throttled["ErrorEquals"] == ["Lambda.TooManyRequestsException"]
        assert (throttled["MaxAttempts"], throttled["MaxDelaySeconds"]) == (60, 60)
        assert (other["ErrorEquals"], other["MaxAttempts"]) == (["States.ALL"], 2)


def test_a_backlog_leaves_room_for_other_refreshes_and_ends_with_a_publication(
    transformed: Template, states: dict[str, Any]
) -> None:
    assert transformed["Parameters"]["RefreshConcurrency"]["Default"] == 0  # reserves nothing, so bounds nothing
    assert states["Count"]["MaxConcurrency"] == 4  # of the 5 that `make deploy` reserves where the account lets it
    # Whatever becomes of the items, what is counted is published
    assert states["Count"]["Next"] == "Publish"
    assert [catcher["Next"] for catcher in states["Count"]["Catch"]] == ["Publish"]
    # An item of a list is taken only where the list holds one
    [choice] = states["IsAnyListed"]["Choices"]
    assert choice == {"Variable": "$.running.length", "NumericGreaterThan": 0, "Next": "FindOldest"}
    assert [name for name, state in states.items() if "ArrayGetItem" in json.dumps(state)] == ["FindOldest"]
    # And whatever is not as it should be ends as failed
    ends = {name for name, state in states.items() if state["Type"] == "Fail"}
    chosen = {choice["Next"] for choice in states["IsAllDone"]["Choices"]}
    assert chosen == ends | {"Again"}


def test_a_refresh_has_much_more_time_than_it_keeps_for_publishing(transformed: Template) -> None:
    assert transformed["Resources"]["RefreshFunction"]["Properties"]["Timeout"] >= 10 * PUBLISHING_SECONDS


def test_every_function_keeps_its_logs_for_a_set_time(transformed: Template) -> None:
    groups = properties_of(transformed, "AWS::Logs::LogGroup")
    assert all(group["RetentionInDays"] == {"Ref": "LogRetentionDays"} for group in groups.values())
    functions = properties_of(transformed, "AWS::Lambda::Function")
    assert functions
    assert {properties["LoggingConfig"]["LogGroup"]["Ref"] for properties in functions.values()} <= set(groups)


def test_the_api_answers_before_api_gateway_gives_up(transformed: Template) -> None:
    assert transformed["Resources"]["LookupFunction"]["Properties"]["Timeout"] < API_GATEWAY_SECONDS


def test_the_alarm_on_duration_stands_before_the_timeout(every_template: dict[str, Template]) -> None:
    timeout = every_template["template.yaml"]["Resources"]["RefreshFunction"]["Properties"]["Timeout"]
    alarm = every_template["monitoring.yaml"]["Resources"]["RefreshNearTimeout"]["Properties"]
    assert alarm["Threshold"] == 0.8 * timeout * 1000


def test_nothing_is_reserved_by_default_and_the_database_bears_the_connections_all_the_same(
    every_template: dict[str, Template],
) -> None:
    # Given an account that takes no reservation
    template = every_template["template.yaml"]
    default = {name: parameter.get("Default") for name, parameter in template["Parameters"].items()}
    for name, parameter in (("RefreshFunction", "RefreshConcurrency"), ("LookupFunction", "LookupConcurrency")):
        assert template["Resources"][name]["Properties"]["ReservedConcurrentExecutions"]["Fn::If"][1:] == [
            {"Ref": parameter}, {"Ref": "AWS::NoValue"},
        ]  # fmt: skip
        assert default[parameter] == 0
    # Then requests that are taken at once, items of a backlog and one more refresh hold a connection each
    connections = default["ApiBurst"] + default["BacklogConcurrency"] + 1
    alarm = every_template["monitoring.yaml"]["Resources"]["DatabaseConnectionsHigh"]["Properties"]["Threshold"]
    assert connections < alarm < CONNECTIONS_OF_THE_DATABASE


def test_there_is_a_rule_for_each_kind_of_event(every_template: dict[str, Template]) -> None:
    rules = properties_of(every_template["events.yaml"], "AWS::Events::Rule").values()
    kinds = {kind for rule in rules for kind in rule.get("EventPattern", {}).get("detail-type", [])}
    assert kinds == {"Object Created", "Object Deleted", "Lambda Function Invocation Result - Success"}
    assert [rule["ScheduleExpression"] for rule in rules if "ScheduleExpression" in rule] == [{"Ref": "DailyRefresh"}]


def test_the_database_is_private_encrypted_kept_and_without_a_password(every_template: dict[str, Template]) -> None:
    database = every_template["database.yaml"]["Resources"]["Database"]
    assert (database["DeletionPolicy"], database["UpdateReplacePolicy"]) == ("Snapshot", "Snapshot")
    properties = database["Properties"]
    assert properties["MasterUserAuthenticationType"] == "iam-db-auth"
    assert (properties["PubliclyAccessible"], properties["StorageEncrypted"]) == (False, True)
    assert every_template["database.yaml"]["Resources"]["Settings"]["Properties"]["Parameters"]["rds.force_ssl"] == "1"


def test_a_first_deployment_can_be_rolled_back_and_leaves_no_bucket(every_template: dict[str, Template]) -> None:
    # Given the defaults, which an account on the free plan takes
    template = every_template["template.yaml"]
    parameters = template["Parameters"]
    assert (parameters["DatabaseBackupDays"]["Default"], parameters["DatabaseDeletionProtection"]["Default"]) == (
        1,
        "false",
    )
    # Then only the role that the account's API Gateway logs with is kept, whatever happened
    policies = {
        name: entry["DeletionPolicy"] for name, entry in template["Resources"].items() if "DeletionPolicy" in entry
    }
    kept = {name for name, policy in policies.items() if policy == "Retain"}
    assert kept == {"ApiLogRoleOfAccount", "ApiLogAccount"}
    # And the bucket and what guards it are kept from the first success on, by a deletion as by a replacement
    for name in ("VoucherBucket", "VoucherBucketPolicy"):
        assert policies[name] == "RetainExceptOnCreate"
        assert template["Resources"][name]["UpdateReplacePolicy"] == "Retain"


def test_the_network_has_no_way_out_but_to_s3(every_template: dict[str, Template]) -> None:
    kinds = {resource["Type"] for resource in every_template["network.yaml"]["Resources"].values()}
    assert not kinds & {"AWS::EC2::InternetGateway", "AWS::EC2::NatGateway", "AWS::EC2::Route"}
    [endpoint] = properties_of(every_template["network.yaml"], "AWS::EC2::VPCEndpoint").values()
    assert endpoint["VpcEndpointType"] == "Gateway"
    assert endpoint["ServiceName"]["Fn::Sub"].endswith(".s3")


def test_the_parts_of_the_stack_get_the_parameters_that_they_ask_for(every_template: dict[str, Template]) -> None:
    nested = {
        ("template.yaml", "Database"): "database.yaml",
        ("template.yaml", "Monitoring"): "monitoring.yaml",
        ("template.yaml", "Backlog"): "backlog.yaml",
        ("template.yaml", "Manual"): "manual.yaml",
        ("template.yaml", "Events"): "events.yaml",
        ("database.yaml", "Network"): "network.yaml",
    }
    found = {
        (file, name): stack["Properties"]["Parameters"]
        for file, template in every_template.items()
        for name, stack in of_type(template, "AWS::CloudFormation::Stack").items()
    }
    assert set(found) == set(nested)
    for (file, name), given in found.items():
        part = every_template[nested[file, name]]
        assert set(given) == set(part["Parameters"])
        text = json.dumps(every_template[file])
        for output in part.get("Outputs", {}):
            assert f'["{name}", "Outputs.{output}"]' in text or f"${{{name}.Outputs.{output}}}" in text, output


def test_a_parameter_that_must_come_with_another_is_asked_for(transformed: Template) -> None:
    asserted = [entry["Assert"] for rule in transformed["Rules"].values() for entry in rule["Assertions"]]
    names = {part["Ref"] for part in parts(asserted) if isinstance(part, dict) and "Ref" in part}
    secrets = {"DatabaseSecret", "DatabaseWriterSecret", "DatabaseReaderSecret"}
    assert names == {"DatabaseResourceId", "DatabaseHost", "DatabaseTls", "Prefix", *secrets}


def test_a_prefix_that_covers_what_the_function_writes_is_refused_at_deployment(transformed: Template) -> None:
    [assertion] = transformed["Rules"]["PrefixIsForTheDatasetOnly"]["Assertions"]
    refused, prefix = assertion["Assert"]["Fn::Not"][0]["Fn::Contains"]
    written = (REJECTED_PREFIX, REPORTS_PREFIX, PLANS_PREFIX)
    assert set(refused) == {name[:length] for name in written for length in range(1, len(name) + 1)}
    assert prefix == {"Ref": "Prefix"}


def test_python_311_is_refused_where_the_certificate_is_verified(transformed: Template) -> None:
    rule = transformed["Rules"]["Python311OnThisMachineOnly"]
    assert rule["RuleCondition"] == {"Fn::Equals": [{"Ref": "Runtime"}, "python3.11"]}
    assert [entry["Assert"] for entry in rule["Assertions"]] == [{"Fn::Equals": [{"Ref": "DatabaseTls"}, "off"]}]
    assert transformed["Parameters"]["DatabaseTls"]["Default"] == "verify"


@pytest.mark.parametrize("with_database", [True, False], ids=["own database", "given database"])
def test_the_dashboard_is_json_and_shows_every_alarm(
    every_template: dict[str, Template], *, with_database: bool
) -> None:
    # Given the body as CloudFormation would fill it in
    monitoring = every_template["monitoring.yaml"]
    body = filled_in(monitoring["Resources"]["Dashboard"]["Properties"]["DashboardBody"], with_database=with_database)
    # When it is read
    widgets = json.loads(body)["widgets"]
    # Then every alarm is on it, and no widget covers another
    alarms = [name for widget in widgets if widget["type"] == "alarm" for name in widget["properties"]["alarms"]]
    expected = {
        name
        for name, alarm in of_type(monitoring, "AWS::CloudWatch::Alarm").items()
        if with_database or "Condition" not in alarm
    }
    assert set(alarms) == {f"{name}.Arn" for name in expected}
    cells = [
        (x, y)
        for widget in widgets
        for x in range(widget["x"], widget["x"] + widget["width"])
        for y in range(widget["y"], widget["y"] + widget["height"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


def test_searches_quote_every_name_that_is_not_alphanumeric(every_template: dict[str, Template]) -> None:
    # Given the searches of a stack called as README.md has it
    body = filled_in(
        every_template["monitoring.yaml"]["Resources"]["Dashboard"]["Properties"]["DashboardBody"], with_database=True
    ).replace("Namespace", "voucher-segmenter")
    searches = re.findall(r"SEARCH\('\{(.+?)\}", json.dumps(json.loads(body)))
    # Then CloudWatch reads each as a namespace and its dimensions
    assert len(searches) == 2
    for search in searches:
        names = json.loads(f'"{search}"').split(",")
        assert names[:2] == ['"voucher-segmenter"', '"service"']
        assert all(re.fullmatch(r'"[^"]+"|[A-Za-z0-9]+', name) for name in names)


def test_a_dashboard_is_named_after_its_region_too(every_template: dict[str, Template]) -> None:
    name = every_template["monitoring.yaml"]["Resources"]["Dashboard"]["Properties"]["DashboardName"]
    assert name == {"Fn::Sub": "${Namespace}-${AWS::Region}"}


def test_numbers_that_cloudformation_would_write_with_an_exponent_are_text(written: Template) -> None:
    defaults = [parameter["Default"] for parameter in written["Parameters"].values() if "Default" in parameter]
    assert "10737418240" in defaults
    assert [number for number in defaults if isinstance(number, int) and number >= 10**9] == []


def filled_in(value: Any, *, with_database: bool) -> str:
    """Fill a text in as CloudFormation does, every reference by its own name."""
    if isinstance(value, str):
        return value
    [(function, argument)] = value.items()
    if function == "Fn::If":
        return filled_in(argument[1 if with_database else 2], with_database=with_database)
    if function == "Fn::Join":
        filled = [filled_in(entry, with_database=with_database) for entry in argument[1]]
        return str(argument[0]).join(entry for entry in filled if entry != "AWS::NoValue")
    if function == "Ref":
        return str(argument)
    assert function == "Fn::Sub"
    text, names = argument if isinstance(argument, list) else (argument, {})
    for name, entry in names.items():
        text = text.replace(f"${{{name}}}", filled_in(entry, with_database=with_database))
    return re.sub(r"\$\{([^}]+)\}", r"\1", text)


def test_the_build_and_the_template_have_the_same_defaults(transformed: Template) -> None:
    assert transformed["Parameters"]["Runtime"]["Default"] == DEFAULT_RUNTIME
    assert transformed["Parameters"]["Architecture"]["Default"] == DEFAULT_ARCHITECTURE
