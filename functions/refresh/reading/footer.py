"""The footer of a parquet file, taken apart in Python: where Arrow does not take it, and for what it does not tell.

A footer is one struct in Thrift's compact protocol
(https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md); parquet.thrift numbers its fields
(https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift).
"""

from collections.abc import Collection, Iterator
from typing import Any, TypeVar

MAGIC = b"PAR1"

_Value = TypeVar("_Value", int, bytes, dict[int, Any])

Struct = dict[int, tuple[int, Any]]
"""Fields by number, each with its type in the protocol and its value.

A column chunk is bytes until `open_chunks`: a wide file has hundreds of thousands, and few of them are needed.
"""

_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT, _UUID = range(1, 14)
_BYTES = {_BYTE: 1, _DOUBLE: 8, _UUID: 16}
# Deeper than any footer is.
_MAX_DEPTH = 16
_MAX_VARINT_BITS = 64

# Fields of FileMetaData, SchemaElement, RowGroup, ColumnChunk and the ColumnMetaData in it.
_SCHEMA, _ROW_GROUPS, _KEY_VALUES, _COLUMN_ORDERS = 2, 4, 5, 7
_TYPE, _NAME, _CHILDREN, _CONVERTED_TYPE, _LOGICAL_TYPE = 1, 4, 5, 6, 10
_COLUMNS, _SORTING = 1, 4
_META_DATA, _OFFSET_INDEX, _COLUMN_INDEX = 3, (4, 5), (6, 7)
_STATISTICS = (12, 16)
_COMPRESSED_BYTES, _DATA_PAGE, _DICTIONARY_PAGE, _BLOOM_FILTER = 7, 9, 11, (14, 15)

_FIXED_BYTES, _UTF8 = 7, 0


class FooterError(ValueError):
    """The bytes are no footer."""


def parse(footer: bytes) -> Struct:
    """Take a footer apart, without the length and the magic number that follow it.

    Raises
    ------
    FooterError
        When it is none.
    """
    try:
        return _Reader(footer).struct(_MAX_DEPTH, (_ROW_GROUPS, _COLUMNS))
    except IndexError as error:
        raise FooterError("it ends too early") from error


def open_chunks(group: Struct) -> list[Struct]:
    """Take the column chunks of a row group apart, and return them.

    Raises
    ------
    FooterError
        When they are none.
    """
    chunks = [_open(chunk) for chunk in _list(group, _COLUMNS)]
    group[_COLUMNS] = (_LIST, (_STRUCT, chunks))
    return chunks


def _open(chunk: bytes | Struct) -> Struct:
    return _Reader(chunk).struct(_MAX_DEPTH) if isinstance(chunk, bytes) else chunk


def compose(metadata: Struct) -> bytes:
    """Put a footer together."""
    written = bytearray()
    _write(written, _STRUCT, metadata)
    return bytes(written)


def column_names(metadata: Struct) -> list[str]:
    """Return the names of the columns as they stand in the file."""
    return [name for name, _, _ in _columns(metadata)]


def keep_columns(metadata: Struct, kept: Collection[str]) -> Struct:
    """Describe the same file as if it had only some of its columns.

    What speaks of columns by their place goes too, first of all the schema that Arrow adds to its files; and the
    statistics, which nobody needs and which may be damaged.

    Raises
    ------
    FooterError
        When the columns are not described as parquet.thrift says.
    """
    columns = [(elements, leaves) for name, elements, leaves in _columns(metadata) if name in kept]
    root, *_ = _list(metadata, _SCHEMA) or [{}]
    groups = []
    for group in _list(metadata, _ROW_GROUPS):
        chunks = _list(group, _COLUMNS)
        try:
            own = [_open(chunks[leaf]) for _, leaves in columns for leaf in leaves]
        except IndexError as error:
            raise FooterError("a row group lacks columns") from error
        groups.append(_without(group, _SORTING) | {_COLUMNS: (_LIST, (_STRUCT, [*map(_without_statistics, own)]))})
    schema = [
        root | {_CHILDREN: (_I32, len(columns))},
        *(_without_false_text(element) for elements, _ in columns for element in elements),
    ]
    return _without(metadata, _KEY_VALUES, _COLUMN_ORDERS) | {
        _SCHEMA: (_LIST, (_STRUCT, schema)),
        _ROW_GROUPS: (_LIST, (_STRUCT, groups)),
    }


def _without_statistics(chunk: Struct) -> Struct:
    if _META_DATA not in chunk:
        return chunk
    return chunk | {_META_DATA: (_STRUCT, _without(_value(chunk, _META_DATA, {}), *_STATISTICS))}


def _without_false_text(element: Struct) -> Struct:
    """Take the annotation of text from bytes of a fixed length: fastparquet makes it, and Arrow refuses it."""
    is_false = _value(element, _TYPE, 0) == _FIXED_BYTES and _value(element, _CONVERTED_TYPE, -1) == _UTF8
    return _without(element, _CONVERTED_TYPE, _LOGICAL_TYPE) if is_false else element


def end_of_data(metadata: Struct) -> int:
    """Return where all that a footer names in its file ends: pages, their indexes and Bloom filters."""
    end = len(MAGIC)
    for group in _list(metadata, _ROW_GROUPS):
        for chunk in map(_open, _list(group, _COLUMNS)):
            pages = _value(chunk, _META_DATA, {})
            first = min(filter(None, (_value(pages, field, 0) for field in (_DATA_PAGE, _DICTIONARY_PAGE))), default=0)
            extents = [(first, _value(pages, _COMPRESSED_BYTES, 0))]
            for described, (place, length) in ((chunk, _OFFSET_INDEX), (chunk, _COLUMN_INDEX), (pages, _BLOOM_FILTER)):
                extents.append((_value(described, place, 0), _value(described, length, 0)))
            end = max(end, *(place + length for place, length in extents))
    return end


