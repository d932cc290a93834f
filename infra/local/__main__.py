"""The stack on this machine, and what needs none: `python -m infra.local demo|up|down|explore`."""

import argparse
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from rich.console import Console

from infra import ROOT
from infra.arguments import day
from infra.local.containers import has_engine
from infra.local.demo import objects_of, run_demo
from infra.local.emulator import EMULATORS
from infra.local.explore import explore
from infra.local.processes import LocalError
from infra.local.stack import CONTAINERS, Stack, load_stack, start_stack
from infra.operations.deployed import OperationError

_UP = ROOT / ".local"
_console = Console(highlight=False)


@contextmanager
def step(text: str) -> Iterator[None]:
    """Show a step: under way, then done and how long it took; nothing at all when nobody watches.

    Raises
    ------
    LocalError
        The step's own, with the step named first.
    """
    started = time.monotonic()
    try:
        if _console.is_terminal:
            with _console.status(text):
                yield
            _console.print(f"[green]✓[/green] {text} [dim]{time.monotonic() - started:.1f} s[/dim]")
        else:
            yield
    except (LocalError, OperationError) as error:
        raise LocalError(f"{text}: {error}") from error


def _demo(arguments: argparse.Namespace) -> None:
    if arguments.data is not None:
        objects_of(arguments.data)  # before anything is started
    folder = _UP / f"demo-{os.getpid()}"
    stack: Stack | None = None
    try:
        stack = start_stack(folder, countries=arguments.countries, emulator=arguments.emulator, step=step)
        run_demo(stack, data=arguments.data, as_of=arguments.as_of, step=step)
    finally:
        if stack:
            stack.stop()
    shutil.rmtree(folder)  # kept only when something failed: it holds the logs
    print(
        "\nNext: `make demo DATA=file-or-folder AS_OF=2018-08-05 COUNTRIES=Peru,China` does the same with your own\n"
        "parquet; `make up` leaves the stack running for aws, psql and curl (see README.md)."
    )


def _up(arguments: argparse.Namespace) -> None:
    emulator = arguments.emulator
    if emulator == CONTAINERS and not has_engine():
        print("No container engine runs here: LocalStack and PostgreSQL start on this machine itself.")
        emulator = "localstack"
    start_stack(_UP, countries=arguments.countries, emulator=emulator, step=step)
    print("The stack is up. `source .local/env` lets aws, psql and curl talk to it; `make down` stops it.")


def _down(_: argparse.Namespace) -> None:
    stack = load_stack(_UP)
    if stack is None:
        print("nothing is running")
        return
    stack.stop()
    print("stopped")


def _explore(arguments: argparse.Namespace) -> None:
    if not explore(objects_of(arguments.data), as_of=arguments.as_of, countries=arguments.countries, step=step):
        sys.exit(1)


def _terminate(signum: int, _: FrameType | None) -> None:
    sys.exit(128 + signum)  # unwinds, so that everything is stopped


def main() -> None:
    """Run one command; on failure print one line and exit with status 1."""
    parser = argparse.ArgumentParser(prog="python -m infra.local", description=__doc__)
    commands = parser.add_subparsers(required=True)
    demo = commands.add_parser("demo", help="do the main job and stop again")
    demo.add_argument("--data", help="parquet files or folders of your own")
    demo.add_argument("--as-of", type=day, help="then publish as of this day")
    up = commands.add_parser("up", help="start the stack and leave it running")
    for command in (demo, up):
        command.add_argument("--countries", default="Peru", help="the countries to publish: Peru,China")
    demo.add_argument("--emulator", default="ministack", choices=EMULATORS, help="what stands for AWS")
    up.add_argument("--emulator", default="ministack", choices=[*EMULATORS, CONTAINERS], help="what stands for AWS")
    down = commands.add_parser("down", help="stop it")
    exploring = commands.add_parser("explore", help="profile parquet as the refresh function would take it")
    exploring.add_argument("--data", required=True, help="parquet files or folders")
    exploring.add_argument("--as-of", type=day, help="the day to publish as of, instead of today")
    exploring.add_argument("--countries", default="", help="the countries to publish, instead of all that occur")
    for command, run in ((demo, _demo), (up, _up), (down, _down), (exploring, _explore)):
        command.set_defaults(run=run)
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, _terminate)
    try:
        arguments.run(arguments)
    except LocalError as error:
        sys.exit(f"failed: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted: everything is stopped")


if __name__ == "__main__":
    main()
