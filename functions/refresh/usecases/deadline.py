"""The deadline of a run: when it stops reading, so that what it counted is published in time."""

import math
import threading
from collections.abc import Callable

PUBLISHING_SECONDS = 60
"""Time reserved for publishing: as long as a run waits for the database's lock."""


class OutOfTimeError(Exception):
    """The deadline passed inside an object."""


class Deadline:
    """When a run has to stop reading.

    Parameters
    ----------
    seconds_left : callable
        Gives the seconds until the run is killed; unlimited by default.

    Examples
    --------
    >>> Deadline(lambda: 900).is_over
    False
    """

    def __init__(self, seconds_left: Callable[[], float] = lambda: math.inf) -> None:
        self._seconds_left = seconds_left
        # A function with less time than that in total should still do some work.
        self._reserve = min(PUBLISHING_SECONDS, seconds_left() / 2)
        self._lock = threading.Lock()
        self._has_progress = False

    @property
    def is_over(self) -> bool:
        """Whether the remaining time is needed for publishing."""
        return self._seconds_left() < self._reserve

    def check(self) -> None:
        """Check that there is time to read on.

        Raises
        ------
        OutOfTimeError
            When there is not.
        """
        if self.is_over:
            raise OutOfTimeError

    def mark_progress(self) -> bool:
        """Note that an object is done, and return whether it is the first of the run."""
        with self._lock:
            is_first, self._has_progress = not self._has_progress, True
        return is_first
