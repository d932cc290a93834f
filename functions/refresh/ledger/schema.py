"""The schema `voucher_customer`: its migrations, its rules and the lock that guards its tables."""

from pathlib import Path

from pg8000.exceptions import DatabaseError
from pg8000.native import Connection

from functions.common.database import Database
from functions.common.dimensions import Dimensions, combine
from functions.common.families import Family, Segment, SegmentRulesError, check_families
from functions.refresh.results import Migrations

SQL_FOLDER = Path(__file__).parents[3] / "infra" / "sql"

# Any fixed number: it stands for the tables of this schema among the database's advisory locks.
_LOCK = 7_305_820_331

# The table had another name in release 0.1.0, and in a new database there is none.
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


class SchemaError(Exception):
    """A migration is refused; the message names it and says why."""


def lock(connection: Connection) -> None:
    """Wait for the other refreshes and hold them off until the transaction ends."""
    # In a queue for a table, because whoever waits for an advisory lock holds a snapshot meanwhile: no count that is
    # replaced could be cleared away, and each object would take longer the more of them wait.
    connection.execute_simple("LOCK TABLE voucher_customer.write_lock IN EXCLUSIVE MODE")
    _lock_schema(connection)


def _lock_schema(connection: Connection) -> None:
    connection.run("SELECT pg_advisory_xact_lock(:lock)", lock=_LOCK)


def migrate(database: Database) -> Migrations:
    """Bring the schema up to date: each file of infra/sql/migrations is applied once, in order.

    Raises
    ------
    SchemaError
        When one of them is refused; then nothing is changed.
    pg8000.exceptions.DatabaseError
        When the schema cannot be made or the lock not be had.
    """
    with database.transaction() as connection:
        # In the order of `lock`, so that a refresh and a migration cannot wait for each other.
        connection.execute_simple(_LOCK_TABLE_IF_THERE)
        _lock_schema(connection)
        connection.run("CREATE SCHEMA IF NOT EXISTS voucher_customer")
        connection.run(
            "CREATE TABLE IF NOT EXISTS voucher_customer.migrations"
            " (name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        known = {name for (name,) in connection.run("SELECT name FROM voucher_customer.migrations")}
        scripts = {script.name: script for script in (SQL_FOLDER / "migrations").glob("*.sql")}
        applied = sorted(scripts.keys() - known)
        for name in applied:
            _apply(connection, name, scripts[name].read_text())
        return Migrations(applied, sorted(known | scripts.keys()))


def _apply(connection: Connection, name: str, script: str) -> None:
    try:
        connection.execute_simple(script)
    except DatabaseError as error:
        # The statement's own words: all of the error is a page of fields.
        raise SchemaError(f"{name}: {error.args[0]['M']}") from error
    connection.run("INSERT INTO voucher_customer.migrations (name) VALUES (:name)", name=name)


def load_families(connection: Connection) -> list[Family]:
    """Load families and ranges from infra/sql/customer_segments.sql and return them, checked and ordered.

    Raises
    ------
    SegmentRulesError
        When they contradict themselves.
    pg8000.exceptions.DatabaseError
        When the file is no valid SQL.
    """
    connection.execute_simple((SQL_FOLDER / "customer_segments.sql").read_text())
    families = read_families(connection)
    if not families:
        raise SegmentRulesError("there is no segment family: segment_families is empty")
    return families


def read_families(connection: Connection) -> list[Family]:
    """Return the families and ranges that are published, checked and ordered.

    Raises
    ------
    SegmentRulesError
        When they contradict themselves.
    """
    dimensions = connection.run("SELECT segment_name, dimension FROM voucher_customer.segment_families")
    ranges = connection.run(
        "SELECT segment_name, segment_type, min_range, max_range FROM voucher_customer.customer_segments"
    )
    return check_families(((name, text) for name, text in dimensions), (Segment(*row) for row in ranges))


def needed_dimensions(database: Database) -> Dimensions:
    """Return the dimensions that infra/sql/customer_segments.sql names; the tables stay as they are published.

    Raises
    ------
    SegmentRulesError, pg8000.exceptions.DatabaseError
        As `load_families`.
    """
    with database.transaction() as connection:
        lock(connection)
        connection.run("SAVEPOINT published")
        families = load_families(connection)
        connection.run("ROLLBACK TO SAVEPOINT published")
    return combine(family.dimension for family in families)
