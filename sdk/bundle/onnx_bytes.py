"""What an ONNX file says in its bytes, as protobuf lays them on the wire: which tensors lie elsewhere, its versions.

After protobuf.dev/programming-guides/encoding and onnx.proto. What lies in between is skipped and not read, so that it
costs the same for 2 GiB of weights. Standard library alone, for Python 3.9 on.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Read = Callable[[int, int], bytes]
    """(position, count) -> so many bytes of a file, fewer at its end."""

__all__ = ["External", "Malformed", "externals", "fields", "operators", "stamp"]

_MOST_FIELDS = 2**20
"""MiniLM, of six layers, has 1,736; so many take a second or two."""
_MOST_DEPTH = 100
"""Messages in messages: where protobuf's own parsers stop, unless told otherwise, so that no engine reads deeper."""
_MOST_TEXT = 2**12
"""Bytes of a name, key or value: Linux's longest path."""
_WINDOW, _HEADER = 2**14, 15
"""Bytes that are read at once; those of the longest tag and length."""

_NODE = "node"
_SHAPES: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training_info", 25: "function"},
    "graph": {1: _NODE, 5: "tensor", 15: "sparse_tensor"},
    _NODE: {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse_tensor", 23: "sparse_tensor"},
    "sparse_tensor": {1: "tensor", 2: "tensor"},
    "function": {7: _NODE, 11: "attribute"},
    "training_info": {1: "graph", 2: "graph"},
}
"""The fields of onnx.proto through which a tensor or a node can be reached."""
_ONCE = {("model", 7), ("attribute", 5), ("attribute", 6), ("attribute", 22), *(("sparse_tensor", n) for n in (1, 2)),
         *(("training_info", n) for n in (1, 2))}  # fmt: skip
"""Those that are not repeated: a parser would merge two."""
_OP_TYPE = 4
"""Field of NodeProto in onnx.proto."""
_NAME, _ENTRY, _DATA_LOCATION = 8, 13, 14
"""Fields of TensorProto: name, external_data, data_location."""
_EXTERNAL = 1
"""TensorProto.DataLocation.EXTERNAL."""
_KEY, _VALUE = 1, 2
"""Fields of StringStringEntryProto."""
_EP_CONTEXT = b"EPContext"
_WORDS = (b"location", _EP_CONTEXT)


_OWN_DOMAIN = "ai.onnx"
"""Another name of the domain without a name."""


class Malformed(ValueError):
    """Not a file of its format, or one that parsers may read in different ways; in words."""


class External(NamedTuple):
    """A tensor whose values lie elsewhere.

    Attributes:
        tensor: its name, as bytes.
        entries: key and value of each of its `external_data`, in their order; None for one that is missing.
    """

    tensor: bytes
    entries: tuple[tuple[bytes | None, bytes | None], ...]


def externals(size: int, read: Read) -> Iterator[External]:
    """The tensors of an ONNX file whose values lie elsewhere, or that have any `external_data`, wherever they stand.

    In nodes, those of nodes with a location: without that key an engine opens nothing.

    Raises:
        Malformed: not a ModelProto, an `EPContext` node, or something that parsers may read in different ways.
    """
    try:
        yield from _Walk(size, read).message("model", 0, size, 0)
    except (IndexError, struct.error):
        raise Malformed("it is no ONNX file: cut short") from None


_NAMED = {_NODE: (7, _OP_TYPE), "function": (10, 1)}
"""Fields of NodeProto and FunctionProto: the domain, and the operator's name."""


def operators(size: int, read: Read) -> list[str]:
    """What an ONNX file asks its engine for, as `Name` or `domain:Name`; not the functions that it brings along.

    Raises:
        Malformed: it is no ONNX file.
    """
    found: dict[str, set[str]] = {_NODE: set(), "function": set()}
    try:
        _Walk(size, read).operators("model", 0, size, 0, found)
    except (IndexError, struct.error):
        raise Malformed("it is no ONNX file: cut short") from None
    return sorted(found[_NODE] - found["function"])


