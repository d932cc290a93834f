"""The metadata of a parquet file, and whether the needed columns can be read from it."""

import difflib
import io
import itertools
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from functions.refresh.counting.cleaning import ObjectError, check_type, impossible_type
from functions.refresh.reading.footer import MAGIC, column_names, end_of_data, keep_columns, parse
from functions.refresh.reading.parquet_file import (
    ENCRYPTED,
    UNREADABLE,
    UNSUPPORTED,
    Columns,
    MissingColumnsError,
    Span,
    find_span,
    open_parquet,
)
from functions.refresh.reading.thrift import FooterError, Struct, write_struct

_TEXT_ANNOTATIONS = {"NONE", "STRING", "ENUM", "JSON"}

_TRAILER_BYTES = 8
_MAX_FOOTER_BYTES = 16 * 2**20
_ENCRYPTED_MAGIC = b"PARE"
# The first bytes of other formats, whose files may have a name of parquet.
_OTHER_MAGIC = {
    b"\x1f\x8b": "compressed by gzip as a whole",
    b"\x28\xb5\x2f\xfd": "compressed by zstd as a whole",
    b"BZh": "compressed by bzip2 as a whole",
    b"\xfd7zXZ": "compressed by xz as a whole",
    b"PK\x03\x04": "a zip archive",
    b"ORC": "ORC",
    b"Obj\x01": "Avro",
    b"ARROW1": "an Arrow file",
}

# Writers leave some bytes between column chunks, which no reader needs.
_MAX_PADDING_BYTES = 65_536

_MAX_NAMES = 10
_MAX_NAME_LENGTH = 60
_SIMILAR = 0.8


class _LongFooterError(Exception):
    """A footer is too long to be parsed here; the message says how long it is."""


@dataclass(frozen=True, eq=False)
class Description:
    """The metadata of a parquet file.

    Attributes
    ----------
    metadata : pyarrow.parquet.FileMetaData
        Arrow's metadata, of the needed columns at least: the others are left out if Arrow cannot read them.
    schema : pyarrow.Schema
        The columns with the types that they are read as; bytes are not text yet.
    names : list of str
        The names of all columns in the file.
    needed : mapping of str to str
        The needed columns, and how each is read.
    size : int
        How long the file is, in bytes.
    """

    metadata: pq.FileMetaData
    schema: pa.Schema
    names: list[str]
    needed: Columns
    size: int
    _spans: dict[int, Span] = field(default_factory=dict, init=False)

    @cached_property
    def first_rows(self) -> list[int]:
        """The number of each row group's first row in the file; the last entry is the number of all rows."""
        groups = map(self.metadata.row_group, range(self.metadata.num_row_groups))
        return [0, *itertools.accumulate(group.num_rows for group in groups)]

    def span(self, group: int) -> Span:
        """Return where the needed columns of a row group lie; raises what `find_span` raises."""
        if group not in self._spans:
            self._spans[group] = find_span(self.metadata, group, self.needed)
        return self._spans[group]

    def check(self) -> None:
        """Check that the needed columns are there and can be read.

        Raises
        ------
        ObjectError
            When one is missing, occurs twice, or has a type that cannot be read.
        """
        if missing := [name for name in self.needed if name not in self.names]:
            raise MissingColumnsError(missing, _list_names(missing, self.names))
        if twice := [name for name in self.needed if self.names.count(name) > 1]:
            raise ObjectError(f"needed column occurs twice: {twice}")
        for name in self.needed:
            self.check_type(name)

    def check_type(self, name: str) -> None:
        """Check that a column, which has to occur once, has a type that can be read."""
        kind = self.schema.field(name).type
        if holds_bytes(kind):
            annotation = self._annotation(name)
            if annotation not in _TEXT_ANNOTATIONS:
                raise impossible_type(name, self.needed[name], annotation)
            # Bytes of a fixed length may be a number that is too long for Arrow.
            kind = kind if pa.types.is_fixed_size_binary(kind) else pa.string()
        check_type(name, self.needed[name], kind)

    def _annotation(self, name: str) -> str:
        """Return how parquet annotates a column that is not nested."""
        schema = self.metadata.schema
        columns = (schema.column(number) for number in range(len(self.metadata.schema.names)))
        return next((str(column.logical_type.type) for column in columns if column.path == name), "")


def holds_bytes(kind: pa.DataType) -> bool:
    """Return whether a type is bytes that are not known to be text."""
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    types = pa.types
    return bool(
        types.is_binary(kind)
        or types.is_large_binary(kind)
        or types.is_binary_view(kind)
        or types.is_fixed_size_binary(kind)
    )


def describe(source: Any, size: int, columns: Columns) -> Description:
    """Read the metadata of a parquet file of a size in bytes.

    Raises
    ------
    ObjectError
        When Arrow cannot read a needed column, or the file is encrypted or of another format.
    pyarrow.ArrowException, OSError, UnicodeDecodeError
        When it is not parquet.
    """
    try:
        file = open_parquet(source)
        description = Description(file.metadata, file.schema_arrow, file.schema_arrow.names, columns, size)
    except UNREADABLE as error:
        _check_magic(source, size)
        return describe_needed(source, size, columns, error)
    if any(_is_from_arrow_schema(field.type) for field in description.schema if field.name in columns):
        return describe_needed(source, size, columns, pa.ArrowInvalid("its footer has parts of unknown types"))
    return description


