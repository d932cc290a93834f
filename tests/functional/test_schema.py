"""The schema: brought up to date by whom it may be, and the API's role that can read and nothing else."""

import secrets
from collections.abc import Callable, Iterator

import pytest
from pg8000.exceptions import DatabaseError
from pg8000.native import Connection

from functions.common import migrations
from functions.common.database import Database
from functions.common.migrations import SchemaError, check_schema, migrate
from functions.common.settings import DatabaseSettings, load_settings
from functions.refresh.results import RefreshRow
from functions.refresh.settings import RefreshSettings
from functions.refresh.wiring import make_refresh
from infra.local.postgres import DatabaseAddress
from infra.local.processes import LocalError
from infra.local.roles import READER, WRITER, create_roles
from tests.functional.conftest import NOW, Pipeline
from tests.support import created, record

READ_BY_THE_API = {
    "customer_segments", "publication", "ranking_changes", "rankings", "refreshes", "segment_families",
    "segment_unknowns", "voucher_segments",
}  # fmt: skip
ALL = sorted(path.name for path in (migrations.SQL_FOLDER / "migrations").glob("*.sql"))

JOIN = "GRANT voucher_writer TO migrator"


Migrator = Callable[[str], Database]


@pytest.fixture
def migrator(sql: Connection, postgres: DatabaseAddress) -> Iterator[Migrator]:
    """Sign in as an ordinary user, with some more rights where the test says so."""
    opened: list[Database] = []

    def make(rights: str = "") -> Database:
        address = postgres._replace(user="migrator", password=secrets.token_hex())
        sql.run(f"CREATE ROLE migrator LOGIN PASSWORD '{address.password}' {rights}")
        sql.run(f"GRANT CREATE ON DATABASE {postgres.name} TO migrator")
        database = Database(load_settings(DatabaseSettings, {"DATABASE_URL": address.url}), timeout_seconds=10)
        opened.append(database)
        return database

    yield make
    for database in opened:
        database.close()
    for role in ("migrator", "rds_iam"):
        if sql.run("SELECT to_regrole(:role)", role=role) != [[None]]:
            sql.run(f"DROP OWNED BY {role} CASCADE")
            sql.run(f"DROP ROLE {role}")


def readable(sql: Connection) -> set[str]:
    rows = sql.run(
        "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace('voucher_customer') AND relkind = 'r'"
        " AND has_table_privilege('voucher_reader', oid, 'SELECT')"
    )
    return {name for (name,) in rows}


def is_read_only(sql: Connection) -> bool:
    rows = sql.run("SELECT setconfig FROM pg_db_role_setting WHERE setrole = to_regrole('voucher_reader')")
    return bool(rows == [[["default_transaction_read_only=on"]]])


def joined_iam(sql: Connection) -> bool:
    return bool(sql.run("SELECT pg_has_role('voucher_reader', 'rds_iam', 'MEMBER')") == [[True]])


def test_the_schema_is_brought_up_to_date_once(database: Database, sql: Connection) -> None:
    assert (migrate(database).applied, migrate(database).applied) == (ALL, [])
    assert migrate(database).schema == ALL


def test_an_older_schema_keeps_what_it_holds(pipeline: Pipeline) -> None:
    make_released(pipeline.sql, ALL[:1])
    pipeline.sql.run(
        "INSERT INTO voucher_customer.refreshes (trigger, as_of, started_at, outcome)"
        " VALUES ('daily', '2020-12-21', now(), 'running')"
    )
    with pytest.raises(SchemaError, match=f"{ALL[1]} is missing: run `make migrate`"):
        check_schema(pipeline.database)
    assert migrate(pipeline.database).applied == ALL[1:]
    check_schema(pipeline.database)
    pipeline.refresh(created(pipeline.put("v.parquet", [record()])))
    assert pipeline.column("SELECT trigger FROM voucher_customer.refreshes") == ["daily", "object_created"]


def test_everything_of_an_earlier_release_is_handed_to_the_writer(
    migrator: Migrator, sql: Connection, postgres: DatabaseAddress
) -> None:
    # Given a schema that belongs to the database's user, as in release 0.1.0
    database = migrator("CREATEROLE")
    with database.transaction() as connection:
        make_released(connection, [name for name in ALL if name < "008"])
    assert owners(sql) == {"migrator"}
    # When it is migrated
    migrate(database)
    # Then all of it is the writer's, who may do nothing but that
    assert owners(sql) == {"voucher_writer"}
    rights = "rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls"
    assert sql.run(f"SELECT {rights} FROM pg_roles WHERE rolname = 'voucher_writer'") == [[False]]  # noqa: S608
    assert readable(sql) == READ_BY_THE_API
    # And can be migrated again
    assert migrate(database).applied == []


