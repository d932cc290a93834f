"""The schema: brought up to date by whom it may be, and the API's role that can read and nothing else."""

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pg8000.exceptions import DatabaseError
from pg8000.native import Connection

from functions.common.database import Database
from functions.common.settings import DatabaseSettings, load_settings
from functions.refresh.ledger import schema
from functions.refresh.ledger.schema import SchemaError, migrate
from functions.refresh.results import RefreshRow
from infra.local.postgres import DatabaseAddress
from tests.functional.conftest import Pipeline
from tests.support import created, record

READ_BY_THE_API = {"customer_segments", "publication", "refreshes", "segment_families", "voucher_segments"}
ALL = sorted(path.name for path in (schema.SQL_FOLDER / "migrations").glob("*.sql"))


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


def test_an_older_schema_keeps_what_it_holds(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first = schema.SQL_FOLDER / "migrations" / ALL[0]
    (tmp_path / "migrations").mkdir()
    (tmp_path / "migrations" / first.name).write_text(first.read_text())
    with monkeypatch.context() as older:
        older.setattr(schema, "SQL_FOLDER", tmp_path)
        assert migrate(pipeline.database).schema == [first.name]
        pipeline.sql.run(
            "INSERT INTO voucher_customer.refreshes (trigger, as_of, started_at, outcome)"
            " VALUES ('daily', '2020-12-21', now(), 'running')"
        )
    assert migrate(pipeline.database).applied == ALL[1:]
    pipeline.refresh(created(pipeline.put("v.parquet", [record()])))
    assert pipeline.column("SELECT trigger FROM voucher_customer.refreshes") == ["daily", "object_created"]


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
    sql.run("CREATE ROLE voucher_reader LOGIN")
    migrate(migrator(""))
    assert readable(sql) == READ_BY_THE_API
    assert not is_read_only(sql)  # which only an administrator could change


def test_whoever_may_not_make_the_role_is_told_the_remedy_and_nothing_is_changed(
    migrator: Migrator, sql: Connection
) -> None:
    database = migrator("")
    with pytest.raises(SchemaError) as refused:
        migrate(database)
    assert str(refused.value) == (
        "002_reader.sql: the role voucher_reader is absent and migrator may not create it:"
        " an administrator has to run CREATE ROLE voucher_reader LOGIN first"
    )
    assert sql.run("SELECT to_regnamespace('voucher_customer')") == [[None]]
    sql.run("CREATE ROLE voucher_reader LOGIN")
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


def test_on_rds_a_role_that_may_not_be_changed_gets_the_grants(migrator: Migrator, sql: Connection) -> None:
    database = migrator("")
    sql.run("CREATE ROLE rds_iam")
    sql.run("GRANT rds_iam TO migrator")
    sql.run("CREATE ROLE voucher_reader LOGIN")
    migrate(database)
    assert not joined_iam(sql)
    assert readable(sql) == READ_BY_THE_API


def test_a_row_of_refreshes_has_the_fields_of_a_run(pipeline: Pipeline) -> None:
    pipeline.refresh(created(pipeline.put("v.parquet", [record()])))
    columns = pipeline.column(
        "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass('voucher_customer.refreshes') AND attnum > 0"
    )
    assert sorted(columns) == sorted([*{*RefreshRow.__struct_fields__} - {"errors"}, "error"])