_IR_VERSION, _GRAPH, _OPSET_IMPORT = 1, 7, 8
"""Fields of ModelProto."""
_IDENTITY = bytes.fromhex(
    "0a100a01781201792208"
    + b"Identity".hex()
    + "12017a5a0b0a01781206"
    + "0a0408011200"
    + "620b0a01791206"
    + "0a0408011200"
)
"""A GraphProto called z: y = Identity(x), both float scalars."""


def stamp(size: int, read: Read) -> bytes:
    """The smallest model of the same versions of ONNX's format and operators: an engine opens it or says what it takes.

    Raises:
        Malformed: the file is no ONNX file, or says more of versions than can be meant.
    """
    walk, found = _Walk(size, read), b""
    try:
        for number, wire, first, last in walk.fields(0, size):
            if number == _IR_VERSION and wire == 0:
                found += bytes([_IR_VERSION << 3]) + walk.text(first, last)
            elif number == _OPSET_IMPORT and wire == 2:
                content = walk.text(first, last)
                found += bytes([_OPSET_IMPORT << 3 | 2, *_length(len(content))]) + content
    except (IndexError, struct.error):
        raise Malformed("it is no ONNX file: cut short") from None
    if len(found) > _MOST_TEXT:
        raise Malformed(f"its versions take {len(found)} bytes, at most {_MOST_TEXT} are read")
    return found + bytes([_GRAPH << 3 | 2, *_length(len(_IDENTITY))]) + _IDENTITY


def _length(count: int) -> list[int]:
    """A length of up to 14 bits, as protobuf lays it down."""
    return [count] if count < 128 else [count & 127 | 128, count >> 7]


