"""Rewriting an exported graph for XNNPACK: weights to int8, and layer norms in operators that the delegate takes.

The graph is edited, not the modules: a functional call, a module of the user's own and a program that came in exported
are all the same here. Quantization is written as the delegate reads it, in `quantized_decomposed` operators.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from edgewright.contracts.converter import ConversionSpec

__all__ = ["MIN_ROWS", "Rewriter", "channel_weight", "dynamic_linear", "per_token", "rewrite"]

MIN_ROWS = 16
"""A table with fewer rows holds token types; quantizing it saves nothing."""
_LEAST_SCALE = 2.0**-100
"""A row of zeros: any scale will do that is a normal number."""


def rewrite(graph: torch.fx.GraphModule, spec: ConversionSpec) -> torch.fx.GraphModule:
    """The same graph, quantized as `spec.precision` says; weights stay shared with the program it came from."""
    from torch.ao.quantization.fx import _decomposed  # noqa: F401 - registers the quantized_decomposed operators

    from edgewright.converters._executorch.int4 import grouped_linear, nibble_embedding
    from edgewright.converters._executorch.observe import factors
    from edgewright.converters._executorch.static import quantize_static

    rewriter = Rewriter(graph)
    rewriter.each("dropout.default", lambda _, node: node.args[0])
    if spec.precision == "int8-static":
        quantize_static(rewriter, spec)
    if spec.precision == "int4":
        factor = factors(rewriter, spec)
        rewriter.each("linear.default", lambda _, node: grouped_linear(rewriter, node, factor))
    if spec.precision.startswith("int"):
        nibbles = spec.precision == "int4" and "embedding" not in spec.keep_float
        small = nibble_embedding if nibbles else _byte_embedding
        rewriter.each("linear.default", dynamic_linear)
        # In one pass: a table of 4 bits is looked up by the same operator, and must not be made one of 8
        rewriter.each("embedding.default", lambda _, node: small(rewriter, node) or _byte_embedding(rewriter, node))
    if spec.precision == "fp16":
        rewriter.each("gelu.default", _gelu)
        _give_floats(rewriter)
    rewriter.each("layer_norm.default", _layer_norm)
    graph.graph.eliminate_dead_code()
    graph.delete_all_unused_submodules()
    graph.recompile()
    return graph


class Rewriter:
    """Makes nodes and constants in a graph, each constant once."""

    def __init__(self, graph: torch.fx.GraphModule) -> None:
        self.module = graph
        self._made: dict[Any, Any] = {}

    def each(self, name: str, replace: Callable[[Rewriter, torch.fx.Node], torch.fx.Node | None]) -> None:
        """Let `replace` stand for every node of an `aten` operator; where it gives None the node stays."""
        for node in [n for n in self.module.graph.nodes if str(n.target) == f"aten.{name}"]:
            with self.module.graph.inserting_before(node):
                new = replace(self, node)
            if new is not None:
                node.replace_all_uses_with(new)
                self.module.graph.erase_node(node)

    def call(self, target: Any, *args: Any) -> torch.fx.Node:
        """A call of an `aten` operator by its name, or of any other by itself."""
        import torch

        packet, _, overload = target.partition(".") if isinstance(target, str) else ("", "", "")
        called = getattr(getattr(torch.ops.aten, packet), overload) if packet else target
        return self.module.graph.call_function(called, args)

    def once(self, key: Any, make: Callable[[], Any]) -> Any:
        """What was made for `key` before, or now."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    def constant(self, name: str, make: Callable[[], torch.Tensor]) -> torch.fx.Node:
        """A node that reads a constant; the tensor is made the first time."""
        key = f"_edgewright_{name.replace('.', '_')}"
        self.once(key, lambda: self.module.register_buffer(key, make()))
        return self.module.graph.get_attr(key)

    def weight(self, node: Any) -> torch.Tensor | None:
        """The tensor that a node reads from the module, None where it is no stored weight."""
        import torch

        if getattr(node, "op", "") != "get_attr":
            return None
        found: Any = self.module
        for part in node.target.split("."):
            found = getattr(found, part)
        return found.detach() if isinstance(found, torch.Tensor) else None


def _symmetric(weight: torch.Tensor, largest: int = 127) -> tuple[torch.Tensor, torch.Tensor]:
    """int8 values in -largest..largest, and float32 scales (rows,), one for each row of `weight`."""
    import torch

    scale = (weight.abs().amax(1) / largest).clamp(min=_LEAST_SCALE)
    return (weight / scale[:, None]).round().clamp(-largest, largest).to(torch.int8), scale


def dynamic_linear(rewriter: Rewriter, node: torch.fx.Node) -> torch.fx.Node | None:
    """`x @ w + b` with int8 weights, a scale for each output, and `x` quantized to int8 token by token."""
    weight = channel_weight(rewriter, node)
    if weight is None:
        return None
    return rewriter.call("linear.default", per_token(rewriter, node.args[0]), weight, *node.args[2:])


