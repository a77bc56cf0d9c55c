"""How the matrix products of a decoder are stored and computed: one class a way.

`Plain` keeps float32. `Blocks` is com.microsoft's MatMulNBits: 8 or 4 bits, a scale for each block of inputs, products
in int8 (accuracy level 4), which has kernels where the CPU has dot products of bytes. The table of the embedding is
also the head of most small models: both operators then read the same bytes (storing.py gives them one place).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from edgewright.converters._decoder.parts import Linear

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from numpy.typing import NDArray

    from edgewright.converters._onnx.writer import Writer

    Array = NDArray[Any]

__all__ = [
    "Blocks",
    "Plain",
    "Products",
    "Rounded",
    "biased",
    "block_of",
    "blocked",
    "gathered",
    "head_of",
    "kind_of",
    "nbits",
    "nearest_int4",
    "nearest_int8",
    "pairs",
]

Rounded: TypeAlias = "tuple[Array, Array, Array | None]"
"""Codes uint8 (outputs, blocks, size), scales float32 (outputs, blocks), zero points as the codes or None."""
_DOMAIN = "com.microsoft"
_MOST_ZEROS = 8
"""A block may add an eighth: a choice, the gain of a block of twice the size is a quarter."""
_LEAST_BLOCK = 16
"""Of MatMulNBits (ContribOperators.md)."""
_LEVEL = 4
"""Products of MatMulNBits in int8: level 0, float32, runs at 0.68 of the speed (49M model, AVX-512)."""


class Products(ABC):
    """A way to store a decoder's weights."""

    @abstractmethod
    def product(self, graph: Writer, state: str, linear: Linear) -> str:
        """X @ w.T + b: the name of the result."""

    @abstractmethod
    def embedded(self, graph: Writer, ids: str) -> str:
        """Rows of the embedding: ids (batch, n) -> (batch, n, width)."""

    @abstractmethod
    def head(self, graph: Writer, state: str, out: str) -> None:
        """The logits of states (batch, n, width), by the name `out`."""

    def columns(self, graph: Writer, ids: str) -> str:
        """What the head multiplies by for these tokens alone: ids (n,) -> float32 (width, n)."""
        raise NotImplementedError(f"{type(self).__name__} has no columns of a head")


class Plain(Products):
    """float32 throughout."""

    def product(self, graph: Writer, state: str, linear: Linear) -> str:
        """MatMul, and Add where there is a bias."""
        found: str = graph.node("MatMul", state, graph.constant(linear.name, linear.weight.T))
        return biased(graph, found, linear)

    def embedded(self, graph: Writer, ids: str) -> str:
        """Gather."""
        found: str = graph.node("Gather", graph.constant("embedding", graph.tables.embedding), ids)
        return found

    def head(self, graph: Writer, state: str, out: str) -> None:
        """Gemm reads the embedding's own table where they are one: a Transpose would be folded into a copy."""
        head = graph.tables.head
        weight = "embedding" if head is None else graph.constant(head.name, head.weight)
        bias = [] if head is None or head.bias is None else [graph.constant(f"{head.name}.bias", head.bias)]
        flat = graph.node("Flatten", state, axis=2)
        rows = graph.node("Gemm", flat, weight, *bias, transB=1)
        shape = graph.node("Shape", state, start=0, end=2)
        whole = graph.node("Concat", shape, graph.index(graph.tables.vocabulary), axis=0)
        graph.node("Reshape", rows, whole, outputs=[out])

    def columns(self, graph: Writer, ids: str) -> str:
        """Gather."""
        head = head_of(graph)
        rows = graph.node("Gather", graph.constant(head.name, head.weight), ids)
        found: str = graph.node("Transpose", rows, perm=[1, 0])
        return found


