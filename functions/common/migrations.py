"""The migrations of the schema `voucher_customer`: one user applies them, the other checks them."""

from pathlib import Path

import msgspec
from pg8000.exceptions import DatabaseError
from pg8000.native import Connection

from functions.common.database import Database

SQL_FOLDER = Path(__file__).parents[2] / "infra" / "sql"

# Any fixed number: the advisory lock for the tables of this schema.
_LOCK = 7_305_820_331

# Release 0.1.0 had another name for the table; a new database does not have it yet.
_LOCK_TABLE_IF_THERE = """
    DO $$ BEGIN
        LOCK TABLE voucher_customer.write_lock IN EXCLUSIVE MODE;
    EXCEPTION WHEN undefined_table OR invalid_schema_name THEN
        BEGIN
            LOCK TABLE voucher_customer.turns IN EXCLUSIVE MODE;
        EXCEPTION WHEN undefined_table OR invalid_schema_name THEN
            NULL;
        END;
    END $$
"""

_OWNER = "voucher_writer"

# No such schema or table, or an earlier release's schema, which belonged to another user.
_NOT_THERE_YET = {"3F000", "42P01", "42501"}


class SchemaError(Exception):
    """The schema is not as this release needs it, or a migration is refused; the message says why."""


class Migrations(msgspec.Struct, frozen=True):
    """What `migrate` did.

    Attributes
    ----------
    applied : list of str
        The files of infra/sql/migrations that were applied now.
    schema : list of str
        All migrations that are applied, in order.
    """

    applied: list[str]
    schema: list[str]


def lock_schema(connection: Connection) -> None:
    """Take the lock on changes of the tables, and hold it until the transaction ends."""
    connection.run("SELECT pg_advisory_xact_lock(:lock)", lock=_LOCK)


def migrate(database: Database) -> Migrations:
    """Bring roles and schema up to date: each file of infra/sql/migrations is applied once, in order.

    The signed-in user creates the functions' roles. The migrations run as `voucher_writer`, which owns the tables.

    Raises
    ------
    SchemaError
        When PostgreSQL refuses one of the files; then nothing is changed.
    functions.common.database.StatementError
        When the lock cannot be taken.
    """
    with database.transaction() as connection:
        # The locks in the order in which a refresh takes them, so that the two cannot deadlock.
        connection.execute_simple(_LOCK_TABLE_IF_THERE)
        lock_schema(connection)
        _execute(connection, "roles.sql", (SQL_FOLDER / "roles.sql").read_text())
        connection.run(f"SET LOCAL ROLE {_OWNER}")
        connection.run(
            "CREATE TABLE IF NOT EXISTS voucher_customer.migrations"
            " (name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        known, scripts = _known(connection), _scripts()
        applied = sorted(scripts.keys() - known)
        for name in applied:
            _execute(connection, name, scripts[name].read_text())
            connection.run("INSERT INTO voucher_customer.migrations (name) VALUES (:name)", name=name)
        return Migrations(applied, sorted(known | scripts.keys()))


def check_schema(database: Database) -> None:
    """Make sure that the schema has every migration of this release.

    Raises
    ------
    SchemaError
        When one is missing.
    """
    try:
        with database.transaction() as connection:
            known = _known(connection)
    except DatabaseError as error:
        if error.args[0].get("C") not in _NOT_THERE_YET:
            raise
        known = set()
    if missing := sorted(_scripts().keys() - known):
        raise SchemaError(
            f"the schema voucher_customer is older than this release, {missing[0]} is missing: run `make migrate`"
        )


def _known(connection: Connection) -> set[str]:
    return {name for (name,) in connection.run("SELECT name FROM voucher_customer.migrations")}


def _scripts() -> dict[str, Path]:
    return {script.name: script for script in (SQL_FOLDER / "migrations").glob("*.sql")}


def _execute(connection: Connection, name: str, script: str) -> None:
    try:
        connection.execute_simple(script)
    except DatabaseError as error:
        # Only the message: the whole error is a page of fields.
        raise SchemaError(f"{name}: {error.args[0]['M']}") from error
