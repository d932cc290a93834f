"""Rejected rows: the raw rows of an object that could not be counted, for the person who repairs them."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from functions.refresh.counting.encoding import Codes

MAX_REJECTED_ROWS = 10_000
"""The most rejected rows that are kept of an object. More rows would only repeat the same faults."""

# In parquet a long text is stored once for many rows. Here each row gets a copy, so the bytes are limited.
_MAX_TEXT_BYTES = 16 * 2**20

_LONGEST_SHOWN = 60

Rows = npt.NDArray[np.intp]


class RejectedRows:
    """The first rejected rows of an object."""

    def __init__(self) -> None:
        self._parts: list[pa.Table] = []
        self._room = MAX_REJECTED_ROWS
        self._text_bytes = 0

    def add(
        self,
        records: pa.RecordBatch,
        first_row: int,
        rows: Rows,
        columns: Mapping[str, tuple[Codes, Callable[[int], str]]],
    ) -> None:
        """Keep rows of a batch.

        Parameters
        ----------
        first_row : int
            The number of the batch's first row in the object.
        rows : numpy.ndarray
            Which rows of the batch are rejected.
        columns : mapping of str to (numpy.ndarray, callable)
            For each needed column its codes, negative where a value is bad, and a function that returns such a code's
            reason.
        """
        if not self._room:
            return
        rows = rows[: self._room]
        raw = [_with_texts_apart(records.column(name)) for name in columns]
        sizes = np.cumsum(sum(_text_sizes(column, rows) for column in raw)) + self._text_bytes
        rows = rows[: np.searchsorted(sizes, _MAX_TEXT_BYTES, side="right")]
        if not len(rows):
            return
        self._room -= len(rows)
        self._text_bytes = int(sizes[len(rows) - 1])
        reasons = [
            next(reason(int(codes[row])) for codes, reason in columns.values() if codes[row] < 0)
            for row in rows.tolist()
        ]
        taken = [_take(column, rows) for column in raw]
        self._parts.append(
            pa.table([pa.array(rows + first_row, pa.int64()), pa.array(reasons), *taken], ["row", "reason", *columns])
        )

    def update(self, other: "RejectedRows") -> None:
        """Add the rejected rows of another part of the same object."""
        self._parts.extend(other._parts)

    @property
    def table(self) -> pa.Table | None:
        """The first rejected rows by row number, with reasons and needed columns; None if there are none."""
        if not self._parts:
            return None
        return pa.concat_tables(self._parts).sort_by("row").slice(0, MAX_REJECTED_ROWS)


def show_value(value: pa.Scalar) -> str:
    """Return a raw value for people, shortened. Python cannot hold every day, moment or text of parquet."""
    if not value.is_valid:
        return "null"
    try:
        raw = value.as_py()
    except UnicodeDecodeError:
        raw = value.cast(pa.large_binary()).as_py()
    except (ValueError, OverflowError, KeyError):  # KeyError: an unknown time zone
        return f"{value.value} as {value.type}"
    if not isinstance(raw, str | bytes):
        return str(raw)
    return repr(raw) if len(raw) <= _LONGEST_SHOWN else f"{raw[:_LONGEST_SHOWN]!r}…"


def _with_texts_apart(column: pa.Array) -> Any:
    """Return a column with its texts in a dictionary, of a type whose lengths Arrow can measure."""
    if pa.types.is_string_view(column.type):
        column = column.dictionary_encode()
    if pa.types.is_dictionary(column.type) and pa.types.is_string_view(column.type.value_type):
        return pa.DictionaryArray.from_arrays(column.indices, column.dictionary.cast(pa.large_string()))
    return column


def _text_sizes(column: Any, rows: Rows) -> npt.NDArray[np.int64]:
    """Return how many bytes of text each row has in a column."""
    if not pa.types.is_dictionary(column.type) or pa.types.is_primitive(column.type.value_type):
        return np.zeros(len(rows), np.int64)
    lengths = pc.binary_length(column.dictionary.cast(pa.large_string()))
    sizes: npt.NDArray[np.int64] = lengths.take(column.indices.take(pa.array(rows))).fill_null(0).to_numpy()
    return sizes.astype(np.int64)


def _take(column: Any, rows: Rows) -> pa.Array:
    taken = column.take(pa.array(rows))
    return taken.dictionary_decode() if pa.types.is_dictionary(taken.type) else taken
