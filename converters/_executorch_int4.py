"""int4: groups of 32 weights share a scale; activations are quantized token by token, as with int8."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgewright.converters._executorch_rewrite import MIN_ROWS, per_token

if TYPE_CHECKING:
    import torch

    from edgewright.converters._executorch_rewrite import Rewriter

__all__ = ["grouped_linear", "nibble_embedding"]

_GROUP = 32
"""The smallest group that XNNPACK takes."""
_LEAST_SCALE = 2.0**-14
"""For groups of zeros: the smallest normal float16."""
_SHRINKS = (1.0, 0.95, 0.9, 0.85, 0.8)


def grouped_linear(rewriter: Rewriter, node: torch.fx.Node) -> torch.fx.Node | None:
    """`x @ w + b` with int4 weights in -8..7; None where the width is no multiple of the group."""
    import torch

    ops: Any = torch.ops.quantized_decomposed
    weight = rewriter.weight(node.args[1])
    if weight is None or weight.shape[1] % _GROUP:
        return None
    name = str(node.args[1].target)
    # XNNPACK keeps these scales as bfloat16: quantize with what it will multiply by.
    values, scales = rewriter.once(("int4", name), lambda: _grouped(weight, torch.bfloat16))
    parts = (
        rewriter.constant(f"{name}_int4", lambda: values.flatten(1)),
        rewriter.constant(f"{name}_scale", lambda: scales),
        rewriter.constant(f"{name}_zero", lambda: torch.zeros_like(scales, dtype=torch.int8)),
    )
    form = (-8, 7, torch.int8, _GROUP, torch.float32)
    back = rewriter.call(ops.dequantize_per_channel_group.default, *parts, *form)
    return rewriter.call("linear.default", per_token(rewriter, node.args[0]), back, *node.args[2:])


def nibble_embedding(rewriter: Rewriter, node: torch.fx.Node) -> torch.fx.Node | None:
    """A table of two weights to a byte, the halves of a row in the low and the high bits; only used rows are unpacked.

    In float arithmetic, which XNNPACK takes, and without an operator that needs a library of its own, as
    `_byte_embedding` explains.
    """
    import torch

    table = rewriter.weight(node.args[0])
    if table is None or len(table) < MIN_ROWS or table.shape[1] % (2 * _GROUP):
        return None
    name, ids = str(node.args[0].target), node.args[1]
    values, scales = rewriter.once(("int4", name), lambda: _grouped(table, torch.float16))
    packed = rewriter.constant(f"{name}_int4", lambda: _packed(values.flatten(1)))
    grouped = rewriter.constant(f"{name}_rows", lambda: scales.to(torch.float16))
    pairs = rewriter.call("to.dtype", rewriter.call("embedding.default", packed, ids), torch.float32)
    high = rewriter.call("floor.default", rewriter.call("mul.Tensor", pairs, 1 / 16))
    low = rewriter.call("sub.Tensor", pairs, rewriter.call("mul.Tensor", high, 16.0))
    found = rewriter.call("cat.default", [low, high], -1)
    scale = rewriter.call("to.dtype", rewriter.call("embedding.default", grouped, ids), torch.float32)
    centred = rewriter.call("reshape.default", rewriter.call("sub.Tensor", found, 8.0), [-1, scales.shape[1], _GROUP])
    scaled = rewriter.call("mul.Tensor", centred, rewriter.call("reshape.default", scale, [-1, scales.shape[1], 1]))
    return rewriter.call("reshape.default", scaled, [1, -1, table.shape[1]])


def _grouped(weight: torch.Tensor, stored: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """int8 values (rows, groups, 32) in -8..7 and float32 scales (rows, groups), each exact in the type `stored`.

    Of a few scales, for each group the one with the least squared error: a largest weight that is clipped a little
    costs less than a step that is too wide for all others.
    """
    import torch

    groups = weight.unflatten(1, (-1, _GROUP))
    largest = groups.abs().amax(2)
    best = torch.full_like(largest, torch.inf)
    values, scales = torch.zeros_like(groups, dtype=torch.int8), torch.zeros_like(largest)
    for shrink in _SHRINKS:
        scale = (largest * (shrink / 7)).clamp(min=_LEAST_SCALE).to(stored).float()
        found = (groups / scale[..., None]).round().clamp(-8, 7)
        error = (found * scale[..., None] - groups).square().sum(2)
        better = error < best
        best = torch.where(better, error, best)
        scales = torch.where(better, scale, scales)
        values = torch.where(better[..., None], found.to(torch.int8), values)
    return values, scales


def _packed(values: torch.Tensor) -> torch.Tensor:
    """int8 (rows, width) in -8..7 -> uint8 (rows, width / 2)."""
    import torch

    low, high = (values + 8).to(torch.uint8).chunk(2, dim=1)
    return low | (high << 4)
