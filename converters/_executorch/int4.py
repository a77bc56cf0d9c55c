"""int4: groups of 32 weights share a scale; activations are quantized token by token, as with int8.

Layers are rounded by GPTQ (see `_gptq`). On MiniLM the int8 activations cost 0.1 dB beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgewright.converters._executorch.graph import MIN_ROWS, per_token
from edgewright.converters._rounding.gptq import round_blocks, round_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from numpy.typing import NDArray

    from edgewright.converters._executorch.graph import Rewriter

__all__ = ["grouped_linear", "nibble_embedding"]

_GROUP = 32
"""The smallest group that XNNPACK takes."""


def grouped_linear(
    rewriter: Rewriter, node: torch.fx.Node, factor: Callable[[str], NDArray[Any]]
) -> torch.fx.Node | None:
    """`x @ w + b` with int4 weights in -8..7; None where the width is no multiple of the group.

    `factor` is that of `_executorch_observe.factors`.
    """
    import torch

    ops: Any = torch.ops.quantized_decomposed
    weight = rewriter.weight(node.args[1])
    if weight is None or weight.shape[1] % _GROUP:
        return None
    name = str(node.args[1].target)
    values, scales = rewriter.once(("int4", name), lambda: _rounded(weight, factor(name)))
    parts = (
        rewriter.constant(f"{name}_int4", lambda: values),
        rewriter.constant(f"{name}_scale", lambda: scales),
        rewriter.constant(f"{name}_zero", lambda: torch.zeros_like(scales, dtype=torch.int8)),
    )
    form = (-8, 7, torch.int8, _GROUP, torch.float32)
    back = rewriter.call(ops.dequantize_per_channel_group.default, *parts, *form)
    return rewriter.call("linear.default", per_token(rewriter, node.args[0]), back, *node.args[2:])


def _rounded(weight: torch.Tensor, factor: NDArray[Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """int8 values (outputs, inputs) in -8..7 and float32 scales (outputs, groups), exact in XNNPACK's bfloat16."""
    import torch

    codes, scales, _ = round_blocks(weight.numpy().T, factor, _GROUP, symmetric=True)
    return torch.from_numpy(codes).flatten(1).to(torch.int8) - 8, torch.from_numpy(scales)


def nibble_embedding(rewriter: Rewriter, node: torch.fx.Node) -> torch.fx.Node | None:
    """A table of two weights to a byte, the halves of a row in the low and the high bits; only used rows are unpacked.

    None where no input is the index: a table of positions is small. Each group has a zero point besides its scale. In
    float arithmetic, which XNNPACK takes, and without an operator that needs a library of its own, as
    `_byte_embedding` explains.
    """
    import torch

    table = rewriter.weight(node.args[0])
    ids = node.args[1]
    if table is None or ids.op != "placeholder" or len(table) < MIN_ROWS or table.shape[1] % (2 * _GROUP):
        return None
    name = str(node.args[0].target)
    # Names of their own: a decoder that is tied to the table has other groups
    codes, scales, zeros = rewriter.once(("nibbles", name), lambda: _rounded_rows(table))
    packed = rewriter.constant(f"{name}_nibbles", lambda: _packed(codes))
    parts = (
        packed,
        rewriter.constant(f"{name}_rows", lambda: scales),
        rewriter.constant(f"{name}_zeros", lambda: zeros),
    )
    pairs, scale, zero = (
        rewriter.call("to.dtype", rewriter.call("embedding.default", part, ids), torch.float32) for part in parts
    )
    high = rewriter.call("floor.default", rewriter.call("mul.Tensor", pairs, 1 / 16))
    low = rewriter.call("sub.Tensor", pairs, rewriter.call("mul.Tensor", high, 16.0))
    groups = scales.shape[1]
    shapes = ([-1, groups, _GROUP], [-1, groups, 1], [-1, groups, 1])
    found, scale, zero = (
        rewriter.call("reshape.default", part, shape)
        for part, shape in zip((rewriter.call("cat.default", [low, high], -1), scale, zero), shapes, strict=True)
    )
    scaled = rewriter.call("mul.Tensor", rewriter.call("sub.Tensor", found, zero), scale)
    return rewriter.call("reshape.default", scaled, [1, -1, table.shape[1]])


def _rounded_rows(table: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """uint8 codes 0..15 (rows, width), float16 scales (rows, groups), uint8 zero points (rows, groups)."""
    import torch

    codes, scales, zeros = (torch.from_numpy(part) for part in round_rows(table.numpy(), _GROUP))
    return codes, scales.to(torch.float16), zeros


def _packed(codes: torch.Tensor) -> torch.Tensor:
    """uint8 (rows, width) in 0..15 -> uint8 (rows, width / 2)."""
    low, high = codes.chunk(2, dim=1)
    return low | (high << 4)
