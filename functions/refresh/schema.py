"""The schema `voucher_customer`: its migrations, its rules and the lock that guards its tables."""

from pathlib import Path

from pg8000.native import Connection

from functions.common.database import Database
from functions.common.segments import Segment, check_segments

SQL_FOLDER = Path(__file__).parents[2] / "infra" / "sql"

# Any fixed number: it stands for the tables of this schema among the database's advisory locks.
_LOCK = 7_305_820_331


def lock(connection: Connection) -> None:
    """Wait for the other refreshes and hold them off until the transaction ends."""
    connection.run("SELECT pg_advisory_xact_lock(:lock)", lock=_LOCK)


def migrate(database: Database) -> None:
    """Bring the schema up to date: each file of infra/sql/migrations is applied once, in order.

    Raises
    ------
    pg8000.exceptions.DatabaseError
        When a statement is refused; then nothing is changed.
    """
    with database.transaction() as connection:
        lock(connection)
        connection.run("CREATE SCHEMA IF NOT EXISTS voucher_customer")
        connection.run(
            "CREATE TABLE IF NOT EXISTS voucher_customer.migrations"
            " (name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        applied = {name for (name,) in connection.run("SELECT name FROM voucher_customer.migrations")}
        for script in sorted((SQL_FOLDER / "migrations").glob("*.sql")):
            if script.name not in applied:
                connection.execute_simple(script.read_text())
                connection.run("INSERT INTO voucher_customer.migrations (name) VALUES (:name)", name=script.name)


def load_segments(connection: Connection) -> list[Segment]:
    """Load the segment rules from infra/sql/customer_segments.sql and return them, checked and ordered.

    Raises
    ------
    SegmentRulesError
        When the rules contradict themselves.
    pg8000.exceptions.DatabaseError
        When the file is no valid SQL.
    """
    connection.execute_simple((SQL_FOLDER / "customer_segments.sql").read_text())
    rows = connection.run(
        "SELECT segment_name, segment_type, min_range, max_range FROM voucher_customer.customer_segments"
    )
    return check_segments(Segment(*row) for row in rows)
