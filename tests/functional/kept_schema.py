"""The migrated schema, kept between the tests of a file, because making it takes longer than most tests."""

from functions.common.database import Database
from functions.common.migrations import migrate
from infra.local.postgres import DatabaseAddress
from infra.local.roles import READER, create_roles, drop_roles

# What a statement other than on rows would change: of each part of the schema its latest writer, and the roles'.
_STRUCTURE = """
    WITH relations AS (SELECT oid, xmin FROM pg_class WHERE relnamespace = to_regnamespace('voucher_customer')),
    parts AS (
        SELECT oid, 0 AS part, xmin FROM relations
        UNION ALL SELECT attrelid, attnum, xmin FROM pg_attribute WHERE attrelid IN (SELECT oid FROM relations)
        UNION ALL SELECT oid, 0, xmin FROM pg_trigger WHERE tgrelid IN (SELECT oid FROM relations)
        UNION ALL SELECT oid, 0, xmin FROM pg_constraint WHERE conrelid IN (SELECT oid FROM relations)
        UNION ALL SELECT oid, 0, xmin FROM pg_proc WHERE pronamespace = to_regnamespace('voucher_customer')
        UNION ALL SELECT oid, 0, xmin FROM pg_authid WHERE rolname IN ('voucher_writer', 'voucher_reader')
    )
    SELECT md5(string_agg(concat_ws(' ', oid, part, xmin), ',' ORDER BY oid, part)),
        (SELECT concat_ws(' ', nspowner, nspacl) FROM pg_namespace WHERE nspname = 'voucher_customer')
    FROM parts
"""

# One statement of each kind for each table: one that copies its rows, and one that takes it back to them.
_ROWS = """
    SELECT string_agg(format('CREATE TABLE initial.%1$I AS TABLE voucher_customer.%1$I', relname), ';'),
        string_agg(format(
            'DELETE FROM voucher_customer.%1$I;'
            ' INSERT INTO voucher_customer.%1$I OVERRIDING SYSTEM VALUE TABLE initial.%1$I', relname), ';')
    FROM pg_class WHERE relnamespace = to_regnamespace('voucher_customer') AND relkind = 'r'
"""

_PUT_AWAY = """
    BEGIN;
    SET LOCAL session_replication_role = replica; -- without a look at foreign keys
    {take_back};
    SELECT setval(oid, 1, false) FROM pg_class
    WHERE relnamespace = to_regnamespace('voucher_customer') AND relkind = 'S';
    ALTER SCHEMA voucher_customer RENAME TO kept;
    COMMIT
"""


class KeptSchema:
    """Keeps the migrated schema under another name, without what a test wrote; a test itself begins without a schema.

    Parameters
    ----------
    postgres : DatabaseAddress
        The server, of which nobody else uses the schema and the roles.
    """

    def __init__(self, postgres: DatabaseAddress) -> None:
        self._postgres = postgres
        self._connection = postgres.connect()
        self._reader: DatabaseAddress | None = None
        self._structure: object = None
        self._put_away = ""
        self.drop()

    def reader(self) -> DatabaseAddress:
        """Return the API's role, which is made before the migrations find it."""
        if self._reader is None:
            [self._reader] = create_roles(self._postgres, READER)
        return self._reader

    def migrate(self, database: Database) -> None:
        """Bring the schema up to date: take the kept one if there is none."""
        [[is_there]] = self._connection.run("SELECT to_regnamespace('voucher_customer') IS NOT NULL")
        if not is_there and self._structure:
            self._connection.run("ALTER SCHEMA kept RENAME TO voucher_customer")
            return
        migrate(database)
        if not is_there:
            self._remember()

    def _remember(self) -> None:
        """Note the structure, and copy the rows that the migrations wrote."""
        self._structure = self._connection.run(_STRUCTURE)
        [[copy, take_back]] = self._connection.run(_ROWS)
        self._connection.run(f"CREATE SCHEMA initial; {copy}")
        self._put_away = _PUT_AWAY.format(take_back=take_back)

    def put_away(self) -> None:
        """Empty the schema and keep it, or drop what a test changed the structure of."""
        if self._structure and self._connection.run(_STRUCTURE) == self._structure:
            self._connection.run(self._put_away)
        else:
            self.drop()

    def drop(self) -> None:
        """Drop everything; roles are the whole server's, so none is left behind."""
        self._connection.run("DROP SCHEMA IF EXISTS voucher_customer, kept, initial CASCADE")
        drop_roles(self._connection)
        self._reader = self._structure = None

    def close(self) -> None:
        """Drop everything, and be done with the server."""
        self.drop()
        self._connection.close()
