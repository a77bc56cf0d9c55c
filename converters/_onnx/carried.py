"""Weights of a GGUF file on their own grid: the codes are taken over as they are.

Q8_0 and Q4_0 are grids of MatMulNBits. Q4_1's lows are fractions of a step, which the CPU kernel takes only by
dequantizing everything at each call; so whole zero points are taken, and what they miss, at most half a step, becomes
4-bit weights of the sums of the inputs by block, in the same product: K + K / 32 inputs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgewright.converters._decoder.parts import Linear
from edgewright.converters._onnx.products import Products, biased, blocked, gathered, nbits, nearest_int4, pairs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgewright.converters._decoder.gguf import Grid
    from edgewright.converters._onnx.products import Rounded
    from edgewright.converters._onnx.writer import Writer

__all__ = ["Carried", "carries"]

_BLOCK = 32
"""Of every grid of GGUF that is carried."""


def carries(grids: Mapping[str, Grid], names: list[str], bits: int) -> bool:
    """Whether every weight named lies on a grid of so many bits."""
    kinds = {8: ("Q8_0",), 4: ("Q4_0", "Q4_1")}[bits]
    return bool(names) and all(name in grids and grids[name].kind in kinds for name in names)


class Carried(Products):
    """As `Blocks`, of the source's own codes.

    Args:
        grids: by the name of the weight, that of the embedding among them where it is on one.
        table: what stores the embedding and the head where they lie on no grid.
    """

    def __init__(self, grids: Mapping[str, Grid], table: Products) -> None:
        self._grids, self._table = grids, table
        self._sums: dict[str, str] = {}

    def product(self, graph: Writer, state: str, linear: Linear) -> str:
        """One MatMulNBits."""
        grids = [self._grids[name] for name in linear.name.split("+")]
        codes, scales, lows = (
            np.concatenate([getattr(grid, part) for grid in grids]) for part in ("codes", "scales", "lows")
        )
        if {grid.kind for grid in grids} == {"Q8_0"}:
            found = nbits(graph, state, linear, (blocked(codes, _BLOCK), scales, None), 8, _BLOCK)
        elif {grid.kind for grid in grids} == {"Q4_0"}:
            found = nbits(graph, state, linear, (pairs(blocked(codes, _BLOCK)), scales, None), 4, _BLOCK)
        else:
            found = self._with_lows(graph, state, linear, codes, scales, lows + 0.0)
        return biased(graph, found, linear)

    def _with_lows(
        self, graph: Writer, state: str, linear: Linear, codes: np.ndarray, scales: np.ndarray, lows: np.ndarray
    ) -> str:
        inputs = codes.shape[1]
        zeros = np.rint(np.divide(-lows, scales, out=np.zeros_like(lows), where=scales != 0)).clip(0, 15)
        missed = (lows + zeros * scales).astype(np.float32)
        rest, rest_scales, _ = nearest_int4(missed, _BLOCK)
        every = np.concatenate([zeros.astype(np.uint8), np.full((len(codes), rest.shape[1]), 8, np.uint8)], 1)
        whole: Rounded = (
            np.concatenate([pairs(blocked(codes, _BLOCK)), pairs(rest)], 1),
            np.concatenate([scales, rest_scales], 1),
            pairs(every),
        )
        wide = Linear(linear.name, np.empty((len(codes), inputs + inputs // _BLOCK), np.float32))
        return nbits(graph, self._with_sums(graph, state, inputs), wide, whole, 4, _BLOCK)

    def _with_sums(self, graph: Writer, state: str, inputs: int) -> str:
        """The state with its sums by block behind it; products that read one state share them."""
        if state not in self._sums:
            by_block = graph.node("Reshape", state, graph.index(0, 0, inputs // _BLOCK, _BLOCK))
            sums = graph.node("ReduceSum", by_block, graph.index(-1), keepdims=0)
            self._sums[state] = graph.node("Concat", state, sums, axis=-1)
        return self._sums[state]

    def embedded(self, graph: Writer, ids: str) -> str:
        """The rows of the table's own grid where it is one of 8 bits."""
        grid = self._grids.get("model.embed_tokens.weight")
        if grid is None or grid.kind != "Q8_0":
            return self._table.embedded(graph, ids)
        return gathered(graph, ids, grid.codes, grid.scales, 8, _BLOCK)

    def head(self, graph: Writer, state: str, out: str) -> None:
        """The same bytes once more where the embedding is the head."""
        head = graph.tables.head
        name = "model.embed_tokens.weight" if head is None else head.name
        grid = self._grids.get(name)
        if grid is None or grid.kind != "Q8_0":
            self._table.head(graph, state, out)
            return
        linear = head or Linear("embedding", graph.tables.embedding)
        found = nbits(graph, state, linear, (blocked(grid.codes, _BLOCK), grid.scales, None), 8, _BLOCK)
        graph.node("Identity", biased(graph, found, linear), outputs=[out])
