"""int8 with activation ranges that were measured beforehand, on real texts.

XNNPACK multiplies int8 by int8 only into int8, so it has to know the ranges of what goes in and of what comes out; it
adds in int8 as well. Softmax, layer norm, GELU and the products of attention it has in float alone.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from edgewright.converters._executorch.graph import channel_weight
from edgewright.converters._executorch.observe import observe

if TYPE_CHECKING:
    import torch

    from edgewright.contracts.converter import ConversionSpec
    from edgewright.converters._executorch.graph import Rewriter

__all__ = ["LADDER", "quantize_static"]

LADDER: tuple[tuple[str, ...], ...] = ((), ("add",), ("add", "wide"))
"""What to leave in float: nothing; residual additions; also the activations around linear layers that outliers stretch
so far that `_LEAST_DB` is missed. Such layers keep int8 weights and have their inputs quantized on the fly."""

_LEAST_DB = 30.0
"""A choice: noise of a thousandth of a layer's power; what a few outliers have stretched lies below it."""
_SAMPLE = 2048
"""Values of each tensor and text that scales are tried on: a choice, enough for a range, few enough to keep."""
_SHRINKS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)
"""A choice: to keep half of a range gains one bit at most; below that, clipping costs more."""
_LEAST_RANGE = 1e-6
"""Keeps the scale of a tensor that is zero everywhere above zero."""


def quantize_static(rewriter: Rewriter, spec: ConversionSpec) -> None:
    """Quantize linear layers and additions, but for what `spec.keep_float` names; the rest of the graph stays as it is.

    Raises:
        ValueError: there are no texts to calibrate on.
    """
    if not spec.calibration:
        raise ValueError("int8-static needs calibration texts")
    graph = rewriter.module.graph
    nodes = [n for n in graph.nodes if _linear(rewriter, n) or ("add" not in spec.keep_float and _residual(n))]
    ranges = _Ranges({value: None for node in nodes for value in (*_activations(node), node)}, rewriter.module)
    ranges.observe(spec)
    if "wide" in spec.keep_float:
        nodes = [n for n in nodes if min(ranges.sqnr_db(v) for v in (*_activations(n), n)) >= _LEAST_DB]
    for node in nodes:
        _quantize(rewriter, node, ranges)


def _linear(rewriter: Rewriter, node: torch.fx.Node) -> bool:
    return str(node.target) == "aten.linear.default" and rewriter.weight(node.args[1]) is not None


def _residual(node: torch.fx.Node) -> bool:
    """Whether a node adds two activations of one shape; a mask has another, and numbers that no int8 range holds."""
    if str(node.target) != "aten.add.Tensor" or len(node.all_input_nodes) != 2 or node.kwargs:
        return False
    values = [getattr(n, "meta", {}).get("val") for n in node.all_input_nodes]
    shapes = [tuple(map(str, value.shape)) for value in values if value is not None and value.is_floating_point()]
    return len(shapes) == 2 and shapes[0] == shapes[1]


def _activations(node: torch.fx.Node) -> list[torch.fx.Node]:
    return list(node.all_input_nodes[:1] if str(node.target) == "aten.linear.default" else node.all_input_nodes)


class _Ranges:
    """The quantization of activations, each a node of the graph, as the calibration texts ask for it.

    The range is that of all texts, made narrower where that lowers the squared error: a few outliers that are clipped
    cost less than a step that is too wide for all others. The error is taken over a sample of every text's values.
    """

    def __init__(self, wanted: dict[torch.fx.Node, None], module: torch.fx.GraphModule) -> None:
        self._module = module
        self._seen: dict[torch.fx.Node, list[torch.Tensor]] = {node: [] for node in wanted}
        self._chosen: dict[torch.fx.Node, tuple[float, int, float]] = {}

    def observe(self, spec: ConversionSpec) -> None:
        """Run every text once."""
        import torch

        spec.progress(f"calibrate on {len(spec.calibration)} texts")
        texts = [{name: text[name] for name in spec.inputs} for text in spec.calibration]
        observe(self._module, self._seen, texts, lambda node, value: self._seen[node].append(_sample(value)))
        self._chosen = {node: _choose(torch.cat(samples)) for node, samples in self._seen.items()}

    def quantization(self, node: torch.fx.Node) -> tuple[float, int]:
        """The scale and the zero point."""
        return self._chosen[node][:2]

    def sqnr_db(self, node: torch.fx.Node) -> float:
        """The signal to quantization noise ratio, in dB."""
        return self._chosen[node][2]


def _sample(value: torch.Tensor) -> torch.Tensor:
    """At most `_SAMPLE` of the values, evenly spaced, and the two ends."""
    import torch

    flat = value.flatten()
    return torch.cat([flat[:: -(-len(flat) // _SAMPLE)], flat.amin()[None], flat.amax()[None]])


def _choose(values: torch.Tensor) -> tuple[float, int, float]:
    """The scale, the zero point and the SQNR in dB of the range with the least squared error."""
    import torch

    low, high = min(float(values.min()), 0.0), max(float(values.max()), _LEAST_RANGE)
    found = []
    for shrink in _SHRINKS:
        scale = (high - low) * shrink / 255
        zero = max(-128, min(127, round(-128 - low * shrink / scale)))
        error = torch.fake_quantize_per_tensor_affine(values, scale, zero, -128, 127) - values
        found.append((float(error.double().square().mean()), scale, zero))
    noise, scale, zero = min(found)
    signal = float(values.double().square().mean())
    return scale, zero, 10 * math.log10(max(signal, 1e-30) / max(noise, 1e-30))


def _quantize(rewriter: Rewriter, node: torch.fx.Node, ranges: _Ranges) -> None:
    """Every input of `node` from int8, its result to int8 and back for whoever reads it."""
    with rewriter.module.graph.inserting_before(node):
        for x in _activations(node):
            node.replace_input_with(x, _from_int8(rewriter, x, ranges))
        if str(node.target) == "aten.linear.default":
            node.replace_input_with(node.args[1], channel_weight(rewriter, node))
    readers = list(node.users)
    with rewriter.module.graph.inserting_after(node):
        values = _to_int8(rewriter, node, ranges)
    for reader in readers:
        with rewriter.module.graph.inserting_before(reader):
            reader.replace_input_with(node, _dequantize(rewriter, values, ranges.quantization(node)))


def _from_int8(rewriter: Rewriter, x: torch.fx.Node, ranges: _Ranges) -> torch.fx.Node:
    """A float copy of `x` through int8, for one reader: XNNPACK takes it into the reader's own kernel."""
    if str(x.target) == "quantized_decomposed.dequantize_per_tensor.default":
        return x  # what a quantized node before it gives
    values = rewriter.once(("static", x), lambda: _to_int8(rewriter, x, ranges))
    return _dequantize(rewriter, values, ranges.quantization(x))


def _to_int8(rewriter: Rewriter, x: torch.fx.Node, ranges: _Ranges) -> torch.fx.Node:
    import torch

    ops: Any = torch.ops.quantized_decomposed
    scale, zero = ranges.quantization(x)
    return rewriter.call(ops.quantize_per_tensor.default, x, scale, zero, -128, 127, torch.int8)


def _dequantize(rewriter: Rewriter, values: torch.fx.Node, quantization: tuple[float, int]) -> torch.fx.Node:
    import torch

    ops: Any = torch.ops.quantized_decomposed
    return rewriter.call(ops.dequantize_per_tensor.default, values, *quantization, -128, 127, torch.int8)
