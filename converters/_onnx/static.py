"""Static int8 for ONNX: QuantizeLinear and DequantizeLinear around the matrix products, ranges from real texts.

ONNX Runtime makes two DequantizeLinear and their MatMul one kernel. Only what the products read is quantized: its CPU
has no int8 kernel for attention, GELU and layer normalization, where one operator would become three. Of the ranges
that were tried on MiniLM and on the demo model, that of least squared error was the best or near it on both; the 99.9th
percentile lost 10 dB, for what is rare is not noise.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from edgewright.converters._onnx.graph import (
    Group,
    Rewriter,
    bias_of,
    gather_int8,
    groups,
    kind,
    layer_weight,
    replace,
    smooth_factor,
    symmetric,
    table,
)
from edgewright.converters._onnx.observe import activations, observe

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt
    import onnx
    import onnx_ir as ir

    from edgewright.converters._rounding.smooth import Range

    _Array: TypeAlias = npt.NDArray[Any]

__all__ = ["quantize_static"]

_BINS = 4096
"""16 bins to a step of int8, so that a range is cut finer than it is rounded."""
_DOMAIN = "com.microsoft"
"""ONNX Runtime 1.23, the last for Python 3.10, has no kernel for opset 23's own QuantizeLinear; these are the same."""
_TINY = 1e-12
"""Keeps a range that is zero, and the scale made of it, above zero."""


def quantize_static(
    float_model: onnx.ModelProto, feeds: Sequence[Mapping[str, _Array]], keep_float: Sequence[str]
) -> onnx.ModelProto:
    """The static int8 twin of `float_model`: matrix products and large embedding tables int8, all else float.

    Args:
        float_model: the fp32 model.
        feeds: real texts, int64 (1, length) arrays by input name, at least one.
        keep_float: kinds of matrix products that stay float, see `kind`.
    """
    import onnx_ir as ir
    import onnx_ir.passes.common as passes

    if not feeds:
        raise ValueError("no calibration texts were given")
    model = ir.from_proto(float_model)
    found = groups([n for n in model.graph if layer_weight(n) is not None and kind(n) not in keep_float])
    ranges = observe(float_model, [str(v.name) for group in found for v in group.activations], feeds)
    factors = [smooth_factor(group, ranges) for group in found]
    smoothed = {str(v.name): f for group, f in zip(found, factors, strict=True) for v in group.activations}
    steps = _steps(float_model, smoothed, ranges, feeds)
    rewrite = Rewriter(model.graph)
    for group, factor in zip(found, factors, strict=True):
        _quantize_group(rewrite, group, factor, steps)
    for node in list(model.graph):
        if table(node) is not None:
            gather_int8(rewrite, node)
    model.opset_imports[_DOMAIN] = 1
    proto: onnx.ModelProto = ir.to_proto(passes.RemoveUnusedNodesPass()(model).model)
    return proto


def _steps(
    float_model: onnx.ModelProto,
    factors: Mapping[str, _Array | None],
    ranges: Mapping[str, Range],
    feeds: Sequence[Mapping[str, _Array]],
) -> dict[str, tuple[float, int]]:
    """Scale and zero point of each activation, its channels divided by their factors."""
    import numpy as np

    divisors = {name: 1.0 if factor is None else factor for name, factor in factors.items()}
    edges = {
        name: np.linspace((ranges[name].low / f).min(), (ranges[name].high / f).max() + _TINY, _BINS + 1)
        for name, f in divisors.items()
    }
    counts = {name: np.zeros(_BINS) for name in factors}
    for name, array in activations(float_model, list(factors), feeds):
        counts[name] += np.histogram(array / divisors[name], edges[name])[0]
    return {name: _least_noise(edges[name], counts[name]) for name in factors}


