"""The connection to PostgreSQL: one per process, guarded, verified, bounded in time."""

import json
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from pg8000.exceptions import DatabaseError, Error
from pg8000.native import Connection

from functions.common.settings import DatabaseSettings

_TOKEN_SECONDS = 900
_GRACE_SECONDS = 1


class DatabaseUnreachableError(Exception):
    """PostgreSQL does not answer or refuses the function; the message says where."""


class StatementError(DatabaseError):  # type: ignore[misc] # pg8000 has no types
    """PostgreSQL refuses a statement; the message is its own, instead of pg8000's dictionary of all fields."""

    def __str__(self) -> str:
        return in_words(DatabaseError(*self.args))


def in_words(error: Exception) -> str:
    """Return PostgreSQL's own message with its code; of another error its text.

    Examples
    --------
    >>> in_words(DatabaseError({"S": "ERROR", "C": "57014", "M": "canceling statement due to statement timeout"}))
    'canceling statement due to statement timeout (SQLSTATE 57014)'
    >>> in_words(OSError("no route to host"))
    'no route to host'
    """
    fields = error.args[0] if error.args else None
    if isinstance(error, DatabaseError) and isinstance(fields, dict):
        return f"{fields.get('M')} (SQLSTATE {fields.get('C')})"
    return str(error)


class Database:
    """One connection that is opened on first use and shared by the threads of a process.

    Parameters
    ----------
    settings : DatabaseSettings
        Where the database is and how to sign in.
    timeout_seconds : int
        Bound on connecting, on signing in and on every statement, waiting for locks included. A server that falls
        silent costs all three at once: the statement on the connection that is there, and then another connection.
    """

    def __init__(self, settings: DatabaseSettings, *, timeout_seconds: int) -> None:
        self._settings = settings
        self._timeout_seconds = timeout_seconds
        # pg8000 shares one socket between threads without a guard and would mix up their answers.
        self._guard = threading.Lock()
        self._connection: Connection | None = None

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Run statements in one transaction: committed at the end, rolled back on any error.

        Raises
        ------
        DatabaseUnreachableError
            When no connection can be made.
        StatementError
            When the server refuses a statement.
        """
        with self._guard:
            connection = self._begin()
            try:
                yield connection
                connection.run("COMMIT")
            except DatabaseError as error:
                self._roll_back(connection)
                raise StatementError(*error.args) from error
            except BaseException:
                # After an error on this side the connection may still hold the previous query's
                # rows. The server rolls back what is open when the connection ends.
                self.close()
                raise

    def _begin(self) -> Connection:
        if self._connection is not None:
            try:
                self._connection.run("BEGIN")
                return self._connection
            except (Error, OSError):
                # The process was frozen between invocations, or the server restarted: no transaction was open.
                self.close()
        try:
            self._connection = connect(self._settings, timeout_seconds=self._timeout_seconds)
            self._connection.run("BEGIN")
        except (Error, OSError) as error:
            self.close()
            host, port = self._settings.database_host, self._settings.database_port
            raise DatabaseUnreachableError(f"PostgreSQL at {host}:{port} cannot be used: {in_words(error)}") from error
        return self._connection

    def _roll_back(self, connection: Connection) -> None:
        try:
            connection.run("ROLLBACK")
        except (Error, OSError):
            self.close()

    def close(self) -> None:
        """Close the connection if there is one; the next transaction opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Error, OSError):  # gone already
                connection.close()


def connect(settings: DatabaseSettings, *, timeout_seconds: int) -> Connection:
    """Open a connection.

    Raises
    ------
    DatabaseUnreachableError
        When there is no password or token.
    OSError
        When the server cannot be reached or its certificate is not trusted.
    pg8000.exceptions.Error
        When the server does not let the user in or offers no TLS.
    """
    password = _password(settings)
    # Its own socket, because pg8000 does not set TCP_NODELAY, without which signing in over TLS takes six times longer.
    sock = socket.create_connection((settings.database_host, settings.database_port), timeout_seconds)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Longer than statement_timeout, so that a slow statement ends with the server's error, not a lost connection.
        sock.settimeout(timeout_seconds + _GRACE_SECONDS)
        connection = Connection(
            settings.database_user,
            host=settings.database_host,
            port=settings.database_port,
            database=settings.database_name,
            password=password,
            ssl_context=_tls(settings),
            sock=sock,
            application_name="voucher-segmenter",
            startup_params={"statement_timeout": str(timeout_seconds * 1000), "TimeZone": "UTC"},
        )
    except BaseException:
        sock.close()
        raise
    connection.register_out_adapter(list, array_literal)
    return connection


def array_literal(values: Sequence[str | int]) -> str:
    r"""Return values as a PostgreSQL array literal.

    pg8000's own adapter does not quote a text such as `null`, which PostgreSQL then reads as NULL.

    Examples
    --------
    >>> array_literal([2640])
    '{2640}'
    >>> array_literal(["Peru", 'a "b" \\ {c}'])
    '{"Peru","a \\"b\\" \\\\ {c}"}'
    """
    if values and isinstance(values[0], str):
        # Most values repeat, so each distinct one is quoted once.
        quoted = {text: _quoted(str(text)) for text in set(values)}
        return "{" + ",".join([quoted[text] for text in values]) + "}"
    return "{" + ",".join(map(str, values)) + "}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _tls(settings: DatabaseSettings) -> ssl.SSLContext | bool:
    if settings.database_tls == "off":
        return False
    context = ssl.create_default_context(cafile=settings.database_ca or None)
    # From Python 3.13 on, certificates are also refused if they lack extensions that trust does not depend on:
    # https://docs.python.org/3/library/ssl.html#ssl.create_default_context. No document says which extensions RDS's
    # servers have, and every Python should trust the same databases.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def _password(settings: DatabaseSettings) -> str:
    if settings.database_sign_in == "password":
        return settings.database_password
    return iam_token(settings) if settings.database_sign_in == "iam" else _secret(settings.database_secret)


def _secret(name: str) -> str:
    # Imported here: boto3 costs a fifth of a second and signing in with IAM does without it.
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        answer = boto3.client("secretsmanager").get_secret_value(SecretId=name)
        return str(json.loads(answer["SecretString"])["password"])
    except (BotoCoreError, ClientError) as error:
        raise DatabaseUnreachableError(f"the secret {name} cannot be read: {error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise DatabaseUnreachableError(f'the secret {name} must be a JSON object with "password"') from error


def iam_token(settings: DatabaseSettings) -> str:
    """Return a token that RDS accepts as the password for 15 minutes: a signed request to connect.

    The same token as boto3's `generate_db_auth_token` without making a boto3 client, which costs more
    than a second in a cold function. Source of the rule: Amazon RDS user guide, IAM database
    authentication.

    Raises
    ------
    DatabaseUnreachableError
        When there are no credentials to sign with.
    """
    from botocore.auth import SigV4QueryAuth
    from botocore.awsrequest import AWSRequest
    from botocore.exceptions import BotoCoreError, NoCredentialsError
    from botocore.session import Session

    place = f"{settings.database_host}:{settings.database_port}"
    request = AWSRequest("GET", f"https://{place}/", params={"Action": "connect", "DBUser": settings.database_user})
    try:
        credentials = Session().get_credentials()
        if credentials is None:
            raise NoCredentialsError
        SigV4QueryAuth(credentials, "rds-db", settings.aws_region, expires=_TOKEN_SECONDS).add_auth(request)
    except BotoCoreError as error:
        user = settings.database_user
        raise DatabaseUnreachableError(f"no token can be made to sign in as {user}: {error}") from error
    return str(request.url).removeprefix("https://")
