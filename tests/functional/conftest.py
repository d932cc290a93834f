"""Fixtures of the functional tests: the real code on a real PostgreSQL, with S3 and Secrets Manager by moto."""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from moto import mock_aws
from pg8000.native import Connection
from playwright.sync_api import Browser

from functions.common.database import Database
from functions.common.settings import DatabaseSettings, load_settings
from functions.refresh.results import Summary
from functions.refresh.settings import RefreshSettings
from functions.refresh.usecases.backlog import Backlog
from functions.refresh.usecases.deadline import Deadline
from functions.refresh.usecases.events import read_event
from functions.refresh.usecases.refresh import Refresh
from functions.refresh.wiring import make_backlog, make_refresh
from infra.local.postgres import DatabaseAddress
from infra.packaging.build import LAMBDA_SYSTEM, PACKAGES
from infra.packaging.kept import kept_package
from tests.browser import running_browser
from tests.families import SQL
from tests.functional.kept_schema import KeptSchema
from tests.functional.serving import chalice_local
from tests.report_pages import Reports, Show, showing, write_reports
from tests.support import (
    ARCHITECTURE,
    BUCKET,
    PREFIX,
    RUNTIME,
    Context,
    Published,
    created,
    parquet,
    read_published,
    record,
    setup_session,
)

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

NOW = datetime(2020, 12, 22, 14, 12, 3, tzinfo=UTC)
REQUEST_ID = "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Unpack each package, as it is deployed to an emulator, with the families that ship."""
    folder = tmp_path_factory.mktemp("packages")
    for name in PACKAGES:
        archive = kept_package(name, runtime=RUNTIME, architecture=ARCHITECTURE, system=LAMBDA_SYSTEM)
        shutil.unpack_archive(archive, folder / name)
        for families in (folder / name).glob(f"infra/sql/{SQL.name}"):
            shutil.copy(SQL, families)
    return {name: folder / name for name in PACKAGES}


@pytest.fixture(scope="module")
def kept_schema(postgres: DatabaseAddress) -> Iterator[KeptSchema]:
    """Keep the schema between the tests of a file."""
    kept_schema = KeptSchema(postgres)
    yield kept_schema
    kept_schema.close()


@pytest.fixture
def sql(postgres: DatabaseAddress, kept_schema: KeptSchema, request: pytest.FixtureRequest) -> Iterator[Connection]:
    """Look into the database, which has no schema at first, nor roles unless the test asks for the API's."""
    if "reader" not in request.fixturenames:
        kept_schema.drop()
    connection = postgres.connect()
    yield connection
    connection.close()
    kept_schema.put_away()


@pytest.fixture
def reader(sql: Connection, kept_schema: KeptSchema) -> DatabaseAddress:
    """Create the API's role, before the migrations find it."""
    assert sql  # which empties the database first
    return kept_schema.reader()


