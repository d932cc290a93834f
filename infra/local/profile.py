"""What the values of parquet mean to the refresh function, column by column."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from functions.common.dimensions import UNKNOWN
from functions.refresh.counting.cleaning import CleanValue, Rejected, clean, dictionary_encode, widen
from functions.refresh.counting.rejected import show_value
from functions.refresh.reading.parquet_file import Columns


class BadValue(NamedTuple):
    """A raw value that rejects its row, and the reason."""

    reason: str
    value: str


class Profile:
    """What the values of an object mean, column by column.

    Parameters
    ----------
    columns : mapping of str to str
        The needed columns, and how each is read.

    Attributes
    ----------
    rows : int
        Rows of the object.
    countries : collections.Counter
        Rows by country.
    bad : collections.Counter
        Rows by bad value. A row with two of them counts for both.
    first_rows : dict of BadValue to int
        The number of the first row that has it.
    unknown : collections.Counter
        Rows in which a column of numbers is null or blank, by column.
    days : dict of str to tuple of int
        The first and the last day of each column of dates, as day numbers.
    """

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self.rows = 0
        self.countries: Counter[str] = Counter()
        self.bad: Counter[BadValue] = Counter()
        self.first_rows: dict[BadValue, int] = {}
        self.unknown: Counter[str] = Counter()
        self.days: dict[str, tuple[int, int]] = {}

    def add(self, records: pa.RecordBatch, first_row: int) -> None:
        """Look at a batch of the needed columns."""
        self.rows += records.num_rows
        for name, read_as in self._columns.items():
            distinct = dictionary_encode(records.column(name), read_as)
            meanings = clean(distinct.dictionary, name, read_as)
            # What a null means comes last.
            at = distinct.indices.fill_null(len(meanings) - 1).to_numpy()
            rows = np.bincount(at, minlength=len(meanings))
            self._add_bad(records.column(name), meanings, at, first_row)
            for number, meaning in enumerate(meanings):
                if isinstance(meaning, Rejected):
                    continue
                if name == "country_code" and rows[number]:
                    self.countries[str(meaning)] += int(rows[number])
                elif meaning == UNKNOWN and read_as in ("number", "amount"):
                    self.unknown[name] += int(rows[number])
            if read_as == "date":
                self._widen(
                    name, [day for day, count in zip(meanings, rows, strict=True) if isinstance(day, int) and count]
                )

    def _add_bad(
        self, column: pa.Array, meanings: Sequence[CleanValue], at: npt.NDArray[np.intp], first_row: int
    ) -> None:
        """Note the raw values that reject rows; `dictionary_encode` may hold another text of the same day.

        Parameters
        ----------
        at : numpy.ndarray
            For each row the place of what its value means.
        """
        rejected = np.flatnonzero(np.array([isinstance(meaning, Rejected) for meaning in meanings])[at])
        if not len(rejected):
            return
        raw = widen(column).take(pa.array(rejected))
        raw = raw if pa.types.is_dictionary(raw.type) else raw.dictionary_encode()
        codes = raw.indices.fill_null(len(raw.dictionary)).to_numpy()
        for code, first, rows in zip(*np.unique(codes, return_index=True, return_counts=True), strict=True):
            row = int(rejected[first])
            shown = "null" if code == len(raw.dictionary) else show_value(raw.dictionary[int(code)])
            bad = BadValue(cast(Rejected, meanings[at[row]]).reason, shown)
            self.bad[bad] += int(rows)
            self.first_rows.setdefault(bad, first_row + row)

    def _widen(self, name: str, days: list[int]) -> None:
        """Widen the span of a column of dates to these days."""
        if days := [*days, *self.days.get(name, ())]:
            self.days[name] = (min(days), max(days))
