"""8-bit products of a decoder for CPUs without dot products of bytes: each row of states is rounded as it comes.

MatMulNBits in int8 has no kernel for a Cortex-A53 or A72: it takes thirty times the instructions of float32 there.
MatMulInteger has one. A state has a scale for each token, not one for all that are read together: a token's numbers are
the same whatever stands beside it, in a chunk or alone. A weight has a scale for each output.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgewright.converters._decoder.parts import Linear
from edgewright.converters._onnx.products import Products, biased, head_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgewright.converters._onnx.writer import Writer

    Array = NDArray[Any]

__all__ = ["Rows"]

_STEPS = 127
"""On either side of zero, of eight bits with a sign."""
_MIDDLE = 128
"""The zero of a state's codes: engines have their fast kernels for states without a sign."""
_LEAST = np.finfo(np.float32).tiny
"""What a row of zeros is divided by."""


class Rows(Products):
    """MatMulInteger of uint8 states and int8 weights."""

    def __init__(self) -> None:
        self._rounded: dict[tuple[Writer, str, bool], tuple[str, str]] = {}  # graphs have states of the same names

    def product(self, graph: Writer, state: str, linear: Linear) -> str:
        """X @ w.T + b."""
        return biased(graph, self._product(graph, self._row(graph, state), linear), linear)

    def embedded(self, graph: Writer, ids: str) -> str:
        """Columns of the table: it lies as the product with the head wants it, once."""
        codes, scales = self._weight(graph, Linear("embedding", graph.tables.embedding))
        columns = graph.node("Gather", codes, ids, axis=1)  # (width, batch, n)
        rows = graph.node("Transpose", columns, perm=[1, 2, 0])
        scale = graph.node("Unsqueeze", graph.node("Gather", scales, ids), graph.index(-1))
        found: str = graph.node("Mul", _float(graph, rows), scale)
        return found

    def head(self, graph: Writer, state: str, out: str) -> None:
        """The logits, from the embedding's own table where they are one.

        The state is rounded to eight bits, and what that leaves to eight bits again: the head alone gave half of the
        divergence of SmolLM2-135M. Both are rows of one product, which reads the table once.
        """
        head = graph.tables.head or Linear("embedding", graph.tables.embedding)
        (high, scale), (low, fine) = self._row(graph, state), self._left(graph, state)
        both = graph.node("Concat", high, low, axis=1), graph.node("Concat", scale, fine, axis=1)
        first, second = graph.node("Split", self._product(graph, both, head), outputs=2, axis=1, num_outputs=2)
        graph.node("Identity", biased(graph, graph.node("Add", first, second), head), outputs=[out])

    def columns(self, graph: Writer, ids: str) -> str:
        """Columns of the head's table, made float: the states of their product are not rounded."""
        codes, scales = self._weight(graph, head_of(graph))
        columns = _float(graph, graph.node("Gather", codes, ids, axis=1))
        found: str = graph.node("Mul", columns, graph.node("Gather", scales, ids))
        return found

    def _product(self, graph: Writer, row: tuple[str, str], linear: Linear) -> str:
        (codes, scale), (table, scales) = row, self._weight(graph, linear)
        zero = graph.constant("zero", np.array(_MIDDLE, np.uint8))
        whole = _float(graph, graph.node("MatMulInteger", codes, table, zero))
        found: str = graph.node("Mul", graph.node("Mul", whole, scale), scales)
        return found

    def _row(self, graph: Writer, state: str) -> tuple[str, str]:
        """The codes of a state, and the scale of each of its rows; once for all products that read it."""
        if (graph, state, False) not in self._rounded:
            peak = graph.node("ReduceMax", graph.node("Abs", state), graph.index(-1), keepdims=1)
            step = graph.node("Mul", peak, graph.constant("step", np.array(1 / _STEPS, np.float32)))
            scale = graph.node("Max", step, graph.constant("least", np.array(_LEAST, np.float32)))
            self._rounded[graph, state, False] = _codes(graph, state, scale), scale
        return self._rounded[graph, state, False]

    def _left(self, graph: Writer, state: str) -> tuple[str, str]:
        """The same of what a state's codes leave of it, at most half of a step."""
        codes, scale = self._row(graph, state)
        if (graph, state, True) not in self._rounded:
            middle = graph.constant("middle", np.array(_MIDDLE, np.float32))
            near = graph.node("Mul", graph.node("Sub", _float(graph, codes), middle), scale)
            fine = graph.node("Mul", scale, graph.constant("finer", np.array(0.5 / _STEPS, np.float32)))
            self._rounded[graph, state, True] = _codes(graph, graph.node("Sub", state, near), fine), fine
        return self._rounded[graph, state, True]

    def _weight(self, graph: Writer, linear: Linear) -> tuple[str, str]:
        """(outputs, inputs) -> codes int8 (inputs, outputs) and scales (outputs,), to the nearest."""
        name, weight = linear.name, linear.weight
        scales = np.maximum(np.abs(weight).max(1) / np.float32(_STEPS), _LEAST).astype(np.float32)
        codes = np.rint(weight / scales[:, None]).astype(np.int8)
        return graph.constant(f"{name}.codes", codes.T), graph.constant(f"{name}.scales", scales)


def _codes(graph: Writer, state: str, scale: str) -> str:
    """uint8 codes of a float32 state around `_MIDDLE`."""
    from onnx import TensorProto

    near = graph.node("Round", graph.node("Div", state, scale))
    moved = graph.node("Add", near, graph.constant("middle", np.array(_MIDDLE, np.float32)))
    found: str = graph.node("Cast", moved, to=TensorProto.UINT8)
    return found


def _float(graph: Writer, whole: str) -> str:
    from onnx import TensorProto

    found: str = graph.node("Cast", whole, to=TensorProto.FLOAT)
    return found
