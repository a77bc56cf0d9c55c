"""torch -> ONNX: a graph that ONNX Runtime's CPU kernels run as it is, without any pattern matching.

Attention is never searched for, it is said: transformers calls a registered function for each attention, and ours emits
the ONNX `Attention` operator (opset 23) on (batch, length, hidden) tensors. No transpose is left in the graph, and the
kernel is 1.5 times as fast as that of com.microsoft's MultiHeadAttention. The residual `Add` and the
`LayerNormalization` stay apart: ONNX Runtime 1.31's SkipLayerNormalization is a scalar loop, six times slower than the
two vectorised kernels, so nothing here runs its transformer fusions.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from typing import TYPE_CHECKING, Any, cast

from edgewright.converters._model.attention import additive, replaced

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import onnx
    import onnx_ir as ir
    import torch

    from edgewright.converters._model.attention import Attention

__all__ = ["OPSET", "export"]

OPSET = 23
"""The first opset with `Attention`; ONNX Runtime runs it from 1.23 on."""

_IR_VERSION = 10
"""That of ONNX 1.16: ONNX Runtime opens it from 1.18 on."""
_ATTENTION = "edgewright_onnx"


def export(
    model: torch.nn.Module, example: Sequence[torch.Tensor], inputs: Sequence[str], outputs: Sequence[str]
) -> onnx.ModelProto:
    """An fp32 ONNX model of `model`, dynamic in batch and length.

    Args:
        model: takes int64 (batch, length) tensors by position and returns a tuple of tensors.
        example: such tensors, of at least 2 rows and a length that no dimension of the model has.
        inputs: their names.
        outputs: the names of what it returns.
    """
    import onnx_ir as ir
    import onnxscript.optimizer
    import torch

    free = torch.export.Dim.DYNAMIC
    shapes = (tuple({0: free, 1: free} for _ in example),)  # one entry: the module's *args
    with _quiet(), torch.no_grad(), replaced(cast("Any", model).model, _ATTENTION, _attention, additive):
        program = torch.export.export(model, tuple(example), dynamic_shapes=shapes, strict=False)
        exported = torch.onnx.export(
            program,
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamo=True,
            external_data=False,
            verbose=False,
            optimize=False,  # torch's own call also fuses RotaryEmbedding, wrongly for a batch over 1 (ModernBERT)
        )
        onnxscript.optimizer.optimize(exported.model)
    proto: onnx.ModelProto = ir.to_proto(_tidy(exported.model))
    return proto


def _attention(asked: Attention) -> torch.Tensor:
    """(batch, heads, length, width) x 3 -> (batch, length, heads, width), through (batch, length, hidden)."""
    import torch

    heads, key_heads = asked.query.shape[1], asked.key.shape[1]
    flat = [t.transpose(1, 2).flatten(2) for t in (asked.query, asked.key, asked.value)]
    out = torch.onnx.ops.attention(
        flat[0],
        flat[1],
        flat[2],
        asked.mask,
        q_num_heads=heads,
        kv_num_heads=key_heads,
        scale=asked.scaling,
        is_causal=asked.causal,
    )[0]
    return out.reshape(*out.shape[:2], heads, -1)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """torch.export's notes concern its authors: deprecations of its own internals, torchvision's absence."""
    loggers = [logging.getLogger(n) for n in ("torch.onnx", "torch.export", "transformers", "onnxscript", "onnx_ir")]
    levels = [lg.level for lg in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for lg in loggers:
            lg.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for lg, level in zip(loggers, levels, strict=True):
                lg.setLevel(level)


def _tidy(model: ir.Model) -> ir.Model:
    """Fewer nodes, and the same bytes from every process: no stack traces, versions or guessed shapes."""
    import onnx_ir.passes.common as passes

    _drop_identity_reshapes(model.graph)
    _expand_masks(model.graph)
    for step in (
        passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        passes.CommonSubexpressionEliminationPass(),
        passes.DeduplicateInitializersPass(size_limit=1 << 31),  # ALBERT's layers share theirs
        passes.RemoveUnusedNodesPass(),
        passes.RemoveUnusedFunctionsPass(),  # type: ignore[no-untyped-call]
        passes.RemoveUnusedOpsetsPass(),
        passes.ClearMetadataAndDocStringPass(),
    ):
        model = step(model).model
    _forget(model)
    return model


def _same_shape(a: ir.Value, b: ir.Value) -> bool:
    """Whether two values have one shape, every dimension of it known by number or by symbol."""
    if a.shape is None or b.shape is None or len(a.shape) != len(b.shape):
        return False
    return all(x == y and getattr(x, "value", x) is not None for x, y in zip(a.shape, b.shape, strict=True))


def _drop_identity_reshapes(graph: ir.Graph) -> None:
    """Bypass a chain of Reshapes that ends in the shape it began with: (b, s, hidden) -> heads -> (b, s, hidden)."""
    for node in graph:
        if node.op_type != "Reshape" or node.outputs[0].is_graph_output():
            continue
        root = node.inputs[0]
        while root is not None:
            if _same_shape(root, node.outputs[0]):
                node.outputs[0].replace_all_uses_with(root)
                break
            above = root.producer()
            root = above.inputs[0] if above is not None and above.op_type == "Reshape" else None


def _expand_masks(graph: ir.Graph) -> None:
    """Repeat a mask (batch, heads, 1, keys) for every query: ONNX broadcasts it, ORT's CPU kernel refuses to."""
    import numpy as np
    import onnx_ir as ir

    for node in list(graph):
        mask, query = (
            (node.inputs[3], node.inputs[0]) if node.op_type == "Attention" and len(node.inputs) > 3 else (None, None)
        )
        if mask is None or query is None or mask.shape is None or query.shape is None or mask.shape[-2] != 1:
            continue
        axis = len(query.shape) - 2
        if query.shape[axis] == 1:
            continue
        length = ir.node("Shape", [query], {"start": axis, "end": axis + 1})
        one = ir.node("Constant", [], {"value": ir.tensor(np.array([1], np.int64))})
        target = ir.node("Concat", [one.outputs[0], length.outputs[0], one.outputs[0]], {"axis": 0})
        expanded = ir.node("Expand", [mask, target.outputs[0]])
        graph.insert_before(node, [length, one, target, expanded])
        node.replace_input_with(3, expanded.outputs[0])


def _forget(model: ir.Model) -> None:
    """Name the batch dimension and drop what differs between machines or only repeats shape inference."""
    import onnx_ir as ir

    graph = model.graph
    # Only the batch is named: where ORT can prove two shapes equal, it makes Add and LayerNormalization the slow one
    names: dict[str | None, str] = {}
    for value in graph.inputs:
        if value.shape is not None and len(value.shape) and isinstance(value.shape[0], ir.SymbolicDim):
            names[value.shape[0].value] = "batch"
    # Attention's shape inference takes an unknown width for 0, so what feeds it keeps its shape
    attended = {v for node in graph if node.op_type == "Attention" for v in node.inputs[:3]}
    for value in (*graph.inputs, *graph.initializers.values(), *(v for node in graph for v in node.outputs)):
        value.metadata_props.clear()
        if not (value.is_graph_input() or value.is_graph_output() or value.is_initializer() or value in attended):
            value.shape = value.type = None
        elif value.shape is not None:
            dims = [names.get(d.value) if isinstance(d, ir.SymbolicDim) else d for d in value.shape]
            value.shape = ir.Shape(dims)
    graph.name = "main"
    model.ir_version, model.producer_name, model.producer_version = _IR_VERSION, "edgewright", None
