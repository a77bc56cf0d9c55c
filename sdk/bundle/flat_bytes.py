"""What a TFLite file says in its bytes, as flatbuffers lay them down (flatbuffers.dev/internals): its operators.

After TFLite's schema.fbs. A few bytes are read at a time. Standard library alone, for Python 3.9 on.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from edgewright.bundle.onnx_bytes import Malformed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Read = Callable[[int, int], bytes]
    """(position, count) -> so many bytes of a file, fewer at its end."""

__all__ = ["CUSTOM_CODE", "Flat", "kernels", "operator_codes"]

_MOST_OPERATORS = 2**12
"""Kinds of operators of a TFLite file: there are some 200, and a few of its own."""
_OPERATOR_CODES = 1
"""Field of Model."""
_DEPRECATED_CODE, CUSTOM_CODE, _VERSION, _BUILTIN_CODE = 0, 1, 2, 3
"""Fields of OperatorCode; what fits a byte stands in the first one, also since there is the last one."""
_LARGEST_BYTE = 127
"""What stands in the first one for all that does not fit it: PLACEHOLDER_FOR_GREATER_OP_CODES."""
_CUSTOM = 32
"""BuiltinOperator.CUSTOM: an operator with a name, which a program brings along itself."""


class Flat:
    """A flatbuffer, read a few bytes at a time (flatbuffers.dev/internals)."""

    def __init__(self, size: int, read: Read) -> None:
        self.size, self.read = size, read

    def number(self, at: int, form: str = "<I") -> int:
        """The number at a position. Raises Malformed: it lies outside."""
        width = struct.calcsize(form)
        data = self.read(at, width) if 0 <= at <= self.size - width else b""
        if len(data) != width:
            raise Malformed("it is no TFLite file: it leads out of itself")
        found: int = struct.unpack(form, data)[0]
        return found

    def follow(self, table: int, slot: int) -> int:
        """Where the offset in a slot of a table leads to, 0 for none."""
        vtable = table - self.number(table, "<i")
        if 6 + 2 * slot > self.number(vtable, "<H"):
            return 0
        at = self.number(vtable + 4 + 2 * slot, "<H")
        return table + at + self.number(table + at) if at else 0

    def value(self, table: int, slot: int, form: str, default: int) -> int:
        """The number in a slot of a table."""
        vtable = table - self.number(table, "<i")
        at = self.number(vtable + 4 + 2 * slot, "<H") if 6 + 2 * slot <= self.number(vtable, "<H") else 0
        return self.number(table + at, form) if at else default


def operator_codes(flat: Flat) -> Iterator[int]:
    """Where the table of each kind of operator is. Raises Malformed."""
    codes = flat.follow(flat.number(0), _OPERATOR_CODES)
    count = flat.number(codes) if codes else 0
    if count > _MOST_OPERATORS:
        raise Malformed(f"it has {count} kinds of operators, at most {_MOST_OPERATORS} are read")
    for at in range(codes + 4, codes + 4 + 4 * count, 4):
        yield at + flat.number(at)


def kernels(size: int, read: Read) -> list[bytes]:
    """For each kind of operator the smallest file that names it: an engine opens it or says what it lacks.

    Raises:
        Malformed: the file is no TFLite file.
    """
    flat, found = Flat(size, read), set()
    for code in operator_codes(flat):
        old, new = flat.value(code, _DEPRECATED_CODE, "<b", 0), flat.value(code, _BUILTIN_CODE, "<i", 0)
        builtin = max(old, new)  # as GetBuiltinCode of TFLite's schema_utils.cc
        if builtin != _CUSTOM:
            found.add((builtin, flat.value(code, _VERSION, "<i", 1)))
    return [_naming(builtin, version) for builtin, version in sorted(found)]


def _naming(builtin: int, version: int) -> bytes:
    """A file of one kind of operator, with a subgraph that is empty; each offset leads on from where it stands."""
    model = struct.pack("<I4s8Hi4I", 24, b"TFL3", 14, 20, 4, 8, 12, 0, 16, 0, 16, 3, 12, 16, 20)
    lists = struct.pack("<6I", 1, 32, 1, 52, 1, 68)  # of operator codes, subgraphs and buffers
    code = struct.pack("<6HiIII", 12, 16, 12, 0, 4, 8, 12, version, builtin, min(builtin, _LARGEST_BYTE))
    subgraph = struct.pack("<6Hi4I", 12, 20, 4, 8, 12, 16, 12, 24, 20, 16, 12)
    buffer = struct.pack("<2Hi", 4, 4, 4)
    return model + lists + code + subgraph + buffer + struct.pack("<I", 0)