def channel_weight(rewriter: Rewriter, node: torch.fx.Node) -> torch.fx.Node | None:
    """The weight of a linear layer from int8 with a scale for each output; None where it is no stored weight."""
    import torch

    ops: Any = torch.ops.quantized_decomposed
    weight = rewriter.weight(node.args[1])
    if weight is None:
        return None
    name = str(node.args[1].target)
    values, scales = rewriter.once(("int8", name), lambda: _symmetric(weight))
    parts = (
        rewriter.constant(f"{name}_int8", lambda: values),
        rewriter.constant(f"{name}_scale", lambda: scales),
        rewriter.constant(f"{name}_zero", lambda: torch.zeros(len(scales), dtype=torch.int64)),
    )
    return rewriter.call(ops.dequantize_per_channel.default, *parts, 0, -127, 127, torch.int8)


def per_token(rewriter: Rewriter, x: Any) -> torch.fx.Node:
    """`x`, quantized to int8 with a range for each token and back; XNNPACK keeps the int8."""
    import torch

    ops: Any = torch.ops.quantized_decomposed
    chosen = rewriter.call(ops.choose_qparams_per_token_asymmetric.default, x, torch.int8)
    scale, zero = (rewriter.call(operator.getitem, chosen, at) for at in (0, 1))
    values = rewriter.call(ops.quantize_per_token.default, x, scale, zero, -128, 127, torch.int8)
    return rewriter.call(ops.dequantize_per_token.default, values, scale, zero, -128, 127, torch.int8, torch.float32)


def _byte_embedding(rewriter: Rewriter, node: torch.fx.Node) -> torch.fx.Node | None:
    """table[ids] -> float(int8 table[ids]) * scales[ids]: only the rows in use are ever made float.

    Three portable operators, and not `quantized_decomposed.embedding_byte`, whose kernel lies in a library of its own
    that an app would have to link; neither Python's wheel nor Android's published runtime has it.
    """
    import torch

    table = rewriter.weight(node.args[0])
    if table is None or len(table) < MIN_ROWS:
        return None
    name, ids = str(node.args[0].target), node.args[1]
    values, scales = rewriter.once(("int8", name), lambda: _symmetric(table))
    rows = rewriter.call("embedding.default", rewriter.constant(f"{name}_int8", lambda: values), ids)
    scale = rewriter.call("embedding.default", rewriter.constant(f"{name}_rows", lambda: scales[:, None]), ids)
    return rewriter.call("mul.Tensor", rewriter.call("to.dtype", rows, torch.float32), scale)


def _layer_norm(rewriter: Rewriter, node: torch.fx.Node) -> torch.fx.Node | None:
    """A norm over the last dimension as products with a row of 1 / n: XNNPACK has no mean over a last dimension.

    As an operator of its own a layer norm would cut the delegate in two, with its inputs and outputs in memory.
    """
    import torch

    x, shape, scale, bias, epsilon = (*node.args, *(None, None, 1e-5)[len(node.args) - 2 :])[:5]
    if len(shape) != 1:
        return None
    (width,) = shape
    dtype = node.meta["val"].dtype
    average = rewriter.constant(f"average_{width}", lambda: torch.full((1, width), 1 / width, dtype=dtype))
    centred = rewriter.call("sub.Tensor", x, rewriter.call("linear.default", x, average))
    variance = rewriter.call("linear.default", rewriter.call("mul.Tensor", centred, centred), average)
    normal = rewriter.call("rsqrt.default", rewriter.call("add.Tensor", variance, epsilon))
    out = rewriter.call("mul.Tensor", centred, normal)
    out = out if scale is None else rewriter.call("mul.Tensor", out, scale)
    return out if bias is None else rewriter.call("add.Tensor", out, bias)


def _gelu(rewriter: Rewriter, node: torch.fx.Node) -> torch.fx.Node:
    """GELU with tanh for erf (Hendrycks and Gimpel 2016, arXiv 1606.08415): x sigmoid(1.5958 x + 0.071355 x^3).

    It is off by 5e-4 at most, which is float16's own step at 1. XNNPACK has no GELU in float16, and the portable
    operator takes one number at a time.
    """
    (x,) = node.args
    cubic = rewriter.call("mul.Tensor", rewriter.call("mul.Tensor", x, x), 0.07135481282)
    inner = rewriter.call("mul.Tensor", x, rewriter.call("add.Tensor", cubic, 1.5957691216))
    return rewriter.call("mul.Tensor", x, rewriter.call("sigmoid.default", inner))


def _give_floats(rewriter: Rewriter) -> None:
    """float32 outputs, whatever the model computes in."""
    import torch

    graph = rewriter.module.graph
    output = graph.output_node()
    with graph.inserting_before(output):
        wide = tuple(rewriter.call("to.dtype", value, torch.float32) for value in output.args[0])
    output.args = (wide,)
