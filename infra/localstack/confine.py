"""Start a function's process as Lambda does: only its temporary folder can be written to.

`python confine.py FOLDER HANDLER` becomes AWS's runtime client. It is a program of its own because a process cannot
regain the rights that it gives up. It runs on the function's Python, so it imports the standard library only.
"""

import ctypes
import os
import sys

# The system calls of Landlock, the same number on every architecture, and what they take (linux/landlock.h).
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_ASK_VERSION = 1
_PATH_BENEATH = 1
_NO_NEW_PRIVILEGES = 38

_WRITE_FILE = 1 << 1
_REMOVE_AND_MAKE = sum(1 << bit for bit in range(4, 13))  # files and folders of all kinds
_MOVE = 1 << 13  # from the kernel's second version on
_TRUNCATE = 1 << 14  # from its third on


class _Ruleset(ctypes.Structure):
    _fields_ = (("handled_access_fs", ctypes.c_uint64),)


class _Rule(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"  # `_pack_` implies it; from Python 3.14 on it has to be named
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


def landlock_version() -> int:
    """Return which version of Landlock this kernel has, 0 for none."""
    return max(0, int(ctypes.CDLL(None).syscall(_CREATE_RULESET, None, 0, _ASK_VERSION)))


def allow_writing_only_to(folder: str) -> None:
    """Let this process, and all that it becomes or starts, write nowhere but to a folder and /dev/null.

    A kernel without Landlock (Linux before 5.13) leaves things as they are.

    Raises
    ------
    OSError
        When the kernel has Landlock and refuses.
    """
    version = landlock_version()
    if version == 0:
        return
    files = _WRITE_FILE | (_TRUNCATE if version >= 3 else 0)
    everything = files | _REMOVE_AND_MAKE | (_MOVE if version >= 2 else 0)
    ruleset = _Ruleset(everything)
    rules = _call(_CREATE_RULESET, ctypes.byref(ruleset), ctypes.sizeof(ruleset), 0)
    for path, access in ((folder, everything), (os.devnull, files)):
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        rule = _Rule(access, place)
        _call(_ADD_RULE, rules, _PATH_BENEATH, ctypes.byref(rule), 0)
        os.close(place)
    ctypes.CDLL(None).prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    _call(_RESTRICT_SELF, rules, 0)
    os.close(rules)


def _call(number: int, *arguments: object) -> int:
    result = int(ctypes.CDLL(None, use_errno=True).syscall(number, *arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), f"Landlock: {os.strerror(ctypes.get_errno())}")
    return result


if __name__ == "__main__":
    allow_writing_only_to(sys.argv[1])
    os.execv(sys.executable, [sys.executable, "-m", "awslambdaric", sys.argv[2]])  # noqa: S606 - no shell is meant
