"""A decoder's graph in an order that ONNX Runtime opens in less memory.

The engine packs the weights of one node after another, in the order of the file, and unmaps the range of a file that a
weight came from when no other node has it. A decoder's head is its largest matrix and its last node: while it is packed
everything else lies there packed, and all of the head's own range is in memory beside it. As the first node it is
packed when there is nothing else, which saves as much as the smaller of both. And a head that is the table of the
embedding too (SmolLM2 at fp32) is mapped under a name of its own, since of the other mapping only the rows of tokens
are read.

ONNX wants nodes in the order of their inputs, which this is not. ONNX Runtime sorts them itself (1.19 to 1.31 do): it
is for its eyes alone, in memory or among the assets of an app whose engine it is, and no bundle holds such a file.
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

__all__ = ["head_first"]

_PRODUCTS = (b"MatMulNBits", b"MatMulInteger", b"MatMul", b"Gemm")
"""What a head is computed by; the weight is the second input of each (ONNX's Operators.md, ContribOperators.md)."""
_EXTERNAL_DATA = 13
"""Field of TensorProto."""


def head_first(model: bytes) -> bytes:
    """The same model with its last product by a stored weight first; as it was where that weight is in the file itself.

    Raises:
        Malformed: it is no ONNX file.
    """
    return with_graph(model, _of_graph)


def _of_graph(graph: bytes) -> bytes:
    every = list(parts(graph))
    nodes = [(at, content) for at, (key, content, _) in enumerate(every) if key == NODE]
    head = next(((at, node) for at, node in reversed(nodes) if content_of(node, OP_TYPE) in _PRODUCTS), None)
    weight = _weight(every, head[1]) if head else b""
    if head is None or content_of(weight, _EXTERNAL_DATA) == b"":
        return graph
    at, node = head
    name, others = content_of(weight, NAME), [whole for where, (_, _, whole) in enumerate(every) if where != at]
    if any(name in other and name in inputs(other) for where, other in nodes if where != at):
        own = name + b"/head"
        node = renamed(node, INPUT, 1, own)
        others.append(field(INITIALIZER, renamed(weight, NAME, 0, own)))
    return field(NODE, node) + b"".join(others)


def _weight(every: list[tuple[int, bytes, bytes]], node: bytes) -> bytes:
    """The initializer that a product multiplies by, nothing where something computes it."""
    name = (*inputs(node), b"", b"")[1]
    stored = (content for key, content, _ in every if key == INITIALIZER and name in content)
    return next((content for content in stored if content_of(content, NAME) == name), b"")