def _columns(metadata: Struct) -> Iterator[tuple[str, list[Struct], range]]:
    """Take the schema apart: each column's name, what describes it, and the numbers of its leaves."""
    elements = iter(_list(metadata, _SCHEMA)[1:])
    leaf = 0
    for first in elements:
        own, first_leaf = [first], leaf
        missing = children = _value(first, _CHILDREN, 0)
        leaf += not children
        while missing > 0:
            element = next(elements, None)
            if element is None:
                raise FooterError("its schema ends too early")
            children = _value(element, _CHILDREN, 0)
            leaf += not children
            missing += children - 1
            own.append(element)
        yield _value(first, _NAME, b"").decode(errors="replace"), own, range(first_leaf, leaf)


def _value(fields: Struct, number: int, absent: _Value) -> _Value:
    """Return the value of a field; what stands for an absent one also where it is of another type."""
    value = fields.get(number, (0, absent))[1]
    return value if isinstance(value, type(absent)) else absent


def _list(fields: Struct, number: int) -> list[Any]:
    kind, found = fields.get(number, (_LIST, (_STRUCT, [])))
    if kind != _LIST or found[0] != _STRUCT:
        raise FooterError("it has no list where one belongs")
    structs: list[Any] = found[1]
    return structs


def _without(fields: Struct, *numbers: int) -> Struct:
    return {number: field for number, field in fields.items() if number not in numbers}


class _Reader:
    """Reads one value after the other."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def struct(self, depth: int, skipped: tuple[int, ...] | None = None) -> Struct:
        """Read a struct; of the lists that are found by these fields, the structs stay bytes."""
        if not depth:
            raise FooterError("it is nested too deep")
        fields: Struct = {}
        number = 0
        content = self._content
        while head := content[self._at]:
            self._at += 1
            number = number + (head >> 4) if head >> 4 else self._integer()
            kind = head & 15
            # A boolean field is its own value.
            below = skipped[1:] if skipped and skipped[0] == number else None
            fields[number] = (kind, self._value(kind, depth, below) if kind > _FALSE else None)
        self._at += 1
        return fields

    def _value(self, kind: int, depth: int, skipped: tuple[int, ...] | None = None) -> Any:
        if _BYTE < kind < _DOUBLE:
            return self._integer()
        if kind == _BINARY:
            return self._bytes(self._varint())
        if kind == _STRUCT:
            return self._skipped_struct(depth) if skipped == () else self.struct(depth - 1, skipped)
        if kind in (_LIST, _SET):
            size, element = self._list_head()
            # In a list a boolean is a byte.
            return element, [self._value(max(element, _BYTE), depth - 1, skipped) for _ in range(size)]
        if kind in _BYTES:
            return self._bytes(_BYTES[kind])
        # Parquet's footers have no maps.
        raise FooterError(f"it has a value of type {kind}")

    def _list_head(self) -> tuple[int, int]:
        [head] = self._bytes(1)
        size = head >> 4
        return self._varint() if size == 15 else size, head & 15

    def _skipped_struct(self, depth: int) -> bytes:
        start = self._at
        self._skip(_STRUCT, depth)
        return self._content[start : self._at]

    def _skip(self, kind: int, depth: int) -> None:
        if kind == _STRUCT:
            self._skip_fields(depth - 1)
        elif kind in (_LIST, _SET):
            size, element = self._list_head()
            for _ in range(size):
                self._skip(max(element, _BYTE), depth - 1)
        else:
            self._value(kind, depth)

    def _skip_fields(self, depth: int) -> None:
        """Skip a struct. Most of its fields are numbers, which are skipped here: a call takes ten times as long."""
        if not depth:
            raise FooterError("it is nested too deep")
        content, at = self._content, self._at
        while head := content[at]:
            at += 1
            kind = head & 15
            if not head >> 4:
                self._at = at
                self._integer()
                at = self._at
            if _BYTE < kind < _DOUBLE:
                while content[at] > 127:
                    at += 1
                at += 1
            elif kind > _FALSE:
                self._at = at
                self._skip(kind, depth)
                at = self._at
        self._at = at + 1

    def _bytes(self, count: int) -> bytes:
        taken = self._content[self._at : self._at + count]
        if len(taken) < count:
            raise FooterError("it ends too early")
        self._at += count
        return taken

    def _varint(self) -> int:
        value = self._content[self._at]
        self._at += 1
        if value < 128:
            return value
        value &= 127
        for shift in range(7, _MAX_VARINT_BITS, 7):
            byte = self._content[self._at]
            self._at += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise FooterError("it has a number of too many bytes")

    def _integer(self) -> int:
        value = self._varint()
        return value >> 1 ^ -(value & 1)


def _write(written: bytearray, kind: int, value: Any) -> None:
    if kind in (_I16, _I32, _I64):
        _write_varint(written, value << 1 ^ value >> 63)
    elif kind == _BINARY:
        _write_varint(written, len(value))
        written += value
    elif kind == _STRUCT and isinstance(value, bytes):
        written += value
    elif kind == _STRUCT:
        for number, (field, content) in value.items():
            written.append(field)
            _write(written, _I16, number)
            if content is not None:
                _write(written, field, content)
        written.append(0)
    elif kind in (_LIST, _SET):
        element, values = value
        written.append(0xF0 | element)
        _write_varint(written, len(values))
        for one in values:
            _write(written, element, one)
    else:
        written += value


def _write_varint(written: bytearray, value: int) -> None:
    while value > 127:
        written.append(value & 127 | 128)
        value >>= 7
    written.append(value)
