"""Starting the stack on this machine: the template, deployed by the SAM command line to an emulator."""

import json
import os
import shlex
import sys
from pathlib import Path

from infra import ROOT
from infra.local.containers import log_of, start_containers
from infra.local.emulator import EMULATORS
from infra.local.postgres import PSQL, read_address, start_postgres
from infra.local.processes import LocalError, free_port, run_logged, step
from infra.local.roles import READER, WRITER, create_roles
from infra.local.stack import CONTAINERS, OWN_DATABASE, PREFIX, Stack, load_stack
from infra.operations.deployed import OperationError
from infra.operations.teardown import NEVER_MADE, why_it_failed
from infra.packaging import sam
from infra.packaging.build import DEFAULT_RUNTIME, LAMBDA_SYSTEM
from infra.packaging.errors import BuildError
from infra.packaging.template import packaged_template
from infra.progress import Tell


def start_stack(folder: Path, *, countries: str, emulator: str) -> Stack:
    """Start database and emulator, package the functions, deploy the template.

    A database that the variable DATABASE_URL names is used instead of an embedded one; it must not hold the
    schema `voucher_customer` yet nor its server the roles of the functions, and loses both again when the stack stops.
    What is left in the folder of a stack that does not run any more is removed first.

    Parameters
    ----------
    folder : Path
        Takes everything that the stack writes, except PostgreSQL's files.
    countries : str
        The countries to publish, separated by commas.
    emulator : {'ministack', 'localstack', 'containers'}
        Where AWS is emulated.

    Raises
    ------
    LocalError
        When a step fails; by then everything is stopped again.
    """
    if earlier := load_stack(folder):
        if earlier.is_running:
            raise LocalError(f"a stack runs already in {folder}: `make down` stops it")
        print(f"removing what is left of a stack that does not run any more: {earlier.stop()}", file=sys.stderr)
    folder.mkdir(parents=True, exist_ok=True)
    for log in folder.glob("*.log"):
        log.unlink()
    stack = Stack(folder=str(folder), countries=countries, emulator=emulator)
    try:
        _start_parts(stack)
        _write_template(stack)
        with step("deploy template.yaml (sam deploy)") as progress:
            _deploy(stack, progress.tell)
        with step("make the schema (make migrate)"):
            stack.deployed.migrate()
        write_environment(stack)
    except BaseException:
        stack.stop()
        raise
    return stack


def _start_parts(stack: Stack) -> None:
    """Start the emulator and the database."""
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


def _users_database_url() -> str | None:
    """Return the DATABASE_URL that the user set: a sourced `.local/env` sets one too, and says so."""
    url = os.environ.get("DATABASE_URL")
    return None if url == os.environ.get(OWN_DATABASE) else url


def _use_database(stack: Stack) -> None:
    if url := _users_database_url():
        stack.database_url = read_address(url).url
        try:
            connection = stack.connect()
        except LocalError as error:
            raise LocalError(f"DATABASE_URL: {error}") from error
        [[is_there]] = connection.run("SELECT to_regnamespace('voucher_customer') IS NOT NULL")
        connection.close()
        if is_there:
            raise LocalError(
                "DATABASE_URL: it holds the schema voucher_customer already; drop the schema or name another database"
            )
        _create_roles(stack)
        stack.owns_schema = True
    else:
        folder, address = start_postgres()
        stack.postgres_folder, stack.database_url = str(folder), address.url
        _create_roles(stack)
    stack.save()


def _use_containers(stack: Stack) -> None:
    if _users_database_url():
        raise LocalError("DATABASE_URL: functions in containers use the PostgreSQL that comes with them; unset it")
    stack.emulator_port, address = start_containers(Path(stack.folder))
    stack.database_url = address.url
    _create_roles(stack)
    stack.save()


def _create_roles(stack: Stack) -> None:
    writer, reader = create_roles(stack.address, WRITER, READER)
    stack.writer_password, stack.reader_password = writer.password, reader.password


