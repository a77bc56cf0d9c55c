"""An ONNX model in which no two int8 products share a weight, as ONNX Runtime's exact form of them wants it.

By its bytes, as protobuf lays them on the wire (protobuf.dev/programming-guides/encoding, onnx.proto): the package onnx
is not installed where a model only runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgewright.bundle.onnx_bytes import fields

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["unshared"]

_GRAPH, _NODE, _INITIALIZER = 7, 1, 5
"""Fields of ModelProto and GraphProto."""
_INPUT, _OP_TYPE, _NAME = 1, 4, 8
"""Fields of NodeProto and TensorProto."""
_WEIGHT = {b"MatMulInteger": 1, b"QLinearMatMul": 3, b"DynamicQuantizeMatMul": 1, b"MatMulIntegerToFloat": 1}
"""Where among its inputs an operator has its weight (ONNX's Operators.md, ONNX Runtime's ContribOperators.md)."""


def unshared(model: bytes) -> bytes:
    """The same model with a weight of its own for each int8 product.

    Raises:
        Malformed: it is no ONNX file.
    """
    return b"".join(
        _field(number, _of_graph(content)) if number == _GRAPH else whole for number, content, whole in _parts(model)
    )


def _of_graph(graph: bytes) -> bytes:
    weights = {_text(content, _NAME): content for number, content, _ in _parts(graph) if number == _INITIALIZER}
    made, met = list[bytes](), set[bytes]()
    for number, content, whole in _parts(graph):
        made.append(whole)
        at = _WEIGHT.get(_text(content, _OP_TYPE)) if number == _NODE else None
        if at is None:
            continue
        names = [value for field, value, _ in _parts(content) if field == _INPUT]
        name = names[at] if at < len(names) else b""
        if name in met and name in weights:
            own = name + b"/%d" % len(made)
            made[-1] = _field(_NODE, _renamed(content, _INPUT, at, own))
            made.append(_field(_INITIALIZER, _renamed(weights[name], _NAME, 0, own)))
        met.add(name)
    return b"".join(made)


def _renamed(message: bytes, field: int, at: int, name: bytes) -> bytes:
    """A message with another text as the one at `at` among those of a field."""
    made = list[bytes]()
    for number, _, whole in _parts(message):
        made.append(_field(field, name) if number == field and at == 0 else whole)
        at -= number == field
    return b"".join(made)


def _parts(message: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Number, content and all the bytes of each field."""
    start = 0
    for number, _, first, last in fields(message):
        yield number, message[first:last], message[start:last]
        start = last


def _text(message: bytes, field: int) -> bytes:
    return next((content for number, content, _ in _parts(message) if number == field), b"")


def _field(number: int, content: bytes) -> bytes:
    length, left = bytearray(), len(content)
    while left > 127:
        length.append(left & 127 | 128)
        left >>= 7
    return bytes([number << 3 | 2, *length, left]) + content
