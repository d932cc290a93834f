"""The connection: verified, bounded, guarded, and never the rows of another query."""

import json
import os
import signal
import socket
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from pg8000.exceptions import DatabaseError
from pg8000.native import Connection

from functions.common.database import Database, DatabaseUnreachableError, StatementError, iam_token
from functions.common.settings import DatabaseSettings, load_settings
from infra.local.postgres import DatabaseAddress
from infra.local.processes import free_port
from tests.certificates import make_certificate

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SECRET = "database"


@pytest.fixture
def environ(environ: dict[str, str]) -> dict[str, str]:
    """Sign in with a password that lies in a secret."""
    return {**environ, "DATABASE_SIGN_IN": "secret", "DATABASE_SECRET": SECRET, "DATABASE_PASSWORD": ""}


@pytest.fixture
def s3(s3: "S3Client", postgres: DatabaseAddress) -> "S3Client":
    """Have the secret beside S3."""
    secret = json.dumps({"password": postgres.password})
    boto3.client("secretsmanager").create_secret(Name=SECRET, SecretString=secret)
    return s3


def test_a_transaction_commits_or_leaves_nothing(database: Database, sql: Connection) -> None:
    sql.run("CREATE SCHEMA voucher_customer")
    with database.transaction() as connection:
        connection.run("CREATE TABLE voucher_customer.t (a integer)")
        connection.run("INSERT INTO voucher_customer.t VALUES (1)")
    with pytest.raises(DatabaseError), database.transaction() as connection:
        connection.run("INSERT INTO voucher_customer.t VALUES (2)")
        connection.run("SELECT 1 / 0")
    with pytest.raises(RuntimeError), database.transaction() as connection:
        connection.run("INSERT INTO voucher_customer.t VALUES (3)")
        raise RuntimeError
    assert sql.run("SELECT a FROM voucher_customer.t") == [[1]]


def test_one_connection_serves_many_threads_each_with_its_own_rows(database: Database) -> None:
    def ask(number: int) -> bool:
        with database.transaction() as connection:
            return bool(connection.run("SELECT CAST(:n AS integer)", n=number) == [[number]])

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(ask, range(500)))
    with database.transaction() as connection:
        query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'voucher-segmenter'"
        assert connection.run(query) == [[1]]


def test_a_connection_that_the_server_ended_is_replaced(database: Database, sql: Connection) -> None:
    with database.transaction() as connection:
        [[pid]] = connection.run("SELECT pg_backend_pid()")
    sql.run("SELECT pg_terminate_backend(CAST(:pid AS integer), 5000)", pid=pid)
    with database.transaction() as connection:
        assert connection.run("SELECT 1") == [[1]]


def test_a_statement_that_takes_too_long_is_ended(s3: "S3Client", environ: dict[str, str]) -> None:
    database = Database(load_settings(DatabaseSettings, environ), timeout_seconds=1)
    says = r"^canceling statement due to statement timeout \(SQLSTATE 57014\)$"
    with pytest.raises(StatementError, match=says), database.transaction() as connection:
        connection.run("SELECT pg_sleep(30)")
    with database.transaction() as connection:
        assert connection.run("SELECT 2") == [[2]]
    database.close()


def test_an_interrupted_query_never_leaves_its_rows_to_the_next(database: Database) -> None:
    """A handler that is interrupted while the answer is on its way must not keep the connection."""

    def interrupt(*_: object) -> None:
        raise TimeoutError("interrupted")

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with pytest.raises(TimeoutError), database.transaction() as connection:
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            connection.run("SELECT 'late' FROM (SELECT pg_sleep(0.5)) AS slow")
    finally:
        signal.signal(signal.SIGALRM, before)
    with database.transaction() as connection:
        assert connection.run("SELECT 'fresh'") == [["fresh"]]


def test_a_database_that_is_away_is_named(environ: dict[str, str], s3: "S3Client") -> None:
    port = free_port()
    database = Database(load_settings(DatabaseSettings, {**environ, "DATABASE_PORT": str(port)}), timeout_seconds=2)
    with (
        pytest.raises(DatabaseUnreachableError, match=rf"PostgreSQL at 127\.0\.0\.1:{port} cannot be used"),
        database.transaction(),
    ):
        pass


@pytest.mark.parametrize(
    ("secret", "says"),
    [("no-such-secret", "no-such-secret cannot be read"), ("text", 'must be a JSON object with "password"')],
)
def test_a_secret_that_is_missing_or_wrong_is_named(
    s3: "S3Client", environ: dict[str, str], secret: str, says: str
) -> None:
    boto3.client("secretsmanager").create_secret(Name="text", SecretString="just text")
    database = Database(load_settings(DatabaseSettings, {**environ, "DATABASE_SECRET": secret}), timeout_seconds=2)
    with pytest.raises(DatabaseUnreachableError, match=says), database.transaction():
        pass


def test_a_wrong_password_is_refused_and_not_shown(s3: "S3Client", environ: dict[str, str]) -> None:
    boto3.client("secretsmanager").put_secret_value(SecretId=SECRET, SecretString='{"password": "wrong-word"}')
    database = Database(load_settings(DatabaseSettings, environ), timeout_seconds=2)
    with (
        pytest.raises(DatabaseUnreachableError, match="password authentication failed") as error,
        database.transaction(),
    ):
        pass
    assert "wrong-word" not in str(error.value)