def _write_template(stack: Stack) -> None:
    """Write the template with the functions' archives in place of the folders that `sam build` would build from."""
    try:
        template = packaged_template(
            runtime=_runtime(stack.emulator),
            architecture=_architecture(os.uname().machine),
            system=local_system(stack.emulator, sys.platform),
        )
    except BuildError as error:
        raise LocalError(str(error)) from error
    Path(stack.folder, "template.yaml").write_text(template)


def _sam_deploy(stack: Stack, options: list[str], tell: Tell) -> None:
    temporary = Path(stack.folder, "tmp")  # SAM leaves folders behind
    temporary.mkdir(exist_ok=True)
    variables = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MAKE", "MFLAGS"))},
        **stack.environment(),
        "__SAM_CLI_APP_DIR": str(sam.FOLDER / "settings"),
        "TMPDIR": str(temporary),
    }
    run_logged(
        sam.sam_command("deploy", *options, on_emulator=True),
        Path(stack.folder, "sam-deploy.log"),
        env=sam.sam_environment(variables, on_emulator=True),
        tell=tell,
    )


def _deploy(stack: Stack, tell: Tell) -> None:
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
        "Runtime": _runtime(stack.emulator),
        "Architecture": _architecture(os.uname().machine),
        "Prefix": PREFIX,
        "Countries": stack.countries,
        # Each unpacks 200 MB and imports for seconds, on this machine's own processors.
        "BacklogConcurrency": min(4, os.cpu_count() or 1),
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
    template = Path(stack.folder, "template.yaml")
    try:
        _sam_deploy(stack, ["--template-file", str(template), "--parameter-overrides", *overrides], tell)
    except LocalError as error:
        raise LocalError(f"{error}{_reason(stack)}") from error


def _reason(stack: Stack) -> str:
    """Return why a deployment failed, which SAM cuts short or leaves out."""
    deployed = stack.deployed
    try:
        why = f"; {why_it_failed(deployed)}" if deployed.status in NEVER_MADE else ""
    except OperationError as error:  # the emulator itself may be gone
        why = f"; {error}"
    logs = f"; the containers' logs are in {log_of(Path(stack.folder))}" if stack.emulator == CONTAINERS else ""
    return why + logs


def write_environment(stack: Stack) -> None:
    """Write `env` for the shell to source, and link aws, psql and chalice beside it.

    A deployment may give the API another address, as ministack does when a route is added.
    """
    deployed = stack.deployed
    stack.bucket = deployed.output("BucketName")
    stack.refresh_function = deployed.output("RefreshFunctionName")
    stack.api_url = deployed.api_url
    stack.save()
    tools = Path(stack.folder, "bin")
    tools.mkdir(exist_ok=True)
    chalice = ROOT / ".venv" / "bin" / "chalice"
    for name, program in (("aws", sam.FOLDER / "bin" / "aws"), ("psql", PSQL), ("chalice", chalice)):
        (tools / name).unlink(missing_ok=True)
        (tools / name).symlink_to(program)
    lines = [f"export {name}={shlex.quote(value)}" for name, value in stack.environment().items()]
    # Last, so that the user's own tools come first.
    lines.append(f'export PATH="$PATH":{shlex.quote(str(tools))}')
    path = Path(stack.folder, "env")
    path.touch(mode=0o600)
    path.write_text("\n".join(lines) + "\n")


def _runtime(emulator: str) -> str:
    """Return a Lambda runtime that the emulator has: ministack runs functions on its own Python."""
    if emulator == CONTAINERS and sys.version_info < (3, 12):
        return DEFAULT_RUNTIME  # the image of 3.11 has an older C library than the packages ask for
    return f"python{sys.version_info.major}.{sys.version_info.minor}"


def _architecture(machine: str) -> str:
    """Return Lambda's name of a processor."""
    return "arm64" if machine in ("arm64", "aarch64") else "x86_64"


def local_system(emulator: str, system: str) -> str:
    """Return the operating system that functions run on: ministack runs them on this machine's own, `system`.

    LocalStack runs them on Linux only.
    """
    return system if emulator == "ministack" else LAMBDA_SYSTEM
