"""Rewriting an exported graph for XNNPACK: weights to int8, and layer norms in operators that the delegate takes.

The graph is edited, not the modules: a functional call, a module of the user's own and a program that came in exported
are all the same here. Quantization is written as the delegate reads it, in `quantized_decomposed` operators.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgewright.contracts.precision import by_integers
from edgewright.converters._executorch.graph import MIN_ROWS, Rewriter, channel_weight, per_token, symmetric

if TYPE_CHECKING:
    import torch

    from edgewright.contracts.converter import ConversionSpec

__all__ = ["byte_embedding", "dynamic_linear", "norms", "rewrite", "tanh_gelu"]


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
    if by_integers(spec.precision):
        nibbles = spec.precision == "int4" and "embedding" not in spec.keep_float
        small = nibble_embedding if nibbles else byte_embedding
        rewriter.each("linear.default", dynamic_linear)
        # In one pass: a table of 4 bits is looked up by the same operator, and must not be made one of 8
        rewriter.each("embedding.default", lambda _, node: small(rewriter, node) or byte_embedding(rewriter, node))
    if spec.precision == "fp16":
        rewriter.each("gelu.default", tanh_gelu)
        _give_floats(rewriter)
    norms(rewriter)
    graph.graph.eliminate_dead_code()
    graph.delete_all_unused_submodules()
    graph.recompile()
    return graph


def norms(rewriter: Rewriter) -> None:
    """Layer norms and norms by the root mean square in operators that the delegate takes."""
    rewriter.each("layer_norm.default", _layer_norm)
    rewriter.each("rms_norm.default", _rms_norm)


def dynamic_linear(rewriter: Rewriter, node: torch.fx.Node) -> torch.fx.Node | None:
    """`x @ w + b` with int8 weights, a scale for each output, and `x` quantized to int8 token by token."""
    weight = channel_weight(rewriter, node)
    if weight is None:
        return None
    return rewriter.call("linear.default", per_token(rewriter, node.args[0]), weight, *node.args[2:])


def byte_embedding(rewriter: Rewriter, node: torch.fx.Node) -> torch.fx.Node | None:
    """table[ids] -> float(int8 table[ids]) * scales[ids]: only the rows in use are ever made float.

    Three portable operators, and not `quantized_decomposed.embedding_byte`, whose kernel lies in a library of its own
    that an app would have to link; neither Python's wheel nor Android's published runtime has it.
    """
    import torch

    table = rewriter.weight(node.args[0])
    if table is None or len(table) < MIN_ROWS:
        return None
    name, ids = str(node.args[0].target), node.args[1]
    values, scales = rewriter.once(("int8", name), lambda: symmetric(table))
    rows = rewriter.call("embedding.default", rewriter.constant(f"{name}_int8", lambda: values), ids)
    scale = rewriter.call("embedding.default", rewriter.constant(f"{name}_rows", lambda: scales[:, None]), ids)
    return rewriter.call("mul.Tensor", rewriter.call("to.dtype", rows, torch.float32), scale)


def _layer_norm(rewriter: Rewriter, node: torch.fx.Node) -> torch.fx.Node | None:
    """A norm over the last dimension as products with a row of 1 / n: XNNPACK has no mean over a last dimension.

    As an operator of its own a layer norm would cut the delegate in two, with its inputs and outputs in memory.
    """
    x, shape, scale, bias, epsilon = (*node.args, *(None, None, 1e-5)[len(node.args) - 2 :])[:5]
    if len(shape) != 1:
        return None
    average = _average(rewriter, node, shape[0])
    centred = rewriter.call("sub.Tensor", x, rewriter.call("linear.default", x, average))
    out = _scaled(rewriter, centred, average, epsilon, scale)
    return out if bias is None else rewriter.call("add.Tensor", out, bias)


def _rms_norm(rewriter: Rewriter, node: torch.fx.Node) -> torch.fx.Node | None:
    """The same without the mean (arXiv 1910.07467)."""
    x, shape, scale, epsilon = (*node.args, *(None, None)[len(node.args) - 2 :])[:4]
    if len(shape) != 1 or epsilon is None:
        return None
    return _scaled(rewriter, x, _average(rewriter, node, shape[0]), epsilon, scale)


def _average(rewriter: Rewriter, node: torch.fx.Node, width: int) -> torch.fx.Node:
    import torch

    dtype = node.meta["val"].dtype
    return rewriter.constant(f"average_{width}", lambda: torch.full((1, width), 1 / width, dtype=dtype))


def _scaled(
    rewriter: Rewriter, x: torch.fx.Node, average: torch.fx.Node, epsilon: float, scale: torch.fx.Node | None
) -> torch.fx.Node:
    """X by the root of its mean square, and by `scale` where there is one."""
    variance = rewriter.call("linear.default", rewriter.call("mul.Tensor", x, x), average)
    normal = rewriter.call("rsqrt.default", rewriter.call("add.Tensor", variance, epsilon))
    out = rewriter.call("mul.Tensor", x, normal)
    return out if scale is None else rewriter.call("mul.Tensor", out, scale)


def tanh_gelu(rewriter: Rewriter, node: torch.fx.Node) -> torch.fx.Node:
    """GELU with tanh for erf (Hendrycks and Gimpel 2016, arXiv 1606.08415): x sigmoid(1.5958 x + 0.071355 x^3).

    It is off by 5e-4 at most, which is float16's own step at 1. XNNPACK has no GELU in float16, and the portable
    operator takes one number at a time.
    """
    x = node.args[0]
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
