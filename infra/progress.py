"""A line that moves while something takes its time: what is under way, its latest detail, and for how long.

It uses the standard library only, because `make setup` runs it before anything else is installed:
`python infra/progress.py TEXT COMMAND ...` runs a command behind the line, and prints what it said only if it fails.
"""

import itertools
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import ClassVar

_SECONDS_BETWEEN_MOVES = 0.1
_SECONDS_BETWEEN_LINES = 2.5
_MOST_LINES = 20

# What a line of output is about: a package as uv names it, or a resource in SAM's table of events.
_DETAIL = re.compile(
    r"^(?:CREATE|UPDATE|DELETE)_\w+ +AWS::\S+ +(?P<resource>\S+)|(?P<package>[\w.-]+)==(?P<version>\d[\w.+]*)"
)

Tell = Callable[[str], None]
"""Takes a line of output, of which the moving line shows what it is about."""


class Progress:
    """Shows on standard error that something is under way.

    On a terminal the line moves and ends as a tick; elsewhere a new line is added every few seconds.

    Parameters
    ----------
    text : str
        What is under way.

    Examples
    --------
    >>> with Progress("deploy template.yaml") as progress:
    ...     progress.tell("CREATE_COMPLETE   AWS::S3::Bucket   VoucherBucket   -")
    """

    _shown: ClassVar["Progress | None"] = None

    def __init__(self, text: str) -> None:
        self._text = text
        self._detail = ""
        self._began = time.monotonic()
        self._ended = threading.Event()
        self._moves = sys.stderr.isatty()
        self._teller = threading.Thread(target=self._move if self._moves else self._repeat, daemon=True)

    def __enter__(self) -> "Progress":
        if Progress._shown:  # one line at a time: that of the whole, not of its part
            return self
        Progress._shown = self
        if not self._moves:
            _paint(f"{self._text} …\n")
        self._teller.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if Progress._shown is not self:
            return
        Progress._shown = None
        self._ended.set()
        self._teller.join()
        if self._moves:
            took = f"✓ {self._text}  {time.monotonic() - self._began:.1f} s\n" if kind is None else ""
            _paint(f"\r\x1b[K{took}")

    def tell(self, line: str) -> None:
        """Show the package or the resource that a line of output is about; ignore other lines."""
        if found := _DETAIL.search(line):
            self._detail = found["resource"] or f"{found['package']} {found['version']}"

    def show(self, detail: str) -> None:
        """Show how far the work is; without a terminal, in a new line for each change."""
        if detail != self._detail and not self._moves:
            _paint(f"{self._text}: {detail}\n")
        self._detail = detail

    def _move(self) -> None:
        for sign in itertools.cycle("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"):
            line = f"{sign} {self._text}  {time.monotonic() - self._began:.0f} s  {self._detail}"
            _paint(f"\r{line[: shutil.get_terminal_size().columns - 1]}\x1b[K")
            if self._ended.wait(_SECONDS_BETWEEN_MOVES):
                return

    def _repeat(self) -> None:
        while not self._ended.wait(_SECONDS_BETWEEN_LINES):
            _paint(f"{self._text}: {time.monotonic() - self._began:.0f} s  {self._detail}".rstrip() + "\n")


def _paint(text: str) -> None:
    with suppress(OSError):  # the terminal was closed
        sys.stderr.write(text)
        sys.stderr.flush()


def main() -> None:
    """Run the command in the arguments; if it fails, print its last lines and fail too."""
    text, *command = sys.argv[1:]
    lines: list[str] = []
    with Progress(text) as progress:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for line in process.stdout or ():
            progress.tell(line)
            if not line.startswith(("DEBUG", "TRACE")):
                lines.append(line)
        status = process.wait()
    if status:
        sys.stderr.writelines(lines[-_MOST_LINES:])
        sys.exit(f"failed: {text}: {command[0]} ended with status {status}")


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
        sys.exit()
    sys.exit("interrupted")