def _is_from_arrow_schema(kind: pa.DataType) -> bool:
    """Return whether a type comes from the Arrow schema that writers store in the file, not from parquet itself.

    That schema may ask for dictionaries of an encoding from which Arrow makes none, and for JSON as a type of its own.
    """
    return pa.types.is_dictionary(kind) or isinstance(kind, pa.BaseExtensionType)


def describe_needed(source: Any, size: int, columns: Columns, error: Exception) -> Description:
    """Describe a file as if it had the needed columns only, without statistics and without Arrow's own schema.

    `error` is why the whole file cannot be read. It is raised if the needed columns alone cannot be read either.
    """
    try:
        footer = parse(_read_footer(source, size))
        needed = {name: keep_columns(footer, [name]) for name in columns}
        file = _try_to_open(keep_columns(footer, columns))
        if isinstance(file, pq.ParquetFile):
            return Description(file.metadata, file.schema_arrow, column_names(footer), columns, size)
    except FooterError:
        raise error from None
    except _LongFooterError as too_long:
        raise ObjectError(f"{UNSUPPORTED}: {str(error).rstrip('.')}; {too_long}") from error
    faults = {name: fault for name, one in needed.items() if isinstance(fault := _try_to_open(one), Exception)}
    if len(faults) == len(needed):
        raise error
    raise ObjectError("; ".join(f"column {name} cannot be read: {fault}" for name, fault in faults.items()))


def _try_to_open(footer: Struct) -> pq.ParquetFile | Exception:
    """Open a file made of a footer alone, or return the error."""
    content = write_struct(footer)
    try:
        return open_parquet(io.BytesIO(MAGIC + content + len(content).to_bytes(4, "little") + MAGIC))
    except UNREADABLE as error:
        return error


def _read(source: Any, start: int, end: int) -> bytes:
    source.seek(start)
    return bytes(source.read(end - start))


def _read_footer(source: Any, size: int) -> bytes:
    end = size - _TRAILER_BYTES
    length = int.from_bytes(_read(source, max(0, end), size)[:4], "little")
    if not 0 < length <= end:
        raise FooterError("it is longer than the file")
    if length > _MAX_FOOTER_BYTES:
        raise _LongFooterError(
            f"the cause may be a column that is not needed, but the footer is too long to leave columns out: it has"
            f" {length:,} bytes, at most {_MAX_FOOTER_BYTES:,} are parsed; write fewer columns or larger row groups"
        )
    return _read(source, end - length, end)


def _check_magic(source: Any, size: int) -> None:
    """Check that a file that Arrow cannot read is not encrypted or of another format."""
    head = _read(source, 0, min(size, _TRAILER_BYTES))
    if _ENCRYPTED_MAGIC in (head[:4], _read(source, max(0, size - 4), size)):
        raise ObjectError(ENCRYPTED)
    for magic, what in _OTHER_MAGIC.items():
        if head.startswith(magic):
            raise ObjectError(f"is not readable parquet: it is {what}")


def check_file(source: Any, size: int, columns: Columns) -> Description:
    """Check that the needed columns of a file of a size in bytes can be read, and return its metadata.

    Raises
    ------
    ObjectError
        When they cannot be read, or when the file is the last of several that were joined.
    pyarrow.ArrowException, OSError, UnicodeDecodeError
        When it is not parquet.
    """
    description = describe(source, size, columns)
    description.check()
    _check_rows(description)
    _check_extent(source, description)
    return description


def _check_rows(description: Description) -> None:
    """Check that no row group is missing: Arrow would read the others without an error."""
    said, rows = description.metadata.num_rows, description.first_rows[-1]
    if rows != said:
        raise ObjectError(f"is not readable parquet: its footer has {said:,} rows, and its row groups have {rows:,}")


def _check_extent(source: Any, description: Description) -> None:
    """Check that no other file was put before this one: readers find its data by the distance from the first byte.

    The footer is parsed only if the last row group does not end at it: that takes up to half a second for a MB.

    Raises
    ------
    ObjectError
        When the file is the last of several that were joined.
    """
    try:
        footer = _read_footer(source, description.size)
        start = description.size - _TRAILER_BYTES - len(footer)
        groups = description.metadata.num_row_groups
        if groups and description.span(groups - 1).end == start:
            return
        unnamed = start - end_of_data(parse(footer))
    except (FooterError, _LongFooterError):
        return  # Arrow could read it, and the footers of joined files can be parsed here
    around = _read(source, max(0, unnamed - _MAX_PADDING_BYTES), max(0, unnamed) + len(MAGIC))
    if unnamed > 0 and (around.endswith(MAGIC) or MAGIC * 2 in around):
        raise ObjectError(
            f"has some {unnamed:,} bytes before the parquet that it ends with: files were joined;"
            " put each under its own key"
        )


def _list_names(missing: Sequence[str], names: Sequence[str]) -> str:
    """List the columns whose names resemble missing ones, or else the first columns; `ascii` shows odd characters."""
    plain = {name: _plain(name) for name in names}
    near = [
        name
        for name in names
        if any(difflib.SequenceMatcher(None, _plain(one), plain[name]).ratio() >= _SIMILAR for one in missing)
    ]
    shown = [ascii(name[:_MAX_NAME_LENGTH]) for name in (near or names)[:_MAX_NAMES]]
    if not shown:
        return "the object has no columns"
    more = len(near or names) - len(shown)
    return f"the object has {', '.join(shown)}" + (f" and {more:,} more" if more else "")


def _plain(name: str) -> str:
    """Reduce a name to its letters and digits in one case, to compare it."""
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", name[:_MAX_NAME_LENGTH]).casefold()))