class Blocks(Products):
    """MatMulNBits, and GatherBlockQuantized for the embedding.

    Args:
        bits: 8 or 4, of the products.
        block: inputs that share a scale, at 8 bits the most of them, see `block_of`; where it does not divide them,
            zeros fill the last one.
        rounding: linear -> codes, scales and zero points.
        table_bits: of the embedding and the head.
        table_block: of both, as `block`.
        wide: linears that keep 8 bits, by the kind of layer that they are, see `kind_of`.
    """

    def __init__(
        self,
        bits: int,
        block: int,
        rounding: Callable[[Linear, int], Rounded],
        *,
        table_bits: int = 8,
        table_block: int = 64,
        wide: Collection[str] = (),
    ) -> None:
        self._bits, self._block, self._rounding = bits, block, rounding
        self._table_bits, self._table_block, self._wide = table_bits, table_block, wide
        self._tables: dict[int, tuple[Rounded, int]] = {}

    def product(self, graph: Writer, state: str, linear: Linear) -> str:
        """One MatMulNBits, and Add where there is a bias."""
        inputs = linear.weight.shape[1]
        if self._bits != 8 and kind_of(linear) in self._wide:
            bits, block = 8, block_of(inputs, 8, self._table_block)
            rounded = nearest_int8(linear.weight, block)
        else:
            bits, block = self._bits, block_of(inputs, self._bits, self._block)
            rounded = self._rounding(linear, block)
        return biased(graph, nbits(graph, state, linear, rounded, bits, block), linear)

    def embedded(self, graph: Writer, ids: str) -> str:
        """GatherBlockQuantized: only the rows in use are ever made float."""
        (codes, scales, _), block = self._table(graph.tables.embedding)
        return gathered(graph, ids, self._packed(codes), scales, self._table_bits, block)

    def head(self, graph: Writer, state: str, out: str) -> None:
        """MatMulNBits over the embedding's own bytes where they are one."""
        decoder = graph.tables
        linear = decoder.head or Linear("embedding", decoder.embedding)
        (codes, scales, _), block = self._table(linear.weight)
        rounded = (self._packed(codes), scales, None)
        found = nbits(graph, state, linear, rounded, self._table_bits, block)
        graph.node("Identity", biased(graph, found, linear), outputs=[out])

    def columns(self, graph: Writer, ids: str) -> str:
        """GatherBlockQuantized: the product is then one of float32, whose states are not rounded."""
        head = head_of(graph)
        (codes, scales, _), block = self._table(head.weight)
        table = self._packed(codes).reshape(len(codes), -1), scales
        rows = _rows_of(graph, head.name, ids, table, self._table_bits, block)
        if head.weight.shape[1] % block:
            rows = graph.node("Slice", rows, graph.index(0), graph.index(head.weight.shape[1]), graph.index(1))
        found: str = graph.node("Transpose", rows, perm=[1, 0])
        return found

    def _table(self, weight: Array) -> tuple[Rounded, int]:
        """A table rounded, and its block, by its identity once: the embedding is read twice where it is the head."""
        found = self._tables.get(id(weight))
        if found is None:
            nearest = nearest_int8 if self._table_bits == 8 else nearest_int4
            block = block_of(weight.shape[1], self._table_bits, self._table_block)
            found = self._tables[id(weight)] = nearest(weight, block), block
        return found

    def _packed(self, codes: Array) -> Array:
        return codes if self._table_bits == 8 else pairs(codes)


def nbits(graph: Writer, state: str, linear: Linear, rounded: Rounded, bits: int, block: int) -> str:
    """A MatMulNBits of codes (outputs, blocks, block), as `Products` give them."""
    codes, scales, zeros = rounded
    name, (outputs, inputs) = linear.name, linear.weight.shape
    given = [graph.constant(f"{name}.codes", codes), graph.constant(f"{name}.scales", scales)]
    if zeros is not None:
        given.append(graph.constant(f"{name}.zeros", zeros))
    found: str = graph.node(
        "MatMulNBits",
        state,
        *given,
        domain=_DOMAIN,
        N=outputs,
        K=inputs,
        bits=bits,
        block_size=block,
        accuracy_level=_LEVEL,
    )
    return found


def gathered(graph: Writer, ids: str, codes: Array, scales: Array, bits: int, block: int) -> str:
    """Rows of a table of codes (vocabulary, ...), made float, what fills their last block cut off."""
    decoder = graph.tables
    found = _rows_of(graph, "embedding", ids, (codes.reshape(decoder.vocabulary, -1), scales), bits, block)
    if decoder.width % block:
        found = graph.node("Slice", found, graph.index(0), graph.index(decoder.width), graph.index(2))
    return found


