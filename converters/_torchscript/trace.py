"""torch -> TorchScript: one traced and frozen graph, dynamic in batch and length.

A trace keeps the shapes that it saw wherever Python computed with them, so what transformers does in Python is said in
tensors instead: the mask is made once for all layers, and each attention is PyTorch's fused operator. Freezing folds
constants and drops what a finished model does not need. What PyTorch has beyond that is left out:
`optimize_for_mobile` needs a build with XNNPACK, and `optimize_for_inference` writes oneDNN's blocked copies of the
weights for this machine's processor, which makes the file half as large again.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import torch

from edgewright.converters._model.attention import additive, repeated, replaced

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgewright.converters._model.attention import Attention

__all__ = ["trace"]

_ATTENTION = "edgewright_torchscript"

_METHODS = {
    torch.ops.aten.sym_size.int: "size",
    torch.ops.aten.view.default: "view",
    torch.ops.aten.reshape.default: "reshape",
    torch.ops.aten.expand.default: "expand",
    torch.ops.aten.repeat.default: "repeat",
}


def trace(module: torch.nn.Module, inner: torch.nn.Module, example: Sequence[torch.Tensor]) -> Any:
    """A frozen `torch.jit.ScriptModule` of `module`.

    Args:
        module: takes int64 (batch, length) tensors by position and returns a tuple of tensors.
        inner: the model inside it, whose attention is replaced while it is traced.
        example: such tensors, of at least 2 rows and a length that no dimension of the model has.
    """
    _use_methods(inner)
    with warnings.catch_warnings(), torch.no_grad(), replaced(inner, _ATTENTION, _attention, additive):
        warnings.simplefilter("ignore")  # the tracer's, of Python values that it takes for constants
        for part in module.modules():
            part.training = False  # eval() itself is not to be had of an exported program, and freezing looks at this
        traced = torch.jit.trace(module, tuple(example), check_trace=False)
        return torch.jit.freeze(traced)


def _attention(asked: Attention) -> torch.Tensor:
    """(batch, heads, length, width) x 3 -> (batch, length, heads, width)."""
    key, value = repeated(asked.query.shape[1], asked.key, asked.value)
    out = torch.nn.functional.scaled_dot_product_attention(
        asked.query, key, value, attn_mask=asked.mask, is_causal=asked.causal, scale=asked.scaling
    )
    return out.transpose(1, 2)


def _use_methods(model: torch.nn.Module) -> None:
    """Say an exported program's shapes with the methods of tensors: the tracer follows sizes through those alone."""
    if not isinstance(model, torch.fx.GraphModule):
        return
    for node in model.graph.nodes:
        if node.target in _METHODS:
            node.op, node.target = "call_method", _METHODS[node.target]
    model.recompile()
