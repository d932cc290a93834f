"""A parquet file as Arrow opens it, and where in it the needed columns of a row group lie."""

import io
import re
from collections.abc import Iterator, Mapping, Sequence
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
"""The errors of Arrow about bytes that it cannot read."""

ENCRYPTED = "is encrypted parquet, for which there is no key here"
UNSUPPORTED = "is parquet that cannot be read here, though other readers may"

_UNSUPPORTED = re.compile("not yet implemented|not supported|support for codec", re.IGNORECASE)

# The decoder of a column in a large row group asks for this many bytes at once.
ASKED_BYTES = 65_536
# Arrow reads text in other encodings too, but not as dictionaries: "DecodeArrow of DictAccumulator".
_DICTIONARY_ENCODINGS = {"PLAIN", "PLAIN_DICTIONARY", "RLE_DICTIONARY", "RLE", "BIT_PACKED"}


class MissingColumnsError(ObjectError):
    """An object lacks needed columns, which `columns` names."""

    def __init__(self, columns: Sequence[str], found: str) -> None:
        super().__init__(f"needed column missing: {columns}; {found}")
        self.columns = columns


def open_parquet(source: Any, **options: Any) -> pq.ParquetFile:
    """Open a file, with the options that make its columns readable as the right types."""
    return pq.ParquetFile(source, **_OPTIONS, **options)


@contextmanager
def errors_of(key: str) -> Iterator[None]:
    """Explain errors of reading the object of a key.

    Raises
    ------
    ObjectError
        In place of Arrow's errors. Where a column is missing and a folder of the key has a value, it names the folder.
    """
    try:
        yield
    except MissingColumnsError as error:
        if folder := _folder_with_value(key, error.columns):
            why = f"the key has a folder {folder}, which is not read: write the column into the file too"
            raise ObjectError(f"{error}; {why}") from error
        raise
    except UNREADABLE as error:
        raise ObjectError(_explain(error)) from error


def _folder_with_value(key: str, missing: Sequence[str]) -> str:
    """Return the folder of a missing column such as `country_code=Peru`, or else of any column; empty without one."""
    folders = [part for part in key.split("/")[:-1] if "=" in part]
    return next((folder for folder in folders if folder.partition("=")[0] in missing), next(iter(folders), ""))


def _explain(error: Exception) -> str:
    """Explain an error of Arrow: the file is encrypted, uses what Arrow does not support, or is damaged."""
    if "ecrypt" in str(error):
        return f"{ENCRYPTED}: {error}"
    if isinstance(error, pa.ArrowNotImplementedError) or _UNSUPPORTED.search(str(error)):
        return f"{UNSUPPORTED}: {error}"
    return f"is not readable parquet: {error}"


class RandomAccessFile(io.RawIOBase):
    """A seekable file of a known size; subclasses have to define `read`."""

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
    """Arrow began to read data."""


class _Untouchable(RandomAccessFile):
    """A file long enough for a column at any place, which raises `_TouchedError` instead of reading."""

    def __init__(self) -> None:
        super().__init__(2**62)

    def read(self, _: int = -1) -> bytes:
        raise _TouchedError


class Span(NamedTuple):
    """The needed columns of a row group.

    Attributes
    ----------
    start, end : int
        The bytes of the file in which they lie.
    needed_bytes : int
        Their length, without the gaps between them.
    texts : list of str
        The columns of text that can be read as dictionaries.
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
        When they lie in another file, or the row group contradicts the rest of the footer.
    pyarrow.ArrowException, OSError
        When their metadata is corrupt.
    """
    group = metadata.row_group(number)
    if group.num_columns != metadata.num_columns:
        raise ObjectError(
            f"is not readable parquet: row group {number} has {group.num_columns} columns instead of"
            f" {metadata.num_columns}"
        )
    paths = [metadata.schema.column(column).path for column in range(group.num_columns)]
    needed = [column for column, path in enumerate(paths) if path in columns]
    # pyarrow aborts the process when it is asked about a column whose metadata is corrupt. A reader checks the metadata
    # before it reads, and raises instead: a column that it begins to read is safe to ask about. With a buffer it checks
    # all columns before it reads the first.
    file = open_parquet(_Untouchable(), metadata=metadata, pre_buffer=False, buffer_size=ASKED_BYTES)
    with suppress(_TouchedError):
        next(file.iter_batches(1, [number], list(columns), use_threads=False), None)
    chunks = [group.column(column) for column in needed]
    if any(chunk.file_path for chunk in chunks):
        raise ObjectError(
            "describes rows in other files and holds none: a summary such as _metadata is not voucher data"
        )
    for chunk in chunks:
        if chunk.num_values != group.num_rows:  # Arrow would read the lower number without an error
            raise ObjectError(
                f"is not readable parquet: row group {number} has {group.num_rows:,} rows, and its column"
                f" {chunk.path_in_schema} {chunk.num_values:,} values"
            )
    # Without a dictionary, its offset is 0 or None.
    starts = [min(chunk.dictionary_page_offset or chunk.data_page_offset, chunk.data_page_offset) for chunk in chunks]
    sizes = [chunk.total_compressed_size for chunk in chunks]
    ends = [start + size for start, size in zip(starts, sizes, strict=True)]
    texts = [
        paths[column]
        for column, chunk in zip(needed, chunks, strict=True)
        if chunk.physical_type == "BYTE_ARRAY" and _DICTIONARY_ENCODINGS.issuperset(chunk.encodings)
    ]
    return Span(min(starts, default=0), max(ends, default=0), sum(sizes), texts)
