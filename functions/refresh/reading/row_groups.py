"""The needed columns of a parquet file, batch by batch, from whatever it is open through."""

import io
import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from functions.common.dimensions import ColumnKind
from functions.refresh.counting.cleaning import ObjectError, check_type

_BATCH_ROWS = 98_304
# What is needed of a row group is fetched at once up to this, beyond in pieces of each column.
_MAX_FETCHED_BYTES = 16 * 2**20
# What nobody needs is fetched too where it lies between, up to this: another request takes longer.
_MAX_GAP_BYTES = 1 * 2**20
_PIECE_BYTES = 1 * 2**20
# What decodes a column of a large row group asks for so much at once.
_ASKED_BYTES = 65_536


class Batch(NamedTuple):
    """Some rows of a file, and the number that the first of them has in it."""

    first_row: int
    records: pa.RecordBatch


Columns = Mapping[str, ColumnKind]
"""The needed columns, and how each is read."""


def describe(source: Any, columns: Columns) -> pq.FileMetaData:
    """Read how a parquet file describes itself, and check that it has what is needed of it.

    Raises
    ------
    ObjectError
        When it lacks a column, has one twice, or one of a type from which it cannot be read.
    pyarrow.ArrowException, OSError
        When it is no parquet.
    """
    metadata = pq.read_metadata(source)
    schema = metadata.schema.to_arrow_schema()
    if missing := [name for name in columns if name not in schema.names]:
        raise ObjectError(f"needed column missing: {missing}")
    if twice := [name for name in columns if schema.names.count(name) > 1]:
        raise ObjectError(f"needed column there twice: {twice}")
    for name, read_as in columns.items():
        check_type(name, read_as, schema.field(name).type)
    return metadata


def has_large_group(metadata: pq.FileMetaData, groups: Collection[int], columns: Columns, size: int) -> bool:
    """Tell whether one of some row groups of a file of so many bytes is too large to be fetched at once."""
    return size > _MAX_FETCHED_BYTES and any(
        metadata.row_group(group).total_byte_size > _MAX_FETCHED_BYTES
        and _span(metadata, group, columns).needed_bytes > _MAX_FETCHED_BYTES
        for group in groups
    )


def read_groups(
    source: Any, metadata: pq.FileMetaData, groups: Sequence[int], columns: Columns, size: int
) -> Iterator[Batch]:
    """Read some row groups of a file of so many bytes, each fetched at once.

    Parameters
    ----------
    source : file-like
        Keeps what it read last, until it reads something else.
    metadata : pyarrow.parquet.FileMetaData
        What `describe` returned.
    groups : sequence of int
        The row groups.
    columns : mapping of str to str
        The needed columns.
    size : int
        How long the file is, in bytes.

    Yields
    ------
    Batch
        The needed columns, text as dictionaries.
    """
    rows = (metadata.row_group(group).num_rows for group in range(metadata.num_row_groups))
    first_rows = [0, *itertools.accumulate(rows)]
    texts = _texts(metadata, columns)
    for group in groups:
        first_row = first_rows[group]
        span = _span(metadata, group, columns)
        is_narrow = span.end - span.start - span.needed_bytes <= _MAX_GAP_BYTES
        if is_narrow and 0 <= span.start < span.end <= size:
            source.seek(span.start)
            source.read(span.end - span.start)
        # Where the gaps are wide, what lies between them is fetched at the same time.
        for records in _parquet(source, metadata, texts, pre_buffer=not is_narrow).iter_batches(
            _BATCH_ROWS, row_groups=[group], columns=list(columns), use_threads=metadata.num_row_groups == 1
        ):
            yield Batch(first_row, records)
            first_row += records.num_rows


