"""Operate a deployed stack: `python -m infra.operations COMMAND`, see `--help`.

It acts on the stack that the environment points to: on AWS by AWS_PROFILE and AWS_REGION, on this machine after
`source .local/env`. Each command prints first on which stack, account and region it acts.
"""

import argparse
import os
import sys
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from infra.arguments import Parser, day, named, settings
from infra.operations import analyses, commands
from infra.operations.deployed import DEFAULT_NAME, Deployed, OperationError, settle_region
from infra.operations.teardown import teardown


def _check(stack: Deployed, given: argparse.Namespace) -> None:
    # Here, because cfn-lint takes seconds to import.
    from infra.operations.deploy import check

    check(stack, dict(chain.from_iterable(given.parameters)))


def _deploy(stack: Deployed, given: argparse.Namespace) -> None:
    # Here, because cfn-lint takes seconds to import.
    from infra.operations.deploy import deploy

    deploy(stack, dict(chain.from_iterable(given.parameters)))


def _parser() -> Parser:
    parser = Parser(prog="python -m infra.operations", description=__doc__)
    parser.add_argument("--stack", default=DEFAULT_NAME, help="the stack's name")
    subparsers = parser.add_subparsers(required=True)

    def add(name: str, run: Callable[[Deployed, Any], None], does: str) -> Parser:
        subparser = subparsers.add_parser(name, help=does)
        subparser.set_defaults(run=run)
        return subparser

    checking = add("preflight", _check, "check account and region")
    deploying = add("deploy", _deploy, "build, deploy, migrate")
    for subparser in (checking, deploying):
        subparser.add_argument(
            "parameters", nargs="*", type=settings, help="parameters to change, like Countries=Peru,China"
        )
    add("migrate", lambda stack, _: commands.migrate(stack), "bring the schema up to date")
    refreshing = add(
        "refresh", lambda stack, given: commands.refresh(stack, given.as_of, None, given.accept), "refresh once"
    )
    refreshing.add_argument(
        "--accept", help="count objects whose keys begin with this, however many of their rows are rejected"
    )
    backfilling = add(
        "backfill",
        lambda stack, given: commands.refresh(stack, given.as_of, given.prefix),
        "refresh only the keys under a prefix",
    )
    backfilling.add_argument("prefix", type=named("PREFIX=vouchers/2019/"))
    counting = add(
        "backlog",
        lambda stack, given: commands.backlog(stack, given.as_of, given.prefix),
        "count on many functions at once what is not counted yet",
    )
    counting.add_argument("--prefix", help="such as vouchers/2019/")
    for subparser in (refreshing, backfilling, counting):
        subparser.add_argument("--as-of", type=day, help="publish as of this day")
    verifying = add(
        "verify",
        lambda stack, given: commands.verify(stack, given.prefix, fix=given.fix),
        "recount the bucket and compare",
    )
    verifying.add_argument("--prefix", help="only the keys under it")
    verifying.add_argument("--fix", action="store_true", help="repair what differs")
    reporting = add(
        "report",
        lambda stack, given: commands.report(stack, given.as_of, in_browser=given.open),
        "fetch the page that shows what is published",
    )
    reporting.add_argument("--as-of", type=day, help="the page of this day")
    reporting.add_argument("--open", action="store_true", help="open it in a browser")
    asking = add(
        "why", lambda stack, given: analyses.why(stack, given.segment, given.countries), "explain why amounts changed"
    )
    asking.add_argument(
        "segment", type=named("SEGMENT=recency_segment"), help="a family, or a segment such as 'recency_segment 180+'"
    )
    asking.add_argument("--countries", default="", help="of this country only")
    slicing = add(
        "slice",
        lambda stack, given: analyses.show_slice(stack, given.prefix, given.against),
        "count the objects of a prefix",
    )
    slicing.add_argument("prefix", type=named("PREFIX=vouchers/2020-05/"))
    slicing.add_argument("--against", help="compare with the objects under this prefix")
    trying = add(
        "what-if",
        lambda stack, given: analyses.what_if(stack, Path(given.rules), given.as_of, given.countries),
        "show what other segments would give",
    )
    trying.add_argument(
        "rules", type=named("RULES=path/to/rules.sql"), help="a file like infra/sql/customer_segments.sql"
    )
    trying.add_argument("--as-of", type=day, help="as of this day")
    trying.add_argument("--countries", default="", help="such as Peru,China")
    add("redrive", lambda stack, _: commands.redrive(stack), "run again what waits in the failure queue")
    reading = add(
        "logs", lambda stack, given: commands.logs(stack, given.minutes, raw=given.raw), "print the latest log lines"
    )
    reading.add_argument("--minutes", type=int, default=10)
    reading.add_argument("--raw", action="store_true", help="print every line unchanged")
    deleting = add("teardown", lambda stack, given: teardown(stack, given.confirm), "delete the stack")
    deleting.add_argument("--confirm", default="", help="the stack's name once more")
    return parser


def main() -> None:
    """Run one command; on failure print one line and exit with status 1."""
    arguments = _parser().parse_args()
    settle_region(os.environ)
    stack = Deployed(arguments.stack)
    try:
        print(stack.place, flush=True)
        arguments.run(stack, arguments)
    except (OperationError, BotoCoreError, ClientError) as error:
        sys.exit(f"failed: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted: what the command started in the stack goes on there")


if __name__ == "__main__":
    main()
