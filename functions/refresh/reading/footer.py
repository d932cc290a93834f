"""The footer of a parquet file, parsed in Python: for files that Arrow refuses, and facts that Arrow does not give.

A footer is one struct in Thrift's compact protocol; parquet.thrift numbers its fields
(https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift).
"""

from collections.abc import Collection, Iterator
from typing import Any, TypeVar

from functions.refresh.reading.thrift import I32, LIST, STRUCT, FooterError, Struct, read_struct

MAGIC = b"PAR1"

_Value = TypeVar("_Value", int, bytes, dict[int, Any])

# Fields of FileMetaData, SchemaElement, RowGroup, ColumnChunk and the ColumnMetaData in it.
_SCHEMA, _ROW_GROUPS, _KEY_VALUES, _COLUMN_ORDERS = 2, 4, 5, 7
_TYPE, _NAME, _CHILDREN, _CONVERTED_TYPE, _LOGICAL_TYPE = 1, 4, 5, 6, 10
_COLUMNS, _SORTING = 1, 4
_META_DATA, _OFFSET_INDEX, _COLUMN_INDEX = 3, (4, 5), (6, 7)
_STATISTICS = (12, 16)
_COMPRESSED_BYTES, _DATA_PAGE, _DICTIONARY_PAGE, _BLOOM_FILTER = 7, 9, 11, (14, 15)

_FIXED_BYTES, _UTF8 = 7, 0


def parse(footer: bytes) -> Struct:
    """Parse a footer, without the length and the magic number that follow it.

    Column chunks stay bytes: a wide file has hundreds of thousands of them, and few are needed.

    Raises
    ------
    FooterError
        When the bytes are not a footer.
    """
    return read_struct(footer, (_ROW_GROUPS, _COLUMNS))


def column_names(metadata: Struct) -> list[str]:
    """Return the names of the columns in the file."""
    return [name for name, _, _ in _columns(metadata)]


def keep_columns(metadata: Struct, kept: Collection[str]) -> Struct:
    """Describe the same file as if it had only some of its columns.

    Whatever refers to columns by their place is removed, above all the schema that Arrow adds to its files, and so are
    the statistics, which are not needed and may be damaged.

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
            own = [read_struct(chunks[leaf]) for _, leaves in columns for leaf in leaves]
        except IndexError as error:
            raise FooterError("a row group lacks columns") from error
        groups.append(_without(group, _SORTING) | {_COLUMNS: (LIST, (STRUCT, [*map(_without_statistics, own)]))})
    schema = [
        root | {_CHILDREN: (I32, len(columns))},
        *(_without_false_text(element) for elements, _ in columns for element in elements),
    ]
    return _without(metadata, _KEY_VALUES, _COLUMN_ORDERS) | {
        _SCHEMA: (LIST, (STRUCT, schema)),
        _ROW_GROUPS: (LIST, (STRUCT, groups)),
    }


def _without_statistics(chunk: Struct) -> Struct:
    if _META_DATA not in chunk:
        return chunk
    return chunk | {_META_DATA: (STRUCT, _without(_value(chunk, _META_DATA, {}), *_STATISTICS))}


def _without_false_text(element: Struct) -> Struct:
    """Remove the annotation of text from bytes of a fixed length: fastparquet writes it, and Arrow refuses it."""
    is_false = _value(element, _TYPE, 0) == _FIXED_BYTES and _value(element, _CONVERTED_TYPE, -1) == _UTF8
    return _without(element, _CONVERTED_TYPE, _LOGICAL_TYPE) if is_false else element


def end_of_data(metadata: Struct) -> int:
    """Return where the last byte ends that a footer refers to: of pages, their indexes or Bloom filters."""
    end = len(MAGIC)
    for group in _list(metadata, _ROW_GROUPS):
        for chunk in map(read_struct, _list(group, _COLUMNS)):
            pages = _value(chunk, _META_DATA, {})
            first = min(filter(None, (_value(pages, field, 0) for field in (_DATA_PAGE, _DICTIONARY_PAGE))), default=0)
            extents = [(first, _value(pages, _COMPRESSED_BYTES, 0))]
            for described, (place, length) in ((chunk, _OFFSET_INDEX), (chunk, _COLUMN_INDEX), (pages, _BLOOM_FILTER)):
                extents.append((_value(described, place, 0), _value(described, length, 0)))
            end = max(end, *(place + length for place, length in extents))
    return end


def _columns(metadata: Struct) -> Iterator[tuple[str, list[Struct], range]]:
    """Parse the schema: each column's name, what describes it, and the numbers of its leaves."""
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
    """Return the value of a field, or `absent` if the field is missing or of another type."""
    value = fields.get(number, (0, absent))[1]
    return value if isinstance(value, type(absent)) else absent


def _list(fields: Struct, number: int) -> list[Any]:
    kind, found = fields.get(number, (LIST, (STRUCT, [])))
    if kind != LIST or found[0] != STRUCT:
        raise FooterError("it has no list where one belongs")
    structs: list[Any] = found[1]
    return structs


def _without(fields: Struct, *numbers: int) -> Struct:
    return {number: field for number, field in fields.items() if number not in numbers}
