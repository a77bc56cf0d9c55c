"""The messages of an ONNX file taken apart and put together, by their bytes.

Without the package onnx, which is not installed where a model only runs: as protobuf lays them on the wire
(protobuf.dev/programming-guides/encoding), with the fields of onnx.proto.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgewright.bundle.onnx_bytes import fields

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = [
    "GRAPH",
    "INITIALIZER",
    "INPUT",
    "NAME",
    "NODE",
    "OP_TYPE",
    "content_of",
    "field",
    "inputs",
    "number",
    "parts",
    "renamed",
    "with_graph",
]

GRAPH, NODE, INITIALIZER = 7, 1, 5
"""Fields of ModelProto and GraphProto."""
INPUT, OP_TYPE, NAME = 1, 4, 8
"""Fields of NodeProto and TensorProto."""


def parts(message: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Number, content and all the bytes of each field.

    Raises:
        Malformed: it is no message.
    """
    start = 0
    for key, _, first, last in fields(message):
        yield key, message[first:last], message[start:last]
        start = last


def content_of(message: bytes, key: int) -> bytes:
    """What the first field of that number holds, nothing where there is none."""
    return next((content for found, content, _ in parts(message) if found == key), b"")


def inputs(node: bytes) -> list[bytes]:
    """The names of a node's inputs."""
    return [content for key, content, _ in parts(node) if key == INPUT]


def field(key: int, content: bytes) -> bytes:
    """A field with a length: a text, or a message."""
    return _varint(key << 3 | 2) + _varint(len(content)) + content


def number(key: int, value: int) -> bytes:
    """A field that is a number."""
    return _varint(key << 3) + _varint(value)


def renamed(message: bytes, key: int, at: int, name: bytes) -> bytes:
    """A message with another text as the one at `at` among those of a field."""
    made = list[bytes]()
    for found, _, whole in parts(message):
        made.append(field(key, name) if found == key and at == 0 else whole)
        at -= found == key
    return b"".join(made)


def with_graph(model: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """The same model with another graph. Raises Malformed."""
    return b"".join(field(GRAPH, change(content)) if key == GRAPH else whole for key, content, whole in parts(model))


def _varint(value: int) -> bytes:
    made = bytearray()
    while value > 127:
        made.append(value & 127 | 128)
        value >>= 7
    return bytes([*made, value])
