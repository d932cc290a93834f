"""The whole stack on this machine: the template, deployed by the SAM command line to the emulator."""

import json
import os
import shlex
import shutil
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import boto3
from pg8000.native import Connection

from infra.local.containers import seen_from_functions, start_containers, stop_containers
from infra.local.emulator import EMULATORS, REGION
from infra.local.postgres import PSQL, DatabaseAddress, Postgres, read_address, start_postgres
from infra.local.processes import LocalError, free_port, run_logged
from infra.local.roles import READER, WRITER, create_roles, drop_roles
from infra.operations.deployed import DEFAULT_NAME, Deployed
from infra.packaging import sam

PREFIX = "vouchers/"

CONTAINERS = "containers"
"""What stands for AWS where it is no emulator of this machine: LocalStack in containers, with PostgreSQL."""

Step = Callable[[str], AbstractContextManager[None]]
"""Wraps a step of some seconds, to show that it is under way."""


@dataclass
class Stack:
    """What runs, kept in `state.json` of its folder so that another process can stop it."""

    folder: str
    countries: str
    emulator: str
    postgres_folder: str = ""
    owns_schema: bool = False
    database_url: str = ""
    writer_password: str = ""
    reader_password: str = ""
    emulator_pid: int = 0
    emulator_port: int = 0
    bucket: str = ""
    refresh_function: str = ""
    api_url: str = ""

    @property
    def address(self) -> DatabaseAddress:
        """Where the stack's database is."""
        return read_address(self.database_url)

    @property
    def address_for_functions(self) -> DatabaseAddress:
        """Where functions find it."""
        return seen_from_functions(self.address) if self.emulator == CONTAINERS else self.address

    @property
    def endpoint(self) -> str:
        """Where the emulator answers."""
        return f"http://127.0.0.1:{self.emulator_port}"

    def environment(self) -> dict[str, str]:
        """Return the variables that let the usual tools talk to the stack."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "BUCKET": self.bucket,
            "PREFIX": PREFIX,
            "REFRESH_FUNCTION": self.refresh_function,
            "API_URL": self.api_url,
            "DATABASE_URL": self.database_url,
        }

    def client(self, service: str) -> Any:
        """Return a boto3 client of the emulator."""
        variables = self.environment()
        make_client: Any = boto3.client  # its stubs want to know the service beforehand
        return make_client(
            service,
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        )

    @property
    def deployed(self) -> Deployed:
        """What is deployed to the emulator."""
        return Deployed(DEFAULT_NAME, self.client, self.endpoint)

    def connect(self) -> Connection:
        """Open a connection to the stack's database."""
        return self.address.connect()

    def save(self) -> None:
        """Write down what runs."""
        path = Path(self.folder, "state.json")
        path.touch(mode=0o600)
        path.write_text(json.dumps(asdict(self), indent=2))

    def stop(self) -> None:
        """Stop everything that was started and forget it; harmless when nothing runs."""
        if self.emulator == CONTAINERS:
            stop_containers(Path(self.folder))
        if self.emulator_pid:
            EMULATORS[self.emulator].stop(self.emulator_pid)
        if self.owns_schema:
            connection = self.connect()
            connection.run("DROP SCHEMA IF EXISTS voucher_customer CASCADE")
            drop_roles(connection)
            connection.close()
        if self.postgres_folder:
            Postgres(Path(self.postgres_folder)).stop()
        for name in ("state.json", "env", "bin", "tmp", "build", "build.toml"):
            path = Path(self.folder, name)
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def load_stack(folder: Path) -> Stack | None:
    """Return the stack that runs in a folder, None when there is none."""
    state = folder / "state.json"
    return Stack(**json.loads(state.read_text())) if state.exists() else None


def start_stack(folder: Path, *, countries: str, emulator: str, step: Step) -> Stack:
    """Start database and emulator, build both functions, deploy the template.

    A database that the variable DATABASE_URL names is used instead of an embedded one; it must not hold the
    schema `voucher_customer` yet nor its server the role of the API, and loses both again when the stack stops.

    Parameters
    ----------
    folder : Path
        Takes everything that the stack writes, PostgreSQL's files excepted.
    countries : str
        The countries to publish, separated by commas.
    emulator : {'ministack', 'localstack', 'containers'}
        What stands for AWS.
    step : callable
        Told of each step.

    Raises
    ------
    LocalError
        When a step fails; by then everything is stopped again.
    """
    if load_stack(folder):
        raise LocalError(f"a stack runs already in {folder}: `make down` stops it")
    folder.mkdir(parents=True, exist_ok=True)
    for log in folder.glob("*.log"):
        log.unlink()
    stack = Stack(folder=str(folder), countries=countries, emulator=emulator)
    try:
        _start_parts(stack, step)
        with step("build both functions (sam build)"):
            _sam(stack, "build", "--build-dir", str(folder / "build"))
        with step("deploy template.yaml (sam deploy)"):
            _deploy(stack)
        with step("make the schema (make migrate)"):
            stack.deployed.migrate()
        _write_environment(stack)
    except BaseException:
        stack.stop()
        raise
    return stack


