"""Cut points: where to divide a dimension into segments, by quantiles, or so that most used amounts are kept apart."""

from collections.abc import Iterable

import msgspec
import numpy as np
import numpy.typing as npt

MAX_BINS = 200
"""More values than this are merged with their neighbours: the work grows with the square of their number."""

_MIN_VOUCHERS = 30

Integers = npt.NDArray[np.int64]


class Cuts(msgspec.Struct, frozen=True):
    """Where to cut a dimension.

    Attributes
    ----------
    quantiles : list of int
        The first number of each segment but the lowest, so that each holds about as many vouchers.
    best : list of int
        The same, so that as many vouchers as possible have the most used amount of their segment; fewer than asked for
        where more cuts gain nothing.
    vouchers, of_most_used : int
        All vouchers, and those that would have the most used amount of their segment by the best cuts.
    """

    quantiles: list[int]
    best: list[int]
    vouchers: int
    of_most_used: int


def suggest_cuts(usage: Iterable[tuple[int, int, int]], segments: int) -> Cuts:
    """Suggest how to divide a dimension into a number of segments at most.

    Parameters
    ----------
    usage : iterable of (int, int, int)
        Numbers of the dimension with an amount each, and how many vouchers have both.

    Examples
    --------
    >>> suggest_cuts([(1, 2640, 50), (2, 2640, 40), (3, 4400, 60), (3, 2640, 10)], 3)
    Cuts(quantiles=[3], best=[3], vouchers=160, of_most_used=150)
    """
    numbers, counts = _table(usage)
    starts, below = _bins(numbers, counts)
    chosen, of_most_used = _best(below, segments)
    return Cuts(
        _quantiles(numbers, counts.sum(axis=1), segments),
        [int(starts[at]) for at in chosen],
        int(counts.sum()),
        of_most_used,
    )


def _table(usage: Iterable[tuple[int, int, int]]) -> tuple[Integers, Integers]:
    """Return the numbers in their order, and their counts by amount."""
    number, amount, count = (np.array(column, np.int64) for column in zip(*usage, strict=True))
    numbers, rows = np.unique(number, return_inverse=True)
    amounts, columns = np.unique(amount, return_inverse=True)
    counts = np.zeros((len(numbers), len(amounts)), np.int64)
    np.add.at(counts, (rows, columns), count)
    return numbers, counts


def _quantiles(numbers: Integers, vouchers: Integers, segments: int) -> list[int]:
    below = np.cumsum(vouchers) - vouchers
    limits = [vouchers.sum() * part / segments for part in range(1, segments)]
    cuts = {int(numbers[at]) for limit in limits if 0 < (at := int(np.searchsorted(below, limit))) < len(numbers)}
    return sorted(cuts)


def _bins(numbers: Integers, counts: Integers) -> tuple[Integers, Integers]:
    """Return the first number of each bin, and the counts by amount below each, then of all."""
    vouchers = counts.sum(axis=1)
    if len(numbers) > MAX_BINS:
        # A bin ends where another part of all vouchers begins, so bins hold about as many.
        part = (np.cumsum(vouchers) - vouchers) * MAX_BINS // vouchers.sum()
        first = np.flatnonzero(np.diff(part, prepend=-1))
    else:
        first = np.arange(len(numbers))
    in_bins = np.add.reduceat(counts, first, axis=0)
    return numbers[first], np.vstack([np.zeros((1, counts.shape[1]), np.int64), np.cumsum(in_bins, axis=0)])


def _best(below: Integers, segments: int) -> tuple[list[int], int]:
    """Return the bins before which to cut, the fewest that reach the best sum, by dynamic programming.

    Segments of fewer than 30 vouchers are not made, unless there are fewer in all.
    """
    bins = len(below) - 1
    # gain[start, end]: how many vouchers a segment of the bins from start to before end has of its most used amount; -1
    # where such a segment is not made.
    gain = np.full((bins, bins + 1), -1, np.int64)
    for start in range(bins):
        inside = below[start + 1 :] - below[start]
        is_enough = inside.sum(axis=1) >= min(_MIN_VOUCHERS, int(below[-1].sum()))
        gain[start, start + 1 :] = np.where(is_enough, inside.max(axis=1), -1)
    # sums[end]: the highest sum of all bins before end, with one segment more in each round; -1 where there is none.
    sums, cuts = gain[0].copy(), []
    reached = [int(sums[bins])]
    for _ in range(1, segments):
        together = np.where((sums[:bins, None] >= 0) & (gain >= 0), sums[:bins, None] + gain, -1)
        cuts.append(together.argmax(axis=0))
        sums = together.max(axis=0)
        reached.append(int(sums[bins]))
    chosen: list[int] = []
    end = bins
    for step in range(int(np.argmax(reached)) - 1, -1, -1):
        end = int(cuts[step][end])
        chosen.insert(0, end)
    return chosen, max(reached)
