"""Codes: the values of columns as small numbers from 0, and how often they occur together.

Counting such numbers is fast: ten million rows take a tenth of a second.
"""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from functions.common.dimensions import UNKNOWN, ColumnKind
from functions.refresh.counting.cleaning import (
    DIRECT_CODE_LIMIT,
    CleanValue,
    ObjectError,
    Rejected,
    clean,
    clean_numbers,
    dictionary_encode,
    try_direct_codes,
)

# 32 bits halve the memory: there is a code for every value of every row.
Codes = npt.NDArray[np.int32]
Integers = npt.NDArray[np.int64]

# A few thousand are usual. This limits memory and the database if a column holds noise.
_MAX_COMBINATIONS = 500_000
# 16 MB of counts, enough for fifty countries with twenty amounts each. Beyond, combinations are sorted instead.
_MAX_CELLS = 2_000_000
_UNSEEN = np.iinfo(np.int32).min


def check_size(combinations: int) -> None:
    """Check that an object has no more counts than voucher records can have.

    Parameters
    ----------
    combinations : int
        How many combinations of country, dimension, value and amount there are, or at least will be: a column with as
        many distinct values has as many.

    Raises
    ------
    ObjectError
        When there are more.
    """
    if combinations > _MAX_COMBINATIONS:
        raise ObjectError(
            f"more than {_MAX_COMBINATIONS:,} combinations of country, dimension, value and amount:"
            " these are not voucher records"
        )


def _take(codes: Codes, places: Codes | pa.Array) -> Codes:
    """Return the codes at places, which have to exist: checking the bounds would take a third of the time."""
    taken: Codes = pc.take(pa.array(codes), pa.array(places), boundscheck=False).to_numpy()
    return taken


class ColumnEncoder:
    """The clean values of a column, numbered from 0 in the order of their occurrence; reasons to reject from -1 down.

    Attributes
    ----------
    rejects : bool
        Whether the codes that `encode` gave last may be negative.
    """

    def __init__(self, name: str, read_as: ColumnKind) -> None:
        self._name = name
        self._read_as = read_as
        self._codes: dict[CleanValue, int] = {}
        self._values: list[int | str] = []
        self._reasons: list[str] = []
        self.rejects = False
        self._raw: pa.Array = pa.array([])
        self._code_of_raw: Codes = np.array([], np.int32)

    def __len__(self) -> int:
        return len(self._values)

    @cached_property
    def _code_of_number(self) -> Codes:
        return np.full(DIRECT_CODE_LIMIT + 1, _UNSEEN, np.int32)

    @property
    def unknown(self) -> int:
        """The code of `UNKNOWN` in a column of numbers or amounts; -1 if it did not occur."""
        return self._codes.get(UNKNOWN, -1)

    def encode(self, column: pa.Array) -> Codes:
        """Return the code of each row of a column, whose type `check_type` has to accept."""
        numbers = try_direct_codes(column)
        if numbers is not None:
            return self._encode_directly(numbers)
        distinct = dictionary_encode(column, self._read_as)
        # Parquet has one dictionary for a whole row group, so most batches have that of the previous batch.
        if not distinct.dictionary.equals(self._raw):
            self._code_of_raw = self._codes_of(clean(distinct.dictionary, self._name, self._read_as))
            self._raw = distinct.dictionary
            check_size(len(self._values))
        indices, seen = distinct.indices, self._code_of_raw[:-1]
        if indices.null_count:
            indices, seen = indices.fill_null(len(self._raw)), self._code_of_raw
        self.rejects = bool(seen.min(initial=0) < 0)
        return _take(self._code_of_raw, indices)

    def _encode_directly(self, numbers: Codes) -> Codes:
        """Look up the codes of small numbers; each number is cleaned at its first occurrence."""
        codes = _take(self._code_of_number, numbers)
        lowest = codes.min(initial=0)
        if lowest == _UNSEEN:
            unseen = np.flatnonzero(np.bincount(numbers[codes == _UNSEEN]))
            raw = [None if number == DIRECT_CODE_LIMIT else number for number in unseen.tolist()]
            self._code_of_number[unseen] = self._codes_of(clean_numbers(raw, self._name, self._read_as))
            codes = _take(self._code_of_number, numbers)
            lowest = codes.min(initial=0)
        self.rejects = bool(lowest < 0)
        return codes

    def _codes_of(self, cleaned: Sequence[CleanValue]) -> Codes:
        return np.array([self._code(value) for value in cleaned], np.int32)

    def _code(self, value: CleanValue) -> int:
        code = self._codes.get(value)
        if code is None:
            if isinstance(value, Rejected):
                self._reasons.append(value.reason)
                code = -len(self._reasons)
            else:
                self._values.append(value)
                code = len(self._values) - 1
            self._codes[value] = code
        return code

    def reason(self, code: int) -> str:
        """Return the reason that a negative code stands for."""
        return self._reasons[-code - 1]

    def take(self, codes: Integers | Codes, kind: pa.DataType) -> pa.Array:
        """Return the values that codes stand for."""
        return pa.array(self._values, kind).take(pa.array(codes))


