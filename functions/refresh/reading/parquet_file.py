"""A parquet file as Arrow opens it, and where in it the needed columns of a row group lie."""

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from functions.common.dimensions import ColumnKind
from functions.refresh.counting.cleaning import ObjectError

Columns = Mapping[str, ColumnKind]
"""The needed columns, and how each is read."""

_OPTIONS = {
    # Arrow's default, nanoseconds, wraps around beyond 1677 and 2262. Milliseconds reach further than INT96 does.
    "coerce_int96_timestamp_unit": "ms",
    # JSON stays text.
    "arrow_extensions_enabled": False,
}

UNREADABLE = (pa.ArrowException, OSError, UnicodeDecodeError)
"""What Arrow raises over bytes that it cannot read."""

_UNSUPPORTED = re.compile("not yet implemented|not supported|support for codec", re.IGNORECASE)

# What decodes a column of a large row group asks for so much at once.
ASKED_BYTES = 65_536
# Of text in other encodings Arrow makes no dictionary, although it reads them: "DecodeArrow of DictAccumulator".
_DICTIONARY_ENCODINGS = {"PLAIN", "PLAIN_DICTIONARY", "RLE_DICTIONARY", "RLE", "BIT_PACKED"}


def open_parquet(source: Any, **options: Any) -> pq.ParquetFile:
    """Open a file for its columns as they are to be read."""
    return pq.ParquetFile(source, **_OPTIONS, **options)


@contextmanager
def errors_of(key: str) -> Iterator[None]:
    """Say what errors of reading the file of a key mean.

    Raises
    ------
    ObjectError
        In place of what Arrow raises. Where a column is missing that a folder of the key names, it says so.
    """
    try:
        yield
    except ObjectError as error:
        if "column missing" in str(error) and (folder := _column_in_key(key)):
            why = f"the key has a folder {folder}, which is not read: write the column into the file too"
            raise ObjectError(f"{error}; {why}") from error
        raise
    except UNREADABLE as error:
        raise ObjectError(_what_is_wrong(error)) from error


def _column_in_key(key: str) -> str:
    """Return a folder of the key that holds a value, such as `country_code=Peru`; empty when there is none."""
    return next((part for part in key.split("/")[:-1] if "=" in part), "")


def _what_is_wrong(error: Exception) -> str:
    """Tell what Arrow does not support, and what it has no key for, from what is damaged."""
    what = "is not readable parquet"
    if "ecrypt" in str(error):
        what = "is encrypted parquet, for which there is no key here"
    elif isinstance(error, pa.ArrowNotImplementedError) or _UNSUPPORTED.search(str(error)):
        what = "is parquet that cannot be read here, though other readers may"
    return f"{what}: {error}"


class RandomAccessFile(io.RawIOBase):
    """A file from which any place may be read: `read` is missing."""

    _at = 0

    def __init__(self, size: int) -> None:
        self._size = size

    def seekable(self) -> bool:  # noqa: D102 - as io.RawIOBase says, like the others
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:  # noqa: D102
        self._at = self._size + offset if whence == io.SEEK_END else offset
        return self._at

    def tell(self) -> int:  # noqa: D102
        return self._at

    def readable(self) -> bool:  # noqa: D102
        return True


class _TouchedError(Exception):
    """Bytes were asked for that nobody has."""


class _Untouchable(RandomAccessFile):
    """A file so long that any column may lie in it, of which no byte can be read."""

    def __init__(self) -> None:
        super().__init__(2**62)

    def read(self, _: int = -1) -> bytes:
        raise _TouchedError


class Span(NamedTuple):
    """The needed columns of a row group.

    Attributes
    ----------
    start, end : int
        From where to where they lie in the file.
    needed_bytes : int
        How long they are together.
    texts : list of str
        Those of them that can be read as dictionaries.
    """

    start: int
    end: int
    needed_bytes: int
    texts: list[str]


def find_span(metadata: pq.FileMetaData, number: int, columns: Columns) -> Span:
    """Find the needed columns of a row group.

    Raises
    ------
    ObjectError
        When they lie in another file, or the row group is not what the footer says elsewhere.
    pyarrow.ArrowException, OSError
        When they are not described as parquet is.
    """
    group = metadata.row_group(number)
    if group.num_columns != metadata.num_columns:
        raise ObjectError(
            f"is not readable parquet: row group {number} has {group.num_columns} columns instead of"
            f" {metadata.num_columns}"
        )
    paths = [metadata.schema.column(column).path for column in range(group.num_columns)]
    needed = [column for column, path in enumerate(paths) if path in columns]
    # Asked about a column that a damaged object misdescribes, pyarrow ends the whole process. A reader looks at the
    # descriptions before it reads and raises an error, so what it begins to read may be asked about. One with a buffer
    # looks at those of all columns before it reads the first.
    file = open_parquet(_Untouchable(), metadata=metadata, pre_buffer=False, buffer_size=ASKED_BYTES)
    with suppress(_TouchedError):
        next(file.iter_batches(1, [number], list(columns), use_threads=False), None)
    chunks = [group.column(column) for column in needed]
    if any(chunk.file_path for chunk in chunks):
        raise ObjectError(
            "describes rows in other files and holds none: a summary such as _metadata is not voucher data"
        )
    for chunk in chunks:
        if chunk.num_values != group.num_rows:  # Arrow would read as many as are fewer
            raise ObjectError(
                f"is not readable parquet: row group {number} has {group.num_rows:,} rows, and its column"
                f" {chunk.path_in_schema} {chunk.num_values:,} values"
            )
    # 0, or none, is the place of a dictionary that is not there.
    starts = [min(chunk.dictionary_page_offset or chunk.data_page_offset, chunk.data_page_offset) for chunk in chunks]
    sizes = [chunk.total_compressed_size for chunk in chunks]
    ends = [start + size for start, size in zip(starts, sizes, strict=True)]
    texts = [
        paths[column]
        for column, chunk in zip(needed, chunks, strict=True)
        if chunk.physical_type == "BYTE_ARRAY" and _DICTIONARY_ENCODINGS.issuperset(chunk.encodings)
    ]
    return Span(min(starts, default=0), max(ends, default=0), sum(sizes), texts)
