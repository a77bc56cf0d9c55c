"""Dynamic int8 for ONNX: int8 weights, activations quantized as they come, all in standard operators.

Weights are signed, symmetric and per output channel: MLAS's u8 x s8 kernels are twice as fast as its u8 x u8 ones where
the CPU has VNNI. Embedding tables have a scale per row, and only the rows in use are ever made float.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, cast

from edgewright.converters._onnx.graph import (
    Group,
    Rewriter,
    bias_of,
    gather_int8,
    groups,
    ids_rows,
    layer_weight,
    replace,
    smooth_factor,
    symmetric,
    table,
)
from edgewright.converters._onnx.observe import observe
from edgewright.converters._rounding.calibration import random_feeds

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    import onnx
    import onnx_ir as ir

    _Array: TypeAlias = npt.NDArray[Any]

__all__ = ["quantize_int8"]


def quantize_int8(float_model: onnx.ModelProto) -> onnx.ModelProto:
    """The dynamic int8 twin of `float_model`: matrix products and large embedding tables int8, all else float.

    Activations are uint8 over the range of the tensor at hand, smoothed where a few channels alone would stretch it: on
    MiniLM that cuts the error to a third for 2 % of the time. ONNX Runtime fuses DynamicQuantizeLinear, MatMulInteger
    and what follows when it loads the file.
    """
    import onnx_ir as ir
    import onnx_ir.passes.common as passes

    model = ir.from_proto(float_model)
    graph = model.graph
    found = groups([node for node in graph if layer_weight(node) is not None])
    wanted = [str(value.name) for group in found for value in group.activations]
    ranges = observe(float_model, wanted, random_feeds({str(v.name): ids_rows(v) for v in graph.inputs}))
    rewrite = Rewriter(graph)
    for group in found:
        _quantize_group(rewrite, group, smooth_factor(group, ranges))
    for node in list(graph):
        if table(node) is not None:
            gather_int8(rewrite, node)
    proto: onnx.ModelProto = ir.to_proto(passes.RemoveUnusedNodesPass()(model).model)
    return proto


def _quantize_group(rewrite: Rewriter, group: Group, factor: _Array | None) -> None:
    """Quantize the layers of a group, smoothed alike, each activation once however many layers read it."""
    quantized: dict[ir.Value, list[ir.Value]] = {}
    for node in group.nodes:
        x = cast("ir.Value", node.inputs[0])
        if x not in quantized:
            quantized[x] = _quantize_activation(rewrite, node, x, factor, group)
        _quantize_layer(rewrite, node, quantized[x], factor)


def _quantize_activation(
    rewrite: Rewriter, before: ir.Node, x: ir.Value, factor: _Array | None, group: Group
) -> list[ir.Value]:
    """`x`, smoothed by `factor`, as uint8, its scale and its zero point."""
    if factor is not None:
        inverse = rewrite.constant(f"{group.weights[0].name}/smoothing", 1 / factor)
        (x,) = rewrite.node(before, "Mul", [x, inverse], "smooth")
    return rewrite.node(before, "DynamicQuantizeLinear", [x], "uint8", outputs=3)


def _quantize_layer(rewrite: Rewriter, node: ir.Node, x: Sequence[ir.Value], factor: _Array | None) -> None:
    """`x @ w [+ b]` -> `float(uint8 x @ int8 w) * (scale of x * scales of w) [+ b]`: ORT fuses it into one kernel."""
    import onnx_ir as ir

    weight = cast("_Array", layer_weight(node))
    values, scales = symmetric(weight if factor is None else weight * factor[:, None], axis=0)
    name = f"{cast('ir.Value', node.inputs[1]).name}"
    w, ws = rewrite.constant(f"{name}/int8", values), rewrite.constant(f"{name}/scale", scales[0])
    (product,) = rewrite.node(node, "MatMulInteger", [x[0], w, x[2]], "int32")
    (real,) = rewrite.node(node, "Cast", [product], "float", to=ir.DataType.FLOAT)
    (scale,) = rewrite.node(node, "Mul", [x[1], ws], "scale")
    (result,) = rewrite.node(node, "Mul", [real, scale], "scaled")
    bias = bias_of(node)
    if bias is not None:
        (result,) = rewrite.node(node, "Add", [result, bias], "biased")
    replace(rewrite.graph, node, result)