class Numbers:
    """Whole numbers that need no cleaning, numbered from 0 in the order of their occurrence."""

    def __init__(self) -> None:
        self._codes: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._codes)

    def encode(self, numbers: Integers) -> Codes:
        """Return the code of each number."""
        distinct = pa.array(numbers).dictionary_encode()
        seen = distinct.dictionary.to_pylist()
        codes = np.array([self._codes.setdefault(number, len(self._codes)) for number in seen], np.int32)
        check_size(len(self._codes))
        return _take(codes, distinct.indices)

    def take(self, codes: Integers, kind: pa.DataType) -> pa.Array:
        """Return the numbers that codes stand for."""
        return pa.array(list(self._codes), kind).take(pa.array(codes))


class PairEncoder:
    """The few pairs of country and amount that occur, numbered in the order of their occurrence."""

    def __init__(self) -> None:
        self._codes: dict[tuple[int, int], int] = {}

    def __len__(self) -> int:
        return len(self._codes)

    def encode(self, countries: Codes, amounts: Codes, shape: tuple[int, int]) -> Codes:
        """Return the code of each row's pair; the shape is how many countries and amounts there are."""
        width = shape[1]
        if shape[0] * width > _MAX_CELLS:
            raise ObjectError(f"more than {_MAX_CELLS:,} pairs of country and amount: these are not voucher records")
        both = countries * np.int32(width) + amounts
        code_of_pair = np.zeros(shape[0] * width, np.int32)
        seen = np.flatnonzero(np.bincount(both, minlength=len(code_of_pair)))
        code_of_pair[seen] = [self._codes.setdefault(divmod(pair, width), len(self._codes)) for pair in seen.tolist()]
        return _take(code_of_pair, both)

    def decode(self, codes: Integers) -> tuple[Integers, Integers]:
        """Return the countries and the amounts that codes stand for."""
        countries, amounts = np.array(list(self._codes), np.int64).reshape(-1, 2)[codes].T
        return countries, amounts


class Counts:
    """How often each combination of a pair and a value occurs.

    A table of all combinations while it is small. If a column holds noise, a sorted list of those that occur.
    """

    def __init__(self) -> None:
        self._table: Integers = np.zeros((0, 0), np.int64)
        self._sparse: list[tuple[Integers, Integers]] = []
        self._unmerged = 0

    def add(self, pairs: Codes, values: Codes, shape: tuple[int, int]) -> None:
        """Count a batch whose codes are below a shape; the shape only grows from batch to batch."""
        cells = shape[0] * shape[1]
        if cells <= _MAX_CELLS:
            if shape != self._table.shape:
                smaller = self._table
                self._table = np.zeros(shape, np.int64)
                self._table[: smaller.shape[0], : smaller.shape[1]] = smaller
            self._table += np.bincount(pairs * np.int32(shape[1]) + values, minlength=cells).reshape(shape)
            return
        self._sparse.append(np.unique(pairs.astype(np.int64) << 32 | values, return_counts=True))
        self._unmerged += len(self._sparse[-1][0])
        if self._unmerged > _MAX_COMBINATIONS:
            self._merge()

    def _merge(self) -> None:
        codes, places = np.unique(np.concatenate([codes for codes, _ in self._sparse]), return_inverse=True)
        weights = np.concatenate([counts for _, counts in self._sparse])
        self._sparse = [(codes, np.bincount(places, weights).astype(np.int64))]
        self._unmerged = 0
        check_size(len(codes))

    def found(self) -> tuple[Integers, Integers, Integers]:
        """Return the pairs and values that occur, and how often."""
        pairs, values = np.nonzero(self._table)
        counts = self._table[pairs, values]
        if self._sparse:
            self._sparse.append((pairs << 32 | values, counts))
            self._table = np.zeros((0, 0), np.int64)
            self._merge()
            [(codes, counts)] = self._sparse
            pairs, values = codes >> 32, codes & 0xFFFF_FFFF
        return pairs, values, counts