def test_a_function_without_credentials_says_so(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, os.devnull)
    for changes, says in (
        ({"DATABASE_SIGN_IN": "iam", "DATABASE_TLS": "verify"}, "no token can be made"),
        ({"DATABASE_SIGN_IN": "secret"}, "the secret database cannot be read"),
    ):
        monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # which may know the credentials
        database = Database(load_settings(DatabaseSettings, {**environ, **changes}), timeout_seconds=2)
        with (
            pytest.raises(DatabaseUnreachableError, match=f"{says}.*Unable to locate credentials"),
            database.transaction(),
        ):
            pass


def test_the_iam_token_is_the_one_that_boto3_makes(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # which may know other credentials
    settings = load_settings(
        DatabaseSettings,
        {**environ, "DATABASE_SIGN_IN": "iam", "DATABASE_TLS": "verify", "DATABASE_HOST": "db.example"},
    )
    theirs = boto3.client("rds").generate_db_auth_token("db.example", settings.database_port, settings.database_user)
    for _ in range(10):  # signed in the same second, the two are the same to the letter
        ours = iam_token(settings)
        theirs = boto3.client("rds").generate_db_auth_token(
            "db.example", settings.database_port, settings.database_user
        )
        if parse_qs(urlsplit("//" + ours).query)["X-Amz-Date"] == parse_qs(urlsplit("//" + theirs).query)["X-Amz-Date"]:
            break
    assert ours == theirs


class TlsProxy:
    """Puts TLS before the embedded PostgreSQL, which is built without: answers the request for it, then passes on."""

    def __init__(self, target: tuple[str, int], certificate: Path) -> None:
        self._target = target
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def _pass_on(self, client: socket.socket) -> None:
        client.recv(8)
        client.sendall(b"S")
        with socket.create_connection(self._target) as server:
            try:
                with self._context.wrap_socket(client, server_side=True) as secure:
                    threading.Thread(target=self._copy, args=(server, secure), daemon=True).start()
                    self._copy(secure, server)
            except OSError:  # the client did not like the certificate
                client.close()

    @staticmethod
    def _copy(source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                target.sendall(data)
        except OSError:
            return


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    """Make a certificate for 127.0.0.1 that is its own authority; the file holds its key too."""
    certificate, key = make_certificate(authority=True)
    path = tmp_path / "authority.pem"
    path.write_text(key + certificate)
    return path


@pytest.fixture
def tls_port(postgres: DatabaseAddress, authority: Path) -> Iterator[int]:
    proxy = TlsProxy((postgres.host, postgres.port), authority)
    yield proxy.port
    proxy.close()


def tls_database(environ: dict[str, str], port: int, **changes: str) -> Database:
    variables = {**environ, "DATABASE_PORT": str(port), "DATABASE_TLS": "verify", **changes}
    return Database(load_settings(DatabaseSettings, variables), timeout_seconds=5)


def test_a_server_with_a_trusted_certificate_is_used(
    s3: "S3Client", environ: dict[str, str], tls_port: int, authority: Path
) -> None:
    database = tls_database(environ, tls_port, DATABASE_CA=str(authority))
    with database.transaction() as connection:
        assert connection.run("SELECT 1") == [[1]]
    database.close()


def test_a_certificate_that_does_not_name_its_authoritys_key_is_used(
    s3: "S3Client", environ: dict[str, str], postgres: DatabaseAddress, tmp_path: Path
) -> None:
    """Python 3.13 and newer refuse it where one asks for RFC 5280 to the letter, which `openssl req` alone misses."""
    authority = make_certificate(authority=True, name="Authority")
    certificate, key = make_certificate(authority=False, signed_by=authority)
    (tmp_path / "server.pem").write_text(key + certificate)
    (tmp_path / "authority.pem").write_text(authority[0])
    proxy = TlsProxy((postgres.host, postgres.port), tmp_path / "server.pem")
    database = tls_database(environ, proxy.port, DATABASE_CA=str(tmp_path / "authority.pem"))
    with database.transaction() as connection:
        assert connection.run("SELECT 1") == [[1]]
    database.close()
    proxy.close()


def test_a_server_with_an_unknown_certificate_is_refused(
    s3: "S3Client", environ: dict[str, str], tls_port: int
) -> None:
    with pytest.raises(DatabaseUnreachableError, match="certificate verify failed"):
        tls_database(environ, tls_port).transaction().__enter__()


def test_a_certificate_for_another_name_is_refused(
    s3: "S3Client", environ: dict[str, str], tls_port: int, authority: Path
) -> None:
    database = tls_database(environ, tls_port, DATABASE_CA=str(authority), DATABASE_HOST="localhost")
    with pytest.raises(DatabaseUnreachableError, match="certificate verify failed"):
        database.transaction().__enter__()


def test_a_server_without_tls_is_refused(s3: "S3Client", environ: dict[str, str], postgres: DatabaseAddress) -> None:
    with pytest.raises(DatabaseUnreachableError, match="refuses SSL"):
        tls_database(environ, postgres.port).transaction().__enter__()
