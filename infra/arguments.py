"""Arguments that more than one command line takes."""

import argparse
from datetime import date

from functions.common.days import parse_day


def day(text: str) -> date:
    """Read a day such as 2018-08-05.

    Raises
    ------
    argparse.ArgumentTypeError
        When it is none; argparse says so.
    """
    try:
        return parse_day(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no day like 2018-08-05") from error