def read_large_groups(
    sources: Sequence[Any], metadata: pq.FileMetaData, groups: range, columns: Columns
) -> Iterator[Batch]:
    """Read row groups that are too large to be fetched at once, the columns side by side.

    Each through a source of its own, which keeps what it read last: taking turns in one, they would fetch the same
    pieces again and again.

    Raises
    ------
    ObjectError
        When a column is shorter than another one.
    """
    first_row = sum(metadata.row_group(group).num_rows for group in range(groups.start))
    texts = _texts(metadata, columns)
    pieces = [_Pieces(source) for source in sources]
    files = [_parquet(source, metadata, texts, pre_buffer=False, buffer_size=_ASKED_BYTES) for source in pieces]
    with ThreadPoolExecutor(len(columns)) as readers:
        for group in groups:
            decoded = [
                file.iter_batches(_BATCH_ROWS, row_groups=[group], columns=[name], use_threads=False)
                for file, name in zip(files, columns, strict=True)
            ]
            coming = [readers.submit(next, column, None) for column in decoded]
            while any(parts := [part.result() for part in coming]):
                if not all(parts):
                    raise ObjectError("is no readable parquet: some columns end before others")
                coming = [readers.submit(next, column, None) for column in decoded]
                records = pa.RecordBatch.from_arrays([part.column(0) for part in parts if part], list(columns))
                yield Batch(first_row, records)
                first_row += records.num_rows


def _texts(metadata: pq.FileMetaData, columns: Columns) -> list[str]:
    """Return the needed columns that hold text."""
    schema = metadata.schema.to_arrow_schema()
    return [name for name in columns if _is_text(schema.field(name).type)]


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _parquet(source: Any, metadata: pq.FileMetaData, texts: list[str], **options: Any) -> pq.ParquetFile:
    """Open what was described already, with text as dictionaries."""
    return pq.ParquetFile(source, metadata=metadata, read_dictionary=texts, **options)


class _File(io.RawIOBase):
    """A file from which any place may be read."""

    _at = 0

    def __init__(self, size: int) -> None:
        self._size = size

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = self._size + offset if whence == io.SEEK_END else offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readable(self) -> bool:
        return True


class _Pieces(_File):
    """A source that is read in large pieces, of which it keeps the last."""

    def __init__(self, source: Any) -> None:
        super().__init__(source.seek(0, io.SEEK_END))
        self._source = source
        self._piece = range(0)

    def read(self, count: int = -1) -> bytes:
        read = self._read_of_piece(count)
        if len(read) < count:
            self._source.seek(self._at)
            piece = self._source.read(max(count - len(read), _PIECE_BYTES))
            self._piece = range(self._at, self._at + len(piece))
            del piece  # which the source has
            read += self._read_of_piece(count - len(read))
        return read

    def _read_of_piece(self, count: int) -> bytes:
        """Read as much as the piece has of what is asked for."""
        read = b""
        if self._at in self._piece:
            self._source.seek(self._at)
            read = self._source.read(min(count, self._piece.stop - self._at))
            self._at += len(read)
        return read


class _TouchedError(Exception):
    """Bytes were asked for that nobody has."""


class _Untouchable(_File):
    """A file so long that any column may lie in it, of which no byte can be read."""

    def __init__(self) -> None:
        super().__init__(2**62)

    def read(self, _: int = -1) -> bytes:
        raise _TouchedError


class _Span(NamedTuple):
    """From where to where the needed columns of a row group lie in the file, and how long they are together."""

    start: int
    end: int
    needed_bytes: int


def _span(metadata: pq.FileMetaData, number: int, columns: Columns) -> _Span:
    group = metadata.row_group(number)
    paths = [metadata.schema.column(column).path for column in range(group.num_columns)]
    needed = [column for column, path in enumerate(paths) if path in columns]
    # Asked about a column that a damaged object misdescribes, pyarrow ends the whole process. A reader looks at the
    # descriptions before it reads and raises an error, so what it begins to read may be asked about. One with a buffer
    # looks at those of all columns before it reads the first.
    file = pq.ParquetFile(_Untouchable(), metadata=metadata, pre_buffer=False, buffer_size=_ASKED_BYTES)
    with suppress(_TouchedError):
        next(file.iter_batches(1, [number], list(columns), use_threads=False), None)
    chunks = [group.column(column) for column in needed]
    # 0, or none, is the place of a dictionary that is not there.
    starts = [min(chunk.dictionary_page_offset or chunk.data_page_offset, chunk.data_page_offset) for chunk in chunks]
    sizes = [chunk.total_compressed_size for chunk in chunks]
    ends = [start + size for start, size in zip(starts, sizes, strict=True)]
    return _Span(min(starts, default=0), max(ends, default=0), sum(sizes))