def _least_noise(edges: _Array, counts: _Array) -> tuple[float, int]:
    """Of 19 x 19 ranges, each end cut by up to 90 %, that whose rounding and clipping err least on a histogram."""
    import numpy as np

    centres = (edges[1:] + edges[:-1]) / 2
    best, least = (1.0, 0), math.inf
    for low in edges[0] * np.linspace(1, 0.1, 19):
        for high in edges[-1] * np.linspace(1, 0.1, 19):
            scale = max(float(high - low), _TINY) / 255
            zero = round(-float(low) / scale)
            codes = np.rint(centres / scale) + zero
            clipped = (np.clip(codes, 0, 255) - zero) * scale - centres
            # Inside the range a bin is wider than what a step rounds off: the noise of rounding is known instead
            noise = float(counts @ np.where((codes > 0) & (codes < 255), scale**2 / 12, clipped**2))
            if noise < least:
                best, least = (scale, min(zero, 255)), noise
    return best


def _quantize_group(
    rewrite: Rewriter, group: Group, factor: _Array | None, steps: Mapping[str, tuple[float, int]]
) -> None:
    """Quantize the layers of a group, smoothed alike, each activation once however many layers read it."""
    quantized: dict[ir.Value, list[ir.Value]] = {}
    for node in group.nodes:
        x = cast("ir.Value", node.inputs[0])
        if x not in quantized:
            quantized[x] = _quantize_activation(rewrite, node, x, factor, group, steps[str(x.name)])
        _quantize_layer(rewrite, node, quantized[x], factor)


def _quantize_activation(
    rewrite: Rewriter, before: ir.Node, x: ir.Value, factor: _Array | None, group: Group, step: tuple[float, int]
) -> list[ir.Value]:
    """`x`, smoothed by `factor`, as uint8, its scale and its zero point."""
    import numpy as np

    scale = rewrite.constant(f"{x.name}/scale", np.array(step[0], np.float32))
    zero = rewrite.constant(f"{x.name}/zero", np.array(step[1], np.uint8))
    if factor is not None:
        inverse = rewrite.constant(f"{group.weights[0].name}/smoothing", 1 / factor)
        (x,) = rewrite.node(before, "Mul", [x, inverse], "smooth")
    return [*rewrite.node(before, "QuantizeLinear", [x, scale, zero], "uint8", domain=_DOMAIN), scale, zero]


def _quantize_layer(rewrite: Rewriter, node: ir.Node, x: Sequence[ir.Value], factor: _Array | None) -> None:
    """The same product of dequantized inputs; the bias of a Gemm becomes int32, so that ONNX Runtime makes it QGemm."""
    import numpy as np

    weight = cast("_Array", layer_weight(node))
    values, scales = symmetric(weight if factor is None else weight * factor[:, None], axis=0)
    (real,) = rewrite.node(node, "DequantizeLinear", x, "float", domain=_DOMAIN)
    inputs = [real, _dequantized(rewrite, node, f"{cast('ir.Value', node.inputs[1]).name}", values, scales[0], axis=1)]
    bias = bias_of(node)
    if bias is not None:
        step = (cast("Any", x[1].const_value).numpy() * scales[0]).astype(np.float32)
        whole = np.clip(np.rint(cast("Any", bias.const_value).numpy() / step), -(2**30), 2**30).astype(np.int32)
        # Its step is the activation's times the weight's: a bias that two layers share is stored for each
        inputs.append(_dequantized(rewrite, node, f"{node.outputs[0].name}/bias", whole, step, axis=0))
    (result,) = rewrite.node(node, node.op_type, inputs, "product")
    replace(rewrite.graph, node, result)


def _dequantized(rewrite: Rewriter, node: ir.Node, name: str, values: _Array, scales: _Array, *, axis: int) -> ir.Value:
    """Integer `values` with a scale for each index of `axis`, as floats."""
    import numpy as np

    whole = rewrite.constant(f"{name}/{values.dtype}", values)
    scale = rewrite.constant(f"{name}/scale", scales)
    zero = rewrite.constant(f"{name}/zero", np.zeros(len(scales), values.dtype))
    suffix = f"{values.dtype}/float"
    return rewrite.node(node, "DequantizeLinear", [whole, scale, zero], suffix, domain=_DOMAIN, axis=axis)[0]
