"""What the precisions of ONNX share: which nodes are worth quantizing, how they hang together, and rewriting them."""

from __future__ import annotations

import dataclasses
import functools
import operator
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from edgewright.converters._rounding.smooth import Range, smoothing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import numpy.typing as npt
    import onnx_ir as ir

    _Array: TypeAlias = npt.NDArray[Any]

__all__ = [
    "Group",
    "Rewriter",
    "bias_of",
    "gather_int8",
    "groups",
    "ids_rows",
    "kind",
    "layer_weight",
    "replace",
    "smooth_factor",
    "symmetric",
    "table",
]

_MIN_CHANNELS = 16
"""Layers with fewer outputs are label heads: they cost nothing, and their errors are the user's errors."""
_MIN_TABLE_ELEMENTS = 1 << 18
"""Smaller tables (positions, token types) stay float: under 1 MiB each, and added to every token."""

_ACTIVATIONS = ("Gelu", "Relu", "Mul", "Tanh", "Sigmoid", "Swish", "Elu", "HardSwish", "LeakyRelu")
_ATTENTION = ("Attention", "Reshape", "Transpose")
"""The last two where an architecture's own attention is made of plain operators."""


@dataclasses.dataclass(frozen=True)
class Group:
    """Layers that share one smoothing: they read one activation (query, key, value) or one weight (ALBERT's layers)."""

    nodes: list[ir.Node]
    activations: list[ir.Value]
    weights: list[ir.Value]


def _float_initializer(value: ir.Value | None) -> _Array | None:
    """The matrix behind `value` where it is a 2-D float32 initializer."""
    import onnx_ir as ir

    if value is None or not value.is_initializer() or value.const_value is None:
        return None
    tensor = value.const_value
    return tensor.numpy() if tensor.dtype == ir.DataType.FLOAT and len(tensor.shape) == 2 else None


def layer_weight(node: ir.Node) -> _Array | None:
    """The weight (inputs, outputs) of a MatMul or Gemm that is worth quantizing, else None."""
    if node.op_type not in ("MatMul", "Gemm") or node.domain != "" or node.inputs[0] is None:
        return None
    weight = _float_initializer(node.inputs[1])
    if node.op_type == "Gemm" and weight is not None:
        get = node.attributes.get_float
        plain = get("alpha", 1.0) == 1.0 and get("beta", 1.0) == 1.0 and not node.attributes.get_int("transA", 0)
        weight = (weight.T if node.attributes.get_int("transB", 0) else weight) if plain else None
    return weight if weight is not None and weight.shape[1] >= _MIN_CHANNELS else None


def bias_of(layer: ir.Node) -> ir.Value | None:
    """The bias that a layer adds itself, as only a Gemm does."""
    return layer.inputs[2] if layer.op_type == "Gemm" and len(layer.inputs) > 2 else None


def kind(layer: ir.Node) -> str:
    """`feed-forward output`, `attention output` or `projection`: told by the operator that a layer's input comes from.

    A feed-forward output reads what an activation function made, with the longest tails of all.
    """
    x = cast("ir.Value", layer.inputs[0]).producer()
    made_by = x.op_type if x is not None else ""
    if made_by in _ACTIVATIONS:
        return "feed-forward output"
    return "attention output" if made_by in _ATTENTION else "projection"


def table(node: ir.Node) -> _Array | None:
    """The rows of a Gather that is an embedding table worth quantizing, else None."""
    if node.op_type != "Gather" or node.attributes.get_int("axis", 0) != 0:
        return None
    rows = _float_initializer(node.inputs[0])
    return rows if rows is not None and rows.size >= _MIN_TABLE_ELEMENTS else None


def groups(layers: Sequence[ir.Node]) -> list[Group]:
    """The connected components of layers that share an activation or a weight, in graph order."""
    found: list[Group] = []
    for node in layers:
        x, w = cast("tuple[ir.Value, ir.Value]", node.inputs[:2])
        joined = [g for g in found if x in g.activations or w in g.weights]
        merged = Group([], [], [])
        for group in (*joined, Group([node], [x], [w])):
            merged.nodes.extend(group.nodes)
            merged.activations.extend(v for v in group.activations if v not in merged.activations)
            merged.weights.extend(v for v in group.weights if v not in merged.weights)
        found = [g for g in found if g not in joined] + [merged]
    return found