@pytest.fixture
def environ(postgres: DatabaseAddress, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Set the environment that Lambda gives a function."""
    variables = {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_REGION": "us-east-1",
        "BUCKET": BUCKET,
        "PREFIX": PREFIX,
        "COUNTRIES": "Peru",
        "DATABASE_HOST": postgres.host,
        "DATABASE_PORT": str(postgres.port),
        "DATABASE_NAME": postgres.name,
        "DATABASE_USER": postgres.user,
        "DATABASE_SIGN_IN": "password",
        "DATABASE_PASSWORD": postgres.password,
        "DATABASE_TLS": "off",
        "DATABASE_CA": "",
        "PUBLICATION_CHECK_SECONDS": "0",
        "COMMIT": "0bc73023e4b5",
        # Most tests of rules have few rows, and many of them bad; tests/functional/test_guard.py has the share itself.
        "MAX_REJECTED_SHARE": "1",
    }
    monkeypatch.delenv("DATABASE_URL", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


@pytest.fixture
def s3(environ: dict[str, str]) -> "Iterator[S3Client]":
    """Run S3 with the bucket, in process."""
    with mock_aws():
        setup_session()
        client = boto3.client("s3")
        client.create_bucket(Bucket=BUCKET)
        yield client


@pytest.fixture
def database(s3: "S3Client", environ: dict[str, str]) -> Iterator[Database]:
    """Open the functions' own connection."""
    assert s3  # which mocks all of AWS: the password may lie in a secret
    database = Database(load_settings(DatabaseSettings, environ), timeout_seconds=10)
    yield database
    database.close()


@pytest.fixture
def reader_database(reader: DatabaseAddress) -> Iterator[Database]:
    """Open the API's own connection."""
    database = Database(load_settings(DatabaseSettings, {"DATABASE_URL": reader.url}), timeout_seconds=10)
    yield database
    database.close()


ACCESS_DENIED = ClientError({"Error": {"Code": "AccessDenied", "Message": "Access Denied"}}, "AnOperation")

# How S3 fails through no fault of an object, each with a part of its message.
FAILURES_OF_S3 = [
    pytest.param(ACCESS_DENIED, "AccessDenied", id="refused"),
    pytest.param(EndpointConnectionError(endpoint_url="https://s3.test"), "Could not connect", id="away"),
]


@dataclass
class Pipeline:
    """The refresh function's own wiring, with a bucket and a database to look into."""

    s3: "S3Client"
    sql: Connection
    database: Database
    environ: dict[str, str]
    reader: DatabaseAddress
    kept_schema: KeptSchema

    def make(self, clock: Callable[[], datetime] = lambda: NOW) -> Refresh:
        self.kept_schema.migrate(self.database)
        return make_refresh(load_settings(RefreshSettings, self.environ), self.database, clock)

    def make_backlog(self, clock: Callable[[], datetime] = lambda: NOW) -> Backlog:
        self.kept_schema.migrate(self.database)
        return make_backlog(load_settings(RefreshSettings, self.environ), self.database, clock)

    def refresh(self, event: dict[str, Any], deadline: Deadline | None = None) -> Summary:
        return self.refresh_with(self.make(), event, deadline)

    def refresh_with(self, refresh: Refresh, event: dict[str, Any], deadline: Deadline | None = None) -> Summary:
        return refresh.run(read_event(event, bucket=BUCKET, prefix=PREFIX, now=NOW), deadline)

    def put(self, name: str, rows: Any, **options: Any) -> str:
        """Put rows, or bytes as they are, and return the key."""
        body = rows if isinstance(rows, bytes) else parquet(rows, **options)
        self.s3.put_object(Bucket=BUCKET, Key=PREFIX + name, Body=body)
        return PREFIX + name

    def before_reading(self, hook: Callable[[], object]) -> None:
        """Call a hook before each piece of an object is read."""
        self._on("before-call.s3.GetObject", hook)

    def after_reading(self, hook: Callable[[], object]) -> None:
        """Call a hook after the first piece of an object is read, which is all of a small one."""
        hooks = iter([hook])
        self._on("after-call.s3.GetObject", lambda: [call() for call in hooks])

    def fail(self, operation: str, error: Exception = ACCESS_DENIED) -> Callable[[], None]:
        """Let an operation of S3 fail, until the function that is returned is called."""

        def refuse() -> None:
            raise error

        return self._on(f"before-call.s3.{operation}", refuse)

    def _on(self, event: str, hook: Callable[[], object]) -> Callable[[], None]:
        def call(**_: Any) -> None:  # what it returns would be taken for S3's answer
            hook()

        assert boto3.DEFAULT_SESSION is not None
        events = boto3.DEFAULT_SESSION.events
        events.register(event, call)
        return lambda: events.unregister(event, call)

    def delete(self, key: str) -> None:
        self.s3.delete_object(Bucket=BUCKET, Key=key)

    def published(self) -> Published:
        return read_published(self.sql)

    def column(self, query: str) -> list[Any]:
        return [row[0] for row in self.sql.run(query)]


@pytest.fixture
def pipeline(
    s3: "S3Client",
    sql: Connection,
    database: Database,
    environ: dict[str, str],
    reader: DatabaseAddress,
    kept_schema: KeptSchema,
) -> Pipeline:
    return Pipeline(s3, sql, database, environ, reader, kept_schema)


Call = Callable[..., tuple[int, Any, dict[str, str]]]


@pytest.fixture
def call(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Iterator[Call]:
    """Call the API as API Gateway does; answers status, JSON or text, and headers."""
    import app as lookup

    monkeypatch.setenv("DATABASE_USER", pipeline.reader.user)
    monkeypatch.setenv("DATABASE_PASSWORD", pipeline.reader.password)

    def send(
        method: str,
        path: str,
        body: Any = None,
        query: Mapping[str, str | list[str]] | None = None,
        content_type: str = "application/json",
        etag: str = "",
        *,
        is_base64: bool = False,
    ) -> tuple[int, Any, dict[str, str]]:
        sent = {name: [value] if isinstance(value, str) else value for name, value in (query or {}).items()}
        event = {
            "resource": path,
            "path": path,
            "httpMethod": method,
            "headers": {"Content-Type": content_type, "If-None-Match": etag},
            "multiValueHeaders": {"Content-Type": [content_type], "If-None-Match": [etag]},
            "queryStringParameters": {name: values[-1] for name, values in sent.items()} or None,
            "multiValueQueryStringParameters": sent or None,
            "pathParameters": None,
            "stageVariables": None,
            "requestContext": {
                "httpMethod": method,
                "resourcePath": path,
                "requestId": REQUEST_ID,
                "identity": {"sourceIp": "192.0.2.1"},
            },
            "body": body if body is None or isinstance(body, str) else json.dumps(body),
            "isBase64Encoded": is_base64,
        }
        answer = lookup.app(event, Context())
        is_json = "json" in answer["headers"].get("Content-Type", "application/json")
        body_is_json = is_json and answer["body"]
        return answer["statusCode"], json.loads(answer["body"]) if body_is_json else answer["body"], answer["headers"]

    yield send
    lookup.database().close()
    for made_once in (lookup.settings, lookup.database, lookup.published):
        made_once.cache_clear()


@pytest.fixture
def local_api(pipeline: Pipeline, tmp_path: Path) -> Iterator[str]:
    """Run `chalice local` on a publication of a few records."""
    rows = [record(), record(voucher_amount=4400.0, total_orders="9.0"), record(country_code="China")]
    pipeline.refresh(created(pipeline.put("v.parquet", rows)))
    with chalice_local(pipeline.reader.url, tmp_path) as url:
        yield url


@pytest.fixture(scope="session")
def report_pages(tmp_path_factory: pytest.TempPathFactory) -> Reports:
    """Write a report of each situation once."""
    return write_reports(tmp_path_factory.mktemp("reports"))


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Run one browser for all pages."""
    with running_browser() as browser:
        yield browser


@pytest.fixture
def show(browser: Browser, report_pages: Reports) -> Iterator[Show]:
    """Show a page, with a browser's options."""
    with showing(browser, report_pages) as show:
        yield show
