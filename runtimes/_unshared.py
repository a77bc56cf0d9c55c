"""An ONNX model in which no two int8 products share a weight, as ONNX Runtime's exact form of them wants it.

By its bytes, as protobuf lays them on the wire (protobuf.dev/programming-guides/encoding, onnx.proto): the package onnx
is not installed where a model only runs.
"""

from __future__ import annotations

from edgewright.bundle.onnx_rewriting import (
    INITIALIZER,
    INPUT,
    NAME,
    NODE,
    OP_TYPE,
    content_of,
    field,
    inputs,
    parts,
    renamed,
    with_graph,
)

__all__ = ["unshared"]

_WEIGHT = {b"MatMulInteger": 1, b"QLinearMatMul": 3, b"DynamicQuantizeMatMul": 1, b"MatMulIntegerToFloat": 1}
"""Where among its inputs an operator has its weight (ONNX's Operators.md, ONNX Runtime's ContribOperators.md)."""


def unshared(model: bytes) -> bytes:
    """The same model with a weight of its own for each int8 product.

    Raises:
        Malformed: it is no ONNX file.
    """
    return with_graph(model, _of_graph)


def _of_graph(graph: bytes) -> bytes:
    weights = {content_of(content, NAME): content for number, content, _ in parts(graph) if number == INITIALIZER}
    made, met = list[bytes](), set[bytes]()
    for number, content, whole in parts(graph):
        made.append(whole)
        at = _WEIGHT.get(content_of(content, OP_TYPE)) if number == NODE else None
        if at is None:
            continue
        names = inputs(content)
        name = names[at] if at < len(names) else b""
        if name in met and name in weights:
            own = name + b"/%d" % len(made)
            made[-1] = field(NODE, renamed(content, INPUT, at, own))
            made.append(field(INITIALIZER, renamed(weights[name], NAME, 0, own)))
        met.add(name)
    return b"".join(made)
