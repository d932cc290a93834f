"""The functions' roles on a server of the local stack, which sign in with passwords of their own."""

import secrets

from pg8000.exceptions import DatabaseError
from pg8000.native import Connection, literal

from infra.local.postgres import DatabaseAddress
from infra.local.processes import LocalError

# The migration makes them too, where they are absent, but without passwords.
WRITER = "voucher_writer"
READER = "voucher_reader"


def create_roles(address: DatabaseAddress, *names: str) -> list[DatabaseAddress]:
    """Create roles with random passwords and return where and as whom each signs in.

    Raises
    ------
    LocalError
        When the server has one of them already, or the user may not create it; then none is made.
    """
    addresses = [address._replace(user=name, password=secrets.token_urlsafe(24)) for name in names]
    connection = address.connect()
    try:
        connection.run("BEGIN")
        for role in addresses:
            _create(connection, role, address.user)
        connection.run("COMMIT")
    finally:
        connection.close()
    return addresses


def _create(connection: Connection, role: DatabaseAddress, creator: str) -> None:
    [[is_there]] = connection.run("SELECT to_regrole(:name) IS NOT NULL", name=role.user)
    if is_there:
        raise LocalError(
            f"DATABASE_URL: its server has the role {role.user} already; drop the role or name another server"
        )
    try:
        connection.run(f"CREATE ROLE {role.user} LOGIN PASSWORD {literal(role.password)}")
    except DatabaseError as error:
        reason = error.args[0]["M"]
        raise LocalError(f"DATABASE_URL: {creator} cannot create the role {role.user}: {reason}") from error


def drop_roles(connection: Connection) -> None:
    """Drop the roles if they are there; what they own and may read has to be gone already."""
    for name in (WRITER, READER):
        connection.run(f"DROP ROLE IF EXISTS {name}")
