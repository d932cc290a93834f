"""A stack on this machine: where its parts are, how tools reach them, and how it stops."""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import boto3
from pg8000.native import Connection

from infra.local.containers import seen_from_functions, stop_containers
from infra.local.emulator import EMULATORS, REGION
from infra.local.postgres import DatabaseAddress, Postgres, read_address
from infra.local.processes import LocalError, answers, is_running, uninterrupted
from infra.local.roles import drop_roles
from infra.operations.deployed import DEFAULT_NAME, Deployed
from infra.progress import Progress

PREFIX = "vouchers/"
DEFAULT_COUNTRIES = "Peru"

CONTAINERS = "containers"
"""The choice of LocalStack and PostgreSQL in containers, besides the emulators that run on this machine."""

OWN_DATABASE = "STACK_DATABASE_URL"
"""The variable that repeats DATABASE_URL if it is the stack's own, so that no other stack takes it for the user's."""


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
        """Where functions find the database."""
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
            **({} if self.owns_schema else {OWN_DATABASE: self.database_url}),
        }

    def client(self, service: str) -> Any:
        """Return a boto3 client of the emulator."""
        variables = self.environment()
        make_client: Any = boto3.client  # its type stubs take only literal names of services
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

    @property
    def is_running(self) -> bool:
        """Whether its emulator is still running: after a restart of the machine only `state.json` is left."""
        if self.emulator == CONTAINERS:
            return answers(self.emulator_port)
        return is_running(self.emulator_pid, EMULATORS[self.emulator].program)

    def stop(self) -> str:
        """Stop everything that was started and forget it; harmless when nothing runs.

        Returns
        -------
        str
            What was removed, for people.
        """
        with uninterrupted(), Progress("stop the stack"):
            if self.emulator == CONTAINERS:
                stop_containers(Path(self.folder))
            if self.emulator_pid:
                EMULATORS[self.emulator].stop(self.emulator_pid)
            gone = self._drop_schema() if self.owns_schema else "the stack's bucket and database are gone"
            if self.postgres_folder:
                Postgres(Path(self.postgres_folder)).stop()
            for name in ("state.json", "env", "bin", "tmp", "template.yaml"):
                path = Path(self.folder, name)
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)
        return gone

    def _drop_schema(self) -> str:
        """Drop what the stack made in a database of the user's own."""
        what = "the schema voucher_customer and the roles voucher_writer and voucher_reader"
        try:
            connection = self.connect()
        except LocalError as error:
            return f"the stack's bucket is gone; {what} stay where DATABASE_URL was: {error}"
        connection.run("DROP SCHEMA IF EXISTS voucher_customer CASCADE")
        drop_roles(connection)
        connection.close()
        return f"the stack's bucket is gone, and from DATABASE_URL {what}"


def load_stack(folder: Path) -> Stack | None:
    """Return the stack that runs in a folder, None when there is none."""
    state = folder / "state.json"
    return Stack(**json.loads(state.read_text())) if state.exists() else None
