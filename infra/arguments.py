"""Arguments that several command lines share. Their errors name the variables of `make`."""

import argparse
import re
import shlex
from collections.abc import Callable
from datetime import date
from typing import NoReturn

from functions.common.days import parse_day
from functions.refresh.settings import read_names


class Parser(argparse.ArgumentParser):
    """Reports a wrong argument in one line that names the variable of `make`."""

    def error(self, message: str) -> NoReturn:
        """Exit with status 2, as argparse does."""
        missing = re.sub(r"^the following arguments are required: (.+)$", r"\1 is missing", message)
        text = re.sub(r"^argument ", "", missing)
        named = re.sub(r"^(?:--)?([a-z-]+)(?=:| is missing)", lambda found: found[1].replace("-", "_").upper(), text)
        self.exit(2, f"failed: {named}\n")


def day(text: str) -> date:
    """Read a day such as 2018-08-05.

    Raises
    ------
    argparse.ArgumentTypeError
        When it is not a day; argparse reports it.
    """
    try:
        return parse_day(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a day like 2018-08-05") from error


def named(example: str) -> Callable[[str], str]:
    """Return a reader of text that has to be there; `make` passes a variable that is not set as empty text.

    Parameters
    ----------
    example : str
        The variable with a value, for the error.
    """

    def read(text: str) -> str:
        if not text:
            raise argparse.ArgumentTypeError(f"it is missing; give one, such as {example}")
        return text

    return read


def settings(text: str) -> list[tuple[str, str]]:
    """Read settings such as `Countries=Peru,China ApiRate=90`, split at spaces as a shell does.

    Raises
    ------
    argparse.ArgumentTypeError
        When a word is not a setting, or a quote is not closed; argparse reports it.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"a quote is not closed in {text!r}") from error
    found = [word.partition("=") for word in words]
    for name, separator, _ in found:
        if not separator:
            raise argparse.ArgumentTypeError(
                f"{name!r} is not a setting like Countries=Peru,China; a value with a space takes quotes of its own:"
                """ PARAMETERS="Countries='Costa Rica,Peru'\""""
            )
    return [(name, value) for name, _, value in found]


def country_names(text: str) -> str:
    """Check that text names countries as the parameter `Countries` does; empty text stands for the default.

    Raises
    ------
    argparse.ArgumentTypeError
        When it names none; argparse reports it.
    """
    if text and not read_names(text):
        raise argparse.ArgumentTypeError(f"{text!r} names no country: write them like Peru,China")
    return text
