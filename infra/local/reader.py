"""The lookup API's role on a server of the local stack, which signs in with a password of its own."""

import secrets

from pg8000.exceptions import DatabaseError
from pg8000.native import Connection, literal

from infra.local.postgres import DatabaseAddress
from infra.local.processes import LocalError

# The migrations make it too, where it is absent, but without a password.
READER = "voucher_reader"


def create_reader(address: DatabaseAddress) -> DatabaseAddress:
    """Create the role with a random password and return where and as whom it signs in.

    Raises
    ------
    LocalError
        When the server has the role already, or the user may not create one.
    """
    password = secrets.token_urlsafe(24)
    connection = address.connect()
    try:
        [[is_there]] = connection.run("SELECT to_regrole(:name) IS NOT NULL", name=READER)
        if is_there:
            raise LocalError(f"DATABASE_URL: its server has the role {READER} already; drop that or name another")
        connection.run(f"CREATE ROLE {READER} LOGIN PASSWORD {literal(password)}")
    except DatabaseError as error:
        reason = error.args[0]["M"]
        raise LocalError(f"DATABASE_URL: {address.user} cannot create the role {READER}: {reason}") from error
    finally:
        connection.close()
    return address._replace(user=READER, password=password)


def drop_reader(connection: Connection) -> None:
    """Drop the role if it is there; what it may read has to be gone already."""
    connection.run(f"DROP ROLE IF EXISTS {READER}")
