"""Programs that the local stack starts: all of them end."""

import subprocess
import sys

import pytest

from infra.local.processes import stop_session, wait_for
from tests.support import has_ended

# It starts a child in a group of its own, says which, and takes the politeness of SIGTERM or not.
_LEADER = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.{action})
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], process_group=0)
print(child.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("action", ["SIG_DFL", "SIG_IGN"])
def test_a_program_ends_with_all_that_it_started(action: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")  # of a narrow terminal, which is not to hide the word that we look for
    leader = subprocess.Popen(
        [sys.executable, "-c", _LEADER.format(action=action)], stdout=subprocess.PIPE, start_new_session=True
    )
    assert leader.stdout is not None
    child = int(leader.stdout.readline())
    leader.stdout.close()
    stop_session(leader.pid, name="signal.SIGTERM")
    assert has_ended(leader.pid)
    assert wait_for("its child has ended", lambda: has_ended(child), seconds=60)
    leader.wait()


def test_a_program_that_its_starter_has_left_ends_with_all_that_it_started() -> None:
    # Given a program that is nobody's child any more, as after `make up`: once it ends, nothing is left of its group
    leader = "import os; print(os.getpid(), flush=True)" + _LEADER.format(action="SIG_DFL")
    start = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', sys.argv[1]], start_new_session=True)"
    starter = subprocess.Popen([sys.executable, "-c", start, leader], stdout=subprocess.PIPE)
    assert starter.stdout is not None
    pid, child = int(starter.stdout.readline()), int(starter.stdout.readline())
    starter.stdout.close()
    starter.wait()

    # When it is stopped
    stop_session(pid, name="signal.SIGTERM")

    # Then so is what it started
    assert wait_for("its child has ended", lambda: has_ended(child), seconds=60)


def test_a_number_that_belongs_to_another_program_by_now_is_left_alone() -> None:
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    stop_session(other.pid, name="ministack")
    assert not has_ended(other.pid)
    other.kill()
    other.wait()
