"""Commands that run the stack on this machine, or need none: `python -m infra.local demo|up|down|env|explore`."""

import argparse
import os
import shutil
import sys

from functions.common.families import SegmentRulesError
from functions.refresh.settings import write_names
from infra import ROOT
from infra.arguments import Parser, country_names, day
from infra.local.containers import why_no_engine
from infra.local.demo import run_demo
from infra.local.emulator import EMULATORS
from infra.local.objects import MAX_COUNTRIES, check_files, countries_of, objects_of
from infra.local.processes import LocalError, step, unwind_on_signals
from infra.local.stack import CONTAINERS, DEFAULT_COUNTRIES, Stack, load_stack
from infra.local.starting import start_stack, write_environment
from infra.operations.deployed import OperationError

_UP = ROOT / ".local"

_NEXT = (
    "`make demo DATA=file-or-folder AS_OF=2018-08-05 COUNTRIES=Peru,China` does the same with your own\n"
    "parquet; `make up` leaves the stack running for aws, psql and curl (see README.md)."
)
_NEXT_WITH_DATA = "`make up` leaves the stack running for aws, psql and curl (see README.md)."


def _demo(arguments: argparse.Namespace) -> None:
    data, countries = arguments.data, arguments.countries
    if data is not None:  # find mistakes in the data before anything is started
        objects = objects_of(data)
        check_files(objects)
        if not countries:
            with step("read which countries occur"):
                countries = write_names(countries_of(objects)[:MAX_COUNTRIES])
    folder = _UP / f"demo-{os.getpid()}"
    stack: Stack | None = None
    try:
        stack = start_stack(folder, countries=countries or DEFAULT_COUNTRIES, emulator=arguments.emulator)
        verdict = run_demo(stack, data=data, as_of=arguments.as_of, full=arguments.full)
    finally:
        if stack:
            stack.stop()
    shutil.rmtree(folder)  # kept only when something failed: it holds the logs
    print(f"Next: {_NEXT if data is None else _NEXT_WITH_DATA}\n\n{verdict}")


def _up(arguments: argparse.Namespace) -> None:
    emulator = arguments.emulator
    if emulator == CONTAINERS and (reason := why_no_engine()):
        print(f"No containers ({reason}): LocalStack and PostgreSQL start on this machine itself.")
        emulator = "localstack"
    start_stack(_UP, countries=arguments.countries or DEFAULT_COUNTRIES, emulator=emulator)
    print("The stack is up. `source .local/env` lets aws, psql and curl talk to it; `make down` stops it.")


def _down(_: argparse.Namespace) -> None:
    stack = load_stack(_UP)
    if stack is None:
        print("nothing is running")
        return
    print(f"stopped: {stack.stop()}")


def _env(_: argparse.Namespace) -> None:
    stack = load_stack(_UP)
    if stack and stack.is_running:
        write_environment(stack)


def _explore(arguments: argparse.Namespace) -> None:
    with step("load the function's code"):  # here, because moto and awswrangler take seconds to import
        from infra.local.explore import explore
    if not explore(objects_of(arguments.data), as_of=arguments.as_of, countries=arguments.countries):
        sys.exit(1)


def main() -> None:
    """Run one command; on failure print one line and exit with status 1."""
    parser = Parser(prog="python -m infra.local", description=__doc__)
    commands = parser.add_subparsers(required=True)
    demo = commands.add_parser("demo", help="do the main job and stop again")
    demo.add_argument("--data", help="parquet files or folders of your own")
    demo.add_argument("--as-of", type=day, help="then publish as of this day")
    demo.add_argument("--full", action="store_true", help="print the whole table, however long it is")
    up = commands.add_parser("up", help="start the stack and leave it running")
    for command in (demo, up):
        command.add_argument("--countries", type=country_names, help="the countries to publish: Peru,China")
    demo.add_argument("--emulator", default="ministack", choices=EMULATORS, help="the emulator of AWS")
    up.add_argument("--emulator", default="ministack", choices=[*EMULATORS, CONTAINERS], help="the emulator of AWS")
    down = commands.add_parser("down", help="stop the stack")
    env = commands.add_parser("env", help="write .local/env again if the stack runs: a deployment may move the API")
    exploring = commands.add_parser("explore", help="profile parquet as the refresh function would take it")
    exploring.add_argument("--data", default="", help="parquet files or folders")
    exploring.add_argument("--as-of", type=day, help="the day to publish as of, instead of today")
    exploring.add_argument(
        "--countries", type=country_names, default="", help="the countries to publish, instead of all that occur"
    )
    for command, run in ((demo, _demo), (up, _up), (down, _down), (env, _env), (exploring, _explore)):
        command.set_defaults(run=run)
    arguments = parser.parse_args()
    unwind_on_signals()
    try:
        arguments.run(arguments)
    except (LocalError, OperationError, SegmentRulesError) as error:
        sys.exit(f"failed: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted: everything is stopped")


if __name__ == "__main__":
    main()
