"""The functions' roles on a server of the local stack, which sign in with passwords of their own."""

import secrets

from pg8000.exceptions import DatabaseError
from pg8000.native import Connection, literal

from infra.local.postgres import DatabaseAddress
from infra.local.processes import LocalError

# The migration makes them too, where they are absent, but without passwords.
WRITER = "voucher_writer"
READER = "voucher_reader"


def create_role(address: DatabaseAddress, name: str) -> DatabaseAddress:
    """Create a role with a random password and return where and as whom it signs in.

    Raises
    ------
    LocalError
        When the server has the role already, or the user may not create one.
    """
    password = secrets.token_urlsafe(24)
    connection = address.connect()
    try:
        [[is_there]] = connection.run("SELECT to_regrole(:name) IS NOT NULL", name=name)
        if is_there:
            raise LocalError(f"DATABASE_URL: its server has the role {name} already; drop that or name another")
        connection.run(f"CREATE ROLE {name} LOGIN PASSWORD {literal(password)}")
    except DatabaseError as error:
        reason = error.args[0]["M"]
        raise LocalError(f"DATABASE_URL: {address.user} cannot create the role {name}: {reason}") from error
    finally:
        connection.close()
    return address._replace(user=name, password=password)


def drop_roles(connection: Connection) -> None:
    """Drop the roles if they are there; what they own and may read has to be gone already."""
    for name in (WRITER, READER):
        connection.run(f"DROP ROLE IF EXISTS {name}")
