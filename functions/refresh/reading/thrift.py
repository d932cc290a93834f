"""Structs in Thrift's compact protocol, read and written in Python.

https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

from typing import Any

Struct = dict[int, tuple[int, Any]]
"""Fields by number, each with its type in the protocol and its value."""

_TRUE, _FALSE, _BYTE, _I16, I32, _I64, _DOUBLE, _BINARY, LIST, _SET, _MAP, STRUCT, _UUID = range(1, 14)
_BYTES = {_BYTE: 1, _DOUBLE: 8, _UUID: 16}
# Deeper than any footer is.
_MAX_DEPTH = 16
_MAX_VARINT_BITS = 64


class FooterError(ValueError):
    """The bytes are not a footer."""


def read_struct(content: bytes, skipped: tuple[int, ...] | None = None) -> Struct:
    """Read a struct. `skipped` is a path of field numbers to lists whose structs stay bytes.

    Raises
    ------
    FooterError
        When the bytes are not a struct.
    """
    try:
        return _Reader(content).struct(_MAX_DEPTH, skipped)
    except IndexError as error:
        raise FooterError("it ends too early") from error


def write_struct(struct: Struct) -> bytes:
    """Return the bytes of a struct."""
    written = bytearray()
    _write(written, STRUCT, struct)
    return bytes(written)


class _Reader:
    """Reads one value after the other."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def struct(self, depth: int, skipped: tuple[int, ...] | None = None) -> Struct:
        if not depth:
            raise FooterError("it is nested too deep")
        fields: Struct = {}
        number = 0
        content = self._content
        while head := content[self._at]:
            self._at += 1
            number = number + (head >> 4) if head >> 4 else self._integer()
            kind = head & 15
            # The type of a boolean field is its value.
            below = skipped[1:] if skipped and skipped[0] == number else None
            fields[number] = (kind, self._value(kind, depth, below) if kind > _FALSE else None)
        self._at += 1
        return fields

    def _value(self, kind: int, depth: int, skipped: tuple[int, ...] | None = None) -> Any:
        if _BYTE < kind < _DOUBLE:
            return self._integer()
        if kind == _BINARY:
            return self._bytes(self._varint())
        if kind == STRUCT:
            return self._skipped_struct(depth) if skipped == () else self.struct(depth - 1, skipped)
        if kind in (LIST, _SET):
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
        self._skip(STRUCT, depth)
        return self._content[start : self._at]

    def _skip(self, kind: int, depth: int) -> None:
        if kind == STRUCT:
            self._skip_fields(depth - 1)
        elif kind in (LIST, _SET):
            size, element = self._list_head()
            for _ in range(size):
                self._skip(max(element, _BYTE), depth - 1)
        else:
            self._value(kind, depth)

    def _skip_fields(self, depth: int) -> None:
        """Skip a struct. Numbers, most of its fields, are skipped inline: a call for each takes ten times as long."""
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
    if kind in (_I16, I32, _I64):
        _write_varint(written, value << 1 ^ value >> 63)
    elif kind == _BINARY:
        _write_varint(written, len(value))
        written += value
    elif kind == STRUCT and isinstance(value, bytes):
        written += value
    elif kind == STRUCT:
        for number, (field, content) in value.items():
            written.append(field)
            _write(written, _I16, number)
            if content is not None:
                _write(written, field, content)
        written.append(0)
    elif kind in (LIST, _SET):
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
