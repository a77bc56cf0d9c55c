"""fp16 for ONNX: weights are stored as float16 and computed with in float32.

ONNX Runtime turns the weights into float32 once, when it opens the file: it is as fast as fp32 on every CPU, and its
outputs are the fp32 model's but for the rounding of the weights. Computing in float16 was tried: on x86, where ONNX
Runtime has few float16 kernels and puts casts around the rest, it took up to 1.3 times as long and lost another 6 dB.
No mask, layer normalization or large constant can overflow either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgewright.converters._onnx.graph import Rewriter, replace

if TYPE_CHECKING:
    import onnx
    import onnx_ir as ir

__all__ = ["halve", "store_half"]

_MIN_ELEMENTS = 1 << 10
"""Biases, layer norms and constants stay float32: they are nothing in size."""


def halve(float_model: onnx.ModelProto) -> onnx.ModelProto:
    """The fp16 twin of `float_model`."""
    import onnx_ir as ir

    model = ir.from_proto(float_model)
    store_half(model.graph)
    proto: onnx.ModelProto = ir.to_proto(model)
    return proto


def store_half(graph: ir.Graph) -> None:
    """Store every large float32 initializer that float16 can hold as float16."""
    rewrite = Rewriter(graph)
    for value in list(graph.initializers.values()):
        if _fits(value):
            _store(rewrite, value)


def _fits(value: ir.Value) -> bool:
    import numpy as np
    import onnx_ir as ir

    tensor: Any = value.const_value
    if tensor is None or tensor.dtype != ir.DataType.FLOAT or tensor.size < _MIN_ELEMENTS or value.is_graph_output():
        return False
    return bool(np.abs(tensor.numpy()).max() <= np.finfo(np.float16).max)


def _store(rewrite: Rewriter, value: ir.Value) -> None:
    """Readers get a float32 cast of the weight; a Gather reads float16, so that only the rows in use are cast."""
    import numpy as np
    import onnx_ir as ir

    tensor: Any = value.const_value
    half = rewrite.constant(f"{value.name}/half", tensor.numpy().astype(np.float16))
    readers = list(value.uses())
    for node, at in readers:
        if node.op_type == "Gather" and at == 0:
            axis = node.attributes.get_int("axis", 0)
            (rows,) = rewrite.node(node, "Gather", [half, node.inputs[1]], "half", axis=axis)
            (result,) = rewrite.node(node, "Cast", [rows], "float", to=ir.DataType.FLOAT)
            replace(rewrite.graph, node, result)
    if value.uses():
        first = min((node for node, _ in value.uses()), key=list(rewrite.graph).index)
        (real,) = rewrite.node(first, "Cast", [half], f"{value.name}/float", to=ir.DataType.FLOAT)
        value.replace_all_uses_with(real)
    del rewrite.graph.initializers[str(value.name)]