def fields(message: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Number, wire type, and where the content begins and ends, of each field of a message in memory.

    Raises:
        Malformed: it is no message.
    """
    try:
        yield from _Walk(len(message), lambda start, count: message[start : start + count]).fields(0, len(message))
    except (IndexError, struct.error):
        raise Malformed("it is no ONNX file: cut short") from None


class _Walk:
    """The messages of a file, a window of which is in memory. No dataclass: these cost a cold start a millisecond."""

    def __init__(self, size: int, read: Read) -> None:
        self.size, self.read = size, read
        self.window, self.base, self.left = b"", 0, _MOST_FIELDS

    def message(self, kind: str, start: int, end: int, depth: int) -> Iterator[External]:
        if depth == _MOST_DEPTH:
            raise Malformed(f"it has more than {_MOST_DEPTH} messages in each other")
        if kind == _NODE and not self.may_name(start, end):
            return
        inner, once = _SHAPES[kind], set()
        for number, wire, first, last in self.fields(start, end):
            shape = inner.get(number) if wire == 2 else None
            if shape is None:
                if kind == _NODE and number == _OP_TYPE and wire == 2 and self.text(first, last) == _EP_CONTEXT:
                    raise Malformed("it has an EPContext node, which may name a compiled model outside of the bundle")
                continue
            if (kind, number) in _ONCE and number in once:
                raise Malformed(f"field {number} of a {kind} stands twice")
            once.add(number)
            if shape == "tensor":
                yield from self.tensor(first, last)
            else:
                yield from self.message(shape, first, last, depth + 1)

    def operators(self, kind: str, start: int, end: int, depth: int, found: dict[str, set[str]]) -> None:
        """Put the names of all nodes and functions into `found`."""
        if depth == _MOST_DEPTH:
            raise Malformed(f"it has more than {_MOST_DEPTH} messages in each other")
        inner, named, names = _SHAPES[kind], _NAMED.get(kind, ()), dict[int, str]()
        for number, wire, first, last in self.fields(start, end):
            if wire == 2 and number in named:
                names[number] = self.text(first, last).decode("ascii", "backslashreplace")
            elif wire == 2 and "tensor" not in inner.get(number, "tensor"):
                self.operators(inner[number], first, last, depth + 1, found)
        if named:
            domain, name = (names.get(number, "") for number in named)
            found[kind].add(name if domain in ("", _OWN_DOMAIN) else f"{domain}:{name}")

    def may_name(self, start: int, end: int) -> bool:
        """Whether a node holds one of the words without which it names no file: most do not, and need no walk."""
        if end - start > _WINDOW:
            return True
        if start < self.base or end > self.base + len(self.window):
            self.window, self.base = self.read(start, _WINDOW), start
        found = self.window[start - self.base : end - self.base]
        if len(found) != end - start:
            raise Malformed("it is no ONNX file: cut short")
        return any(word in found for word in _WORDS)

    def tensor(self, start: int, end: int) -> Iterator[External]:
        name, entries, external = b"", [], False
        for number, wire, first, last in self.fields(start, end):
            if number == _NAME and wire == 2:
                name = self.text(first, min(last, first + _MOST_TEXT))
            elif number == _ENTRY and wire == 2:
                entries.append(self.entry(first, last))
            elif number == _DATA_LOCATION and wire == 0:
                # An enumeration is 32 bits wide, whatever stands above them
                external = external or self.varint(first) & 0xFFFFFFFF == _EXTERNAL
        if external or entries:
            yield External(name, tuple(entries))

    def entry(self, start: int, end: int) -> tuple[bytes | None, bytes | None]:
        found: dict[int, bytes] = {}
        for number, wire, first, last in self.fields(start, end):
            if number in (_KEY, _VALUE) and wire == 2:
                if number in found:
                    raise Malformed("an external data entry has two keys or values")
                found[number] = self.text(first, last)
        return found.get(_KEY), found.get(_VALUE)

    def fields(self, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
        """Number, wire type, and where the content begins and ends, of each field; varints begin at their bytes."""
        position, data, base, enough = start, b"", start, 0
        while position < end:
            if position >= enough:
                data, base = self.near(position)
                enough = base + len(data) - _HEADER if base + len(data) < self.size else self.size
            at = position - base
            tag = data[at]
            at += 1
            if tag > 127:
                tag, at = _varint(data, at - 1, 5)
            wire = tag & 7
            if wire == 2:
                length = data[at]
                at += 1
                if length > 127:
                    length, at = _varint(data, at - 1, 5)
                first = base + at
                position = first + length
            else:
                first = base + at
                position = _after(wire, data, at) + base
            if position > end or not 8 <= tag < 2**32:
                raise Malformed(f"it is no ONNX file: a field at byte {first} ends at {position}, not by {end}")
            self.left -= 1
            if self.left < 0:
                raise Malformed(f"it has more than {_MOST_FIELDS} fields")
            yield tag >> 3, wire, first, position

    def near(self, position: int) -> tuple[bytes, int]:
        """A piece of the file from which a field's header at `position` can be read, and where it begins."""
        at = position - self.base
        if not 0 <= at <= len(self.window) - _HEADER:
            self.window, self.base = self.read(position, _WINDOW), position
        return self.window, self.base

    def text(self, first: int, last: int) -> bytes:
        if last - first > _MOST_TEXT:
            raise Malformed(f"a name has {last - first} bytes, at most {_MOST_TEXT} are read")
        at = first - self.base
        if at >= 0 and last - self.base <= len(self.window):
            return self.window[at : at + last - first]
        found = self.read(first, last - first)
        if len(found) != last - first:
            raise Malformed("it is no ONNX file: cut short")
        return found

    def varint(self, first: int) -> int:
        data, base = self.near(first)
        return _varint(data, first - base, 10)[0]


def _varint(data: bytes, at: int, most: int) -> tuple[int, int]:
    """A number of at most so many bytes, and where the next one begins."""
    value = 0
    for shift in range(0, 7 * most, 7):
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise Malformed(f"it is no ONNX file: a number of more than {most} bytes")


def _after(wire: int, data: bytes, at: int) -> int:
    """Where a field that has no length ends."""
    if wire == 0:
        return _varint(data, at, 10)[1]
    if wire == 1:
        return at + 8
    if wire == 5:
        return at + 4
    raise Malformed(f"it is no ONNX file: a field of the wire type {wire}")
