"""The needed columns of a parquet file, batch by batch, from any seekable source."""

import io
import itertools
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from functions.refresh.counting.cleaning import ObjectError
from functions.refresh.reading.description import Description, describe_needed, holds_bytes
from functions.refresh.reading.parquet_file import ASKED_BYTES, RandomAccessFile, open_parquet

_BATCH_ROWS = 98_304
# Needed columns of a row group up to this size are fetched at once, larger ones in pieces, column by column.
_MAX_FETCHED_BYTES = 16 * 2**20
# Gaps between needed columns are fetched too, up to this size in all: another request takes longer.
_MAX_GAP_BYTES = 1 * 2**20
_PIECE_BYTES = 1 * 2**20


class Batch(NamedTuple):
    """Some rows of a file, and the number of the first one in it."""

    first_row: int
    records: pa.RecordBatch


def has_large_group(description: Description, groups: Collection[int]) -> bool:
    """Return whether one of some row groups of a file is too large to be fetched at once."""
    return description.size > _MAX_FETCHED_BYTES and any(
        description.metadata.row_group(group).total_byte_size > _MAX_FETCHED_BYTES
        and description.span(group).needed_bytes > _MAX_FETCHED_BYTES
        for group in groups
    )


def read_groups(source: Any, description: Description, groups: Sequence[int]) -> Iterator[Batch]:
    """Read the needed columns of some row groups of a file, each fetched at once.

    The source has to keep the bytes that it read last, because Arrow reads the columns from them. Text comes as
    dictionaries.
    """
    metadata = description.metadata
    for group in groups:
        first_row = description.first_rows[group]
        span = description.span(group)
        is_narrow = span.end - span.start - span.needed_bytes <= _MAX_GAP_BYTES
        if is_narrow and 0 <= span.start < span.end <= description.size:
            source.seek(span.start)
            source.read(span.end - span.start)
        # Across wide gaps Arrow fetches the columns in parallel.
        options = {"read_dictionary": span.texts, "pre_buffer": not is_narrow}
        use_threads = metadata.num_row_groups == 1
        for records in _read(source, description, group, list(description.needed), use_threads=use_threads, **options):
            yield Batch(first_row, _with_text(records))
            first_row += records.num_rows


def read_large_groups(sources: Sequence[Any], description: Description, groups: range) -> Iterator[Batch]:
    """Read row groups that are too large to be fetched at once, the columns side by side.

    Each column has its own source, which keeps the bytes that it read last: with a shared source the columns would
    fetch the same pieces again and again.

    Raises
    ------
    ObjectError
        When a column is shorter than its row group.
    """
    columns = list(description.needed)
    first_row = description.first_rows[groups.start]
    pieces = [_Pieces(source) for source in sources]
    with ThreadPoolExecutor(len(columns)) as readers:
        for group in groups:
            texts = description.span(group).texts
            options = {"read_dictionary": texts, "pre_buffer": False, "buffer_size": ASKED_BYTES}
            decoded = [
                _read(source, description, group, [name], use_threads=False, **options)
                for source, name in zip(pieces, columns, strict=True)
            ]
            coming = [readers.submit(next, column, None) for column in decoded]
            while any(parts := [part.result() for part in coming]):
                coming = [readers.submit(next, column, None) for column in decoded]
                records = pa.RecordBatch.from_arrays([part.column(0) for part in parts if part], columns)
                yield Batch(first_row, _with_text(records))
                first_row += records.num_rows


def _read(
    source: Any,
    description: Description,
    group: int,
    names: list[str],
    *,
    use_threads: bool,
    **options: Any,
) -> Iterator[pa.RecordBatch]:
    """Read columns of a row group. If Arrow fails, try again without the statistics, which may be damaged."""

    def read(metadata: pq.FileMetaData) -> Iterator[pa.RecordBatch]:
        file = open_parquet(source, metadata=metadata, **options)
        batches: Iterator[pa.RecordBatch] = file.iter_batches(
            _BATCH_ROWS, row_groups=[group], columns=names, use_threads=use_threads
        )
        return batches

    batches = read(description.metadata)
    try:
        first = next(batches, None)
    except (pa.ArrowException, OSError) as error:
        batches = read(describe_needed(source, description.size, description.needed, error).metadata)
        first = next(batches, None)
    rows = description.metadata.row_group(group).num_rows
    read_rows = 0
    for records in itertools.chain([] if first is None else [first], batches):
        yield records
        read_rows += records.num_rows
    if read_rows != rows:
        raise ObjectError(
            f"is not readable parquet: row group {group} has {rows:,} rows, of which {read_rows:,} can be read"
        )


def _with_text(records: pa.RecordBatch) -> pa.RecordBatch:
    """Turn columns of bytes into text, which is not checked to be UTF-8 yet."""
    if not any(holds_bytes(kind) for kind in records.schema.types):
        return records
    return pa.RecordBatch.from_arrays([_as_text(column) for column in records.columns], records.schema.names)


def _as_text(column: pa.Array) -> pa.Array:
    kind = column.type
    if not holds_bytes(kind):
        return column
    if pa.types.is_dictionary(kind):
        return pa.DictionaryArray.from_arrays(column.indices, _as_text(column.dictionary), safe=False)
    if not pa.types.is_binary(kind):
        return column.cast(pa.large_binary()).view(pa.large_string())
    return column.view(pa.string())


class _Pieces(RandomAccessFile):
    """Reads a source in large pieces, of which the source keeps the last."""

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
            del piece  # the source keeps it
            read += self._read_of_piece(count - len(read))
        return read

    def _read_of_piece(self, count: int) -> bytes:
        """Read the next bytes, as many as the last piece holds of them."""
        read = b""
        if self._at in self._piece:
            self._source.seek(self._at)
            read = self._source.read(min(count, self._piece.stop - self._at))
            self._at += len(read)
        return read
