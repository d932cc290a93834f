"""Operate a deployed stack: `python -m infra.operations COMMAND`, of which `--help` lists all.

It is the stack that the environment points to: on AWS by AWS_PROFILE and AWS_REGION, on this machine after
`source .local/env`.
"""

import argparse
import sys
from collections.abc import Callable

from botocore.exceptions import BotoCoreError, ClientError

from infra.arguments import day
from infra.operations import commands
from infra.operations.deploy import deploy
from infra.operations.deployed import DEFAULT_NAME, Deployed, OperationError


def _setting(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"{text!r} is no setting like Countries=Peru,China")
    return name, value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m infra.operations", description=__doc__)
    parser.add_argument("--stack", default=DEFAULT_NAME, help="the stack's name")
    subparsers = parser.add_subparsers(dest="command", required=True)
    deploying = subparsers.add_parser("deploy", help="build, deploy, migrate")
    deploying.add_argument("--guided", action="store_true", help="let SAM ask for each parameter")
    deploying.add_argument(
        "parameters", nargs="*", type=_setting, help="parameters to change, like Countries=Peru,China"
    )
    subparsers.add_parser("migrate", help="bring the schema up to date")
    refreshing = subparsers.add_parser("refresh", help="refresh once")
    backfilling = subparsers.add_parser("backfill", help="refresh only what lies under a prefix")
    backfilling.add_argument("prefix", help="such as vouchers/2019/")
    counting = subparsers.add_parser("backlog", help="count on many functions at once what is not counted yet")
    counting.add_argument("--prefix", help="such as vouchers/2019/")
    for subparser in (refreshing, backfilling, counting):
        subparser.add_argument("--as-of", type=day, help="publish as of this day")
    verifying = subparsers.add_parser("verify", help="recount the bucket and compare")
    verifying.add_argument("--prefix", help="only what lies under it")
    verifying.add_argument("--fix", action="store_true", help="mend what differs")
    subparsers.add_parser("redrive", help="run again what waits in the failure queue")
    reading = subparsers.add_parser("logs", help="print the latest log lines of both functions")
    reading.add_argument("--minutes", type=int, default=10)
    deleting = subparsers.add_parser("teardown", help="delete the stack")
    deleting.add_argument("--confirm", default="", help="the stack's name once more")
    return parser


def main() -> None:
    """Run one command; on failure print one line and exit with status 1."""
    arguments = _parser().parse_args()
    stack = Deployed(arguments.stack)
    actions: dict[str, Callable[[], None]] = {
        "deploy": lambda: deploy(stack, dict(arguments.parameters), guided=arguments.guided),
        "migrate": lambda: commands.migrate(stack),
        "refresh": lambda: commands.refresh(stack, arguments.as_of, None),
        "backfill": lambda: commands.refresh(stack, arguments.as_of, arguments.prefix),
        "backlog": lambda: commands.backlog(stack, arguments.as_of, arguments.prefix),
        "verify": lambda: commands.verify(stack, arguments.prefix, fix=arguments.fix),
        "redrive": lambda: commands.redrive(stack),
        "logs": lambda: commands.logs(stack, arguments.minutes),
        "teardown": lambda: commands.teardown(stack, arguments.confirm),
    }
    try:
        actions[arguments.command]()
    except (OperationError, BotoCoreError, ClientError) as error:
        sys.exit(f"failed: {error}")


if __name__ == "__main__":
    main()