def _start_parts(stack: Stack, step: Step) -> None:
    """Start what stands for AWS, and the database."""
    if stack.emulator == CONTAINERS:
        with step("start LocalStack and PostgreSQL in containers (docker compose up)"):
            _use_containers(stack)
        return
    with step("start PostgreSQL"):
        _use_database(stack)
    with step(f"start the AWS emulator ({stack.emulator})"):
        stack.emulator_port = free_port()
        stack.emulator_pid = EMULATORS[stack.emulator].start(Path(stack.folder), stack.emulator_port)
        stack.save()


def _use_database(stack: Stack) -> None:
    if url := os.environ.get("DATABASE_URL"):
        stack.database_url = read_address(url).url
        connection = stack.connect()
        [[is_there]] = connection.run("SELECT to_regnamespace('voucher_customer') IS NOT NULL")
        connection.close()
        if is_there:
            raise LocalError("DATABASE_URL: it holds the schema voucher_customer already; drop that or name another")
        _create_roles(stack)
        stack.owns_schema = True
    else:
        folder, address = start_postgres()
        stack.postgres_folder, stack.database_url = str(folder), address.url
        _create_roles(stack)
    stack.save()


def _use_containers(stack: Stack) -> None:
    if "DATABASE_URL" in os.environ:
        raise LocalError("DATABASE_URL: functions in containers use the PostgreSQL that comes with them; unset it")
    stack.emulator_port, address = start_containers(Path(stack.folder))
    stack.database_url = address.url
    _create_roles(stack)
    stack.save()


def _create_roles(stack: Stack) -> None:
    writer, reader = create_roles(stack.address, WRITER, READER)
    stack.writer_password, stack.reader_password = writer.password, reader.password


def _sam(stack: Stack, command: str, *options: str) -> None:
    variables = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MAKE", "MFLAGS"))},
        **stack.environment(),
        "__SAM_CLI_APP_DIR": str(sam.FOLDER / "settings"),
    }
    run_logged(
        sam.sam_command(command, *options, on_emulator=True),
        Path(stack.folder, f"sam-{command}.log"),
        env=sam.sam_environment(variables, runtime=_runtime(), architecture=_architecture()),
    )


def _deploy(stack: Stack) -> None:
    address = stack.address_for_functions
    stack.client("s3").create_bucket(Bucket="artifacts")
    secrets = {
        name: stack.client("secretsmanager").create_secret(Name=name, SecretString=json.dumps({"password": password}))
        for name, password in (
            ("database", address.password),
            ("writer", stack.writer_password),
            ("reader", stack.reader_password),
        )
    }
    parameters = {
        "Runtime": _runtime(),
        "Architecture": _architecture(),
        "Prefix": PREFIX,
        "Countries": stack.countries,
        "DatabaseHost": address.host,
        "DatabasePort": address.port,
        "DatabaseName": address.name,
        "DatabaseUser": address.user,
        "DatabaseSignIn": "secret",
        "DatabaseSecret": secrets["database"]["ARN"],
        "DatabaseWriterSecret": secrets["writer"]["ARN"],
        "DatabaseReaderSecret": secrets["reader"]["ARN"],
        "DatabaseTls": address.tls,
        "ApiAuthorization": "NONE",
    }
    overrides = [sam.parameter_override(name, value) for name, value in parameters.items()]
    template = Path(stack.folder, "build", "template.yaml")
    _sam(stack, "deploy", "--template-file", str(template), "--parameter-overrides", *overrides)
    deployed = stack.deployed
    stack.bucket = deployed.output("BucketName")
    stack.refresh_function = deployed.output("RefreshFunctionName")
    stack.api_url = deployed.api_url
    stack.save()


def _write_environment(stack: Stack) -> None:
    """Write `env` to source, and put the command lines that it speaks to beside it."""
    tools = Path(stack.folder, "bin")
    tools.mkdir(exist_ok=True)
    for name, program in (("aws", sam.FOLDER / "bin" / "aws"), ("psql", PSQL)):
        (tools / name).unlink(missing_ok=True)
        (tools / name).symlink_to(program)
    lines = [f"export {name}={shlex.quote(value)}" for name, value in stack.environment().items()]
    # Last, so that tools of one's own come first.
    lines.append(f'export PATH="$PATH":{shlex.quote(str(tools))}')
    path = Path(stack.folder, "env")
    path.touch(mode=0o600)
    path.write_text("\n".join(lines) + "\n")


def _runtime() -> str:
    """Return the runtime that every emulator has: ministack runs functions on its own Python."""
    return f"python{sys.version_info.major}.{sys.version_info.minor}"


def _architecture() -> str:
    return "arm64" if os.uname().machine in ("arm64", "aarch64") else "x86_64"