def ids_rows(ids: ir.Value) -> int:
    """The rows of the table that a graph input indexes; 0 where it indexes none."""
    tables = [
        _float_initializer(node.inputs[0]) for node, index in ids.uses() if node.op_type == "Gather" and index == 1
    ]
    return min((len(t) for t in tables if t is not None), default=0)


class Rewriter:
    """Inserts nodes into one graph under names of its own, and gives one initializer to all who ask for the same."""

    def __init__(self, graph: ir.Graph) -> None:
        self.graph = graph
        self.made: dict[str, ir.Value] = {}

    def constant(self, name: str, array: npt.NDArray[Any]) -> ir.Value:
        """The initializer called `name`, made of `array` at the first call."""
        import onnx_ir as ir

        if name not in self.made:
            self.made[name] = ir.Value(name=name, const_value=ir.tensor(array, name=name))
            self.graph.initializers.add(self.made[name])
        return self.made[name]

    def node(
        self,
        before: ir.Node,
        op: str,
        inputs: Sequence[ir.Value | None],
        suffix: str,
        outputs: int = 1,
        domain: str = "",
        **attributes: Any,
    ) -> list[ir.Value]:
        """The outputs of a new node `op` placed before `before`, named after its first input."""
        import onnx_ir as ir

        name = f"{before.outputs[0].name}/{suffix}"
        node = ir.node(op, inputs, attributes, domain=domain, num_outputs=outputs, name=name)
        for i, value in enumerate(node.outputs):
            value.name = f"{name}.{i}" if i else name
        self.graph.insert_before(before, node)
        return list(node.outputs)


def _one_per_weight(nodes: Sequence[ir.Node]) -> list[ir.Node]:
    """The first node of each weight."""
    return list({n.inputs[1]: n for n in reversed(nodes)}.values())


def symmetric(weight: _Array, axis: int) -> tuple[npt.NDArray[np.int8], _Array]:
    """int8 values in -127..127 and the scales that undo them, the maximum taken over `axis`."""
    import numpy as np

    tiny = np.finfo(np.float32).tiny * 127  # a row of zeros: any scale will do that is not 0
    scale = (np.maximum(np.abs(weight).max(axis=axis, keepdims=True), tiny) / 127).astype(np.float32)
    return np.clip(np.rint(weight / scale), -127, 127).astype(np.int8), scale


def smooth_factor(group: Group, ranges: Mapping[str, Range]) -> _Array | None:
    """What to divide the channels of a group's activations by, float32 (inputs,); None where little would be won."""
    import numpy as np

    seen = [ranges[str(v.name)] for v in group.activations if str(v.name) in ranges]
    averages = all((p := v.producer()) is not None and p.op_type == "Attention" for v in group.activations)
    if averages or not seen:  # an attention's output is an average of values: it has no outliers worth a node
        return None
    weights = np.concatenate([cast("_Array", layer_weight(n)) for n in _one_per_weight(group.nodes)], axis=1)
    return smoothing(functools.reduce(operator.or_, seen), weights)


def gather_int8(rewrite: Rewriter, node: ir.Node) -> None:
    """table[ids] -> float(int8 table[ids]) * scales[ids]: only the rows in use are ever made float."""
    import onnx_ir as ir

    values, scales = symmetric(cast("_Array", table(node)), axis=1)
    name = f"{cast('ir.Value', node.inputs[0]).name}"
    rows8, row_scales = rewrite.constant(f"{name}/int8", values), rewrite.constant(f"{name}/scale", scales)
    (rows,) = rewrite.node(node, "Gather", [rows8, node.inputs[1]], "int8")
    (scale,) = rewrite.node(node, "Gather", [row_scales, node.inputs[1]], "scale")
    (real,) = rewrite.node(node, "Cast", [rows], "float", to=ir.DataType.FLOAT)
    (result,) = rewrite.node(node, "Mul", [real, scale], "scaled")
    replace(rewrite.graph, node, result)


def replace(graph: ir.Graph, node: ir.Node, result: ir.Value) -> None:
    """Let `result` stand for the one output of `node`, which goes; a graph output keeps its name."""
    old = node.outputs[0]
    result.type, result.shape = old.type, old.shape
    if old.is_graph_output():
        result.name, old.name = old.name, f"{old.name}/float"
    old.replace_all_uses_with(result, replace_graph_outputs=True)
    graph.remove(node, safe=True)