def test_the_writer_refreshes_and_cannot_migrate(pipeline: Pipeline, postgres: DatabaseAddress) -> None:
    # Given a role that an administrator made, with a password
    [writer] = create_roles(postgres, WRITER)
    migrate(pipeline.database)
    database = Database(load_settings(DatabaseSettings, {"DATABASE_URL": writer.url}), timeout_seconds=10)
    try:
        # Then it can refresh
        refresh = make_refresh(load_settings(RefreshSettings, pipeline.environ), database, lambda: NOW)
        pipeline.refresh_with(refresh, created(pipeline.put("v.parquet", [record()])))
        assert len(pipeline.published()) == 2
        # And can neither make roles nor anything outside of its schema
        for statement in ("CREATE ROLE mine", "CREATE SCHEMA mine", "CREATE TABLE public.mine (a integer)"):
            with pytest.raises(DatabaseError, match="permission denied"), database.transaction() as connection:
                connection.run(statement)
    finally:
        database.close()


def test_neither_function_can_take_all_connections(
    database: Database, sql: Connection, postgres: DatabaseAddress
) -> None:
    # Given roles that sign in
    addresses = create_roles(postgres, WRITER, READER)
    migrate(database)
    [[most]] = sql.run("SELECT CAST(current_setting('max_connections') AS integer)")
    limits = dict(sql.run("SELECT rolname, rolconnlimit FROM pg_roles WHERE rolname LIKE 'voucher\\_%'"))
    assert limits == {WRITER: most * 3 // 10, READER: most * 6 // 10}
    # When one opens as many as it may
    opened: list[Connection] = []
    try:
        opened.extend(addresses[0].connect() for _ in range(limits[WRITER]))
        # Then it gets no more, and the other does
        with pytest.raises(LocalError, match="too many connections for role"):
            opened.append(addresses[0].connect())
        opened.append(addresses[1].connect())
    finally:
        for connection in opened:
            connection.close()


def test_of_the_roles_both_are_made_or_none(sql: Connection, postgres: DatabaseAddress) -> None:
    sql.run("CREATE ROLE voucher_reader")
    with pytest.raises(LocalError, match="its server has the role voucher_reader already"):
        create_roles(postgres, WRITER, READER)
    sql.run("DROP ROLE voucher_reader")
    assert [address.user for address in create_roles(postgres, WRITER, READER)] == [WRITER, READER]


def make_released(connection: Connection, names: list[str]) -> None:
    """Make the schema as an earlier release did, without roles of their own."""
    connection.run("CREATE SCHEMA voucher_customer")
    connection.run("CREATE TABLE voucher_customer.migrations (name text PRIMARY KEY, applied_at date DEFAULT now())")
    for name in names:
        connection.execute_simple((migrations.SQL_FOLDER / "migrations" / name).read_text())
        connection.run("INSERT INTO voucher_customer.migrations (name) VALUES (:name)", name=name)


def owners(sql: Connection) -> set[str]:
    """Return who owns the schema and what is in it."""
    rows = sql.run(
        "SELECT relowner::regrole::text FROM pg_class WHERE relnamespace = to_regnamespace('voucher_customer')"
        " UNION SELECT nspowner::regrole::text FROM pg_namespace WHERE nspname = 'voucher_customer'"
    )
    return {name for (name,) in rows}


def test_the_api_can_read_its_tables_and_do_nothing_else(pipeline: Pipeline) -> None:
    pipeline.refresh(created(pipeline.put("v.parquet", [record()])))
    connection = pipeline.reader.connect()
    for table in READ_BY_THE_API:
        connection.run(f"TABLE voucher_customer.{table}")
        assert connection.row_count > 0
    with pytest.raises(DatabaseError, match="read-only transaction"):
        connection.run("DELETE FROM voucher_customer.voucher_segments")
    connection.run("SET default_transaction_read_only = off")  # which anybody may
    tables = pipeline.column("SELECT tablename FROM pg_tables WHERE schemaname = 'voucher_customer'")
    assert {"ledger", "usage_totals", "migrations"} <= set(tables)
    for table in tables:
        refused = [f"TRUNCATE voucher_customer.{table}", f"COPY voucher_customer.{table} FROM STDIN"]
        if table not in READ_BY_THE_API:
            refused.append(f"TABLE voucher_customer.{table}")
        for statement in refused:
            with pytest.raises(DatabaseError, match="permission denied for table"):
                connection.run(statement)
    with pytest.raises(DatabaseError, match="permission denied for schema"):
        connection.run("CREATE TABLE voucher_customer.mine (a integer)")
    connection.close()
    assert len(pipeline.published()) == 2


def test_the_role_is_made_where_it_is_absent_and_has_no_password(migrator: Migrator, sql: Connection) -> None:
    migrate(migrator("CREATEROLE"))
    made = sql.run("SELECT rolcanlogin, rolpassword, rolsuper FROM pg_authid WHERE rolname = 'voucher_reader'")
    assert made == [[True, None, False]]
    assert readable(sql) == READ_BY_THE_API
    assert is_read_only(sql)


def test_a_role_that_an_administrator_made_gets_the_grants(migrator: Migrator, sql: Connection) -> None:
    database = migrator("")
    make_roles(sql)
    migrate(database)
    assert readable(sql) == READ_BY_THE_API
    assert not is_read_only(sql)  # which only an administrator could change


def make_roles(sql: Connection) -> None:
    """Do what an administrator does for a user who may make no roles."""
    for statement in ("CREATE ROLE voucher_writer LOGIN", "CREATE ROLE voucher_reader LOGIN", JOIN):
        sql.run(statement)


def test_a_user_who_may_not_make_the_roles_gets_each_remedy_and_nothing_is_changed(
    migrator: Migrator, sql: Connection
) -> None:
    database = migrator("")
    absent = "the role {0} is absent and migrator may not create it: an administrator has to run {1} first"
    for reason, remedy in (
        (absent.format("voucher_writer", "CREATE ROLE voucher_writer LOGIN"), "CREATE ROLE voucher_writer LOGIN"),
        (absent.format("voucher_reader", "CREATE ROLE voucher_reader LOGIN"), "CREATE ROLE voucher_reader LOGIN"),
        (f"migrator is not a member of voucher_writer: an administrator has to run {JOIN} first", JOIN),
    ):
        with pytest.raises(SchemaError) as refused:
            migrate(database)
        assert str(refused.value) == f"roles.sql: {reason}"
        assert sql.run("SELECT to_regnamespace('voucher_customer')") == [[None]]
        sql.run(remedy)
    assert migrate(database).applied == ALL


def test_on_rds_the_role_signs_in_with_iam(migrator: Migrator, sql: Connection) -> None:
    database = migrator("CREATEROLE")
    sql.run("CREATE ROLE rds_iam")
    sql.run("GRANT rds_iam TO migrator WITH ADMIN OPTION")
    migrate(database)
    assert joined_iam(sql)


@pytest.mark.parametrize("signs_in_with_iam", [True, False])
def test_on_rds_a_role_that_was_there_signs_in_as_the_refresh_function_does(
    migrator: Migrator, sql: Connection, signs_in_with_iam: bool
) -> None:
    """Members of rds_iam cannot sign in with a password any more."""
    database = migrator("CREATEROLE")
    sql.run("CREATE ROLE rds_iam")
    if signs_in_with_iam:
        sql.run("GRANT rds_iam TO migrator WITH ADMIN OPTION")
    sql.run("CREATE ROLE voucher_reader LOGIN PASSWORD 'of its own'")
    migrate(database)
    assert joined_iam(sql) is signs_in_with_iam
    assert readable(sql) == READ_BY_THE_API


def test_on_rds_a_user_who_may_not_let_the_roles_sign_in_with_iam_gets_the_remedy(
    migrator: Migrator, sql: Connection
) -> None:
    database = migrator("")
    sql.run("CREATE ROLE rds_iam")
    sql.run("GRANT rds_iam TO migrator")
    make_roles(sql)
    for name in (WRITER, READER):
        remedy = f"GRANT rds_iam TO {name}"
        with pytest.raises(SchemaError) as refused:
            migrate(database)
        assert str(refused.value) == (
            f"roles.sql: migrator may not let {name} sign in with IAM: an administrator has to run {remedy} first"
        )
        sql.run(remedy)
    migrate(database)
    assert joined_iam(sql)
    assert readable(sql) == READ_BY_THE_API


def test_a_row_of_refreshes_has_the_fields_of_a_run(pipeline: Pipeline) -> None:
    pipeline.refresh(created(pipeline.put("v.parquet", [record()])))
    columns = pipeline.column(
        "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass('voucher_customer.refreshes') AND attnum > 0"
    )
    assert sorted(columns) == sorted([*{*RefreshRow.__struct_fields__} - {"errors"}, "error"])