def _rows_of(graph: Writer, name: str, ids: str, table: tuple[Array, Array], bits: int, block: int) -> str:
    """Rows of a table: codes (vocabulary, ...) and scales (vocabulary, blocks), made float."""
    codes, scales = table
    found: str = graph.node(
        "GatherBlockQuantized",
        graph.constant(f"{name}.rows", codes),
        ids,
        graph.constant(f"{name}.scales", scales),
        domain=_DOMAIN,
        bits=bits,
        block_size=block,
        gather_axis=0,
        quantize_axis=1,
    )
    return found


def head_of(graph: Writer) -> Linear:
    """What makes logits: the embedding where a model has no head of its own."""
    return graph.tables.head or Linear("embedding", graph.tables.embedding)


def block_of(inputs: int, bits: int, most: int) -> int:
    """How many of so many inputs share a scale: at 8 bits the most whose zeros at the end add no more than an eighth.

    One long block is read faster than two short ones, until the zeros are read longer than that: SmolLM2-135M writes
    160 tokens a second by blocks of 128, which make 640 of its 576 inputs, and 127 by blocks of 64.
    """
    if bits != 8:
        return most
    fits = (block for block in (most, most // 2, most // 4) if -inputs % block <= inputs // _MOST_ZEROS)
    return next(fits, _LEAST_BLOCK)


def nearest_int8(weight: Array, block: int) -> Rounded:
    """Symmetric, to the nearest of 255 steps: MatMulNBits' zero point of 8 bits is 128."""
    parts = blocked(weight, block)
    scales = np.abs(parts).max(-1, keepdims=True) / np.float32(127)
    codes = np.rint(np.divide(parts, scales, out=np.zeros_like(parts), where=scales > 0)) + 128
    return codes.astype(np.uint8), scales[..., 0].astype(np.float32), None


def nearest_int4(weight: Array, block: int) -> Rounded:
    """Symmetric, of -8..7, the scale of each block the one of least error; the zero point is 8."""
    from edgewright.converters._rounding.gptq import round_rows

    codes, scales, _ = round_rows(weight, block, symmetric=True)
    filled = np.pad(codes, ((0, 0), (0, -codes.shape[1] % block)), constant_values=8)
    return filled.reshape(len(codes), -1, block), scales, None


def blocked(weight: Array, block: int) -> Array:
    """(outputs, inputs) -> (outputs, blocks, block), zeros at the end."""
    outputs, inputs = weight.shape
    return np.pad(weight, ((0, 0), (0, -inputs % block))).reshape(outputs, -1, block)


def pairs(codes: Array) -> Array:
    """uint8 0..15 (..., n) -> (..., ceil(n / 2)): two to a byte, the low bits first."""
    even = codes if codes.shape[-1] % 2 == 0 else np.pad(codes, [(0, 0)] * (codes.ndim - 1) + [(0, 1)])
    packed: Array = even[..., 0::2] | even[..., 1::2] << 4
    return packed


def kind_of(linear: Linear) -> str:
    """Which product of a layer it is, by its name; of a convolution what attention has in its place."""
    last = linear.name.split("+")[0].removesuffix(".weight").rsplit(".", 2)[-2:]
    word = last[-1].split("[")[0]
    if word in ("down_proj", "fc2", "w2") or last == ["mlp", "c_proj"]:
        return "feed-forward output"
    if word in ("o_proj", "out_proj", "dense") or last == ["attn", "c_proj"]:
        return "attention output"
    read = word in ("q_proj", "qkv_proj", "c_attn", "in_proj")
    return "queries, keys and values" if read else "feed-forward input"


def biased(graph: Writer, found: str, linear: Linear) -> str:
    """The product with the linear's bias, where it has one."""
    if linear.bias is None:
        return found
    added: str = graph.node("Add", found, graph.constant(f"{linear.name}.bias", linear.bias))
    return added
