"""The tables of the schema `voucher_customer`: their rules, and the lock that guards them."""

from pg8000.native import Connection

from functions.common.database import Database
from functions.common.dimensions import Dimensions, combine
from functions.common.families import Family, Segment, SegmentRulesError, check_families
from functions.common.migrations import SQL_FOLDER, lock_schema

FAMILIES_FILE = SQL_FOLDER / "customer_segments.sql"


def usage_of(table: str, alias: str) -> str:
    """Return SQL that unnests the usage which each row of a table holds in arrays."""
    names = ("country_code", "dimension", "value", "voucher_amount", "count")
    arrays = ", ".join(f"{table}.usage_{name}" for name in names)
    return f"unnest({arrays}) AS {alias} ({', '.join(names)})"


def count_wrong_rows(table: str) -> str:
    """Return a query for the number of rows that only a table has, or only `due`."""
    return f"""
        SELECT count(*) FROM (
            (TABLE due EXCEPT TABLE voucher_customer.{table})
            UNION ALL (TABLE voucher_customer.{table} EXCEPT TABLE due)
        ) AS wrong
    """  # noqa: S608 - made of constants


def lock(connection: Connection) -> None:
    """Take the writers' lock, and hold it until the transaction ends."""
    # A table lock, because a session that waits for an advisory lock holds a snapshot: VACUUM could not remove replaced
    # counts, and the more sessions wait, the longer each object would take.
    connection.execute_simple("LOCK TABLE voucher_customer.write_lock IN EXCLUSIVE MODE")
    lock_schema(connection)


def load_families(connection: Connection) -> list[Family]:
    """Load families and ranges from infra/sql/customer_segments.sql and return them, checked and ordered.

    Raises
    ------
    SegmentRulesError
        When they contradict themselves.
    pg8000.exceptions.DatabaseError
        When the file is not valid SQL.
    """
    connection.execute_simple(FAMILIES_FILE.read_text())
    families = read_families(connection)
    if not families:
        raise SegmentRulesError("segment_families is empty: name a family in infra/sql/customer_segments.sql")
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
    """Return the dimensions of the families in infra/sql/customer_segments.sql; published tables stay as they are."""
    with database.transaction() as connection:
        lock(connection)
        connection.run("SAVEPOINT published")
        families = load_families(connection)
        connection.run("ROLLBACK TO SAVEPOINT published")
    return combine(family.dimension for family in families)
