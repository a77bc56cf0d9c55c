"""torch -> `torch.export` for one text of free length, with attention that XNNPACK takes whole.

The delegate reshapes a tensor only where at most one dimension is free. Attention as models write it has scores of
(1, heads, length, length) between two reshapes; ours has the batch of one left out, so that every reshape is one that
the delegate takes and the whole network becomes a single delegate call.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, cast

from edgewright.converters._model.attention import repeated, replaced

if TYPE_CHECKING:
    import torch

    from edgewright.contracts.converter import ConversionSpec
    from edgewright.converters._model.attention import Attention

__all__ = ["export", "trace"]

_ATTENTION = "edgewright_executorch"


def export(model: torch.nn.Module, spec: ConversionSpec) -> torch.export.ExportedProgram:
    """The program of `model`, which takes int64 (1, length) tensors by position and returns a tuple of tensors."""
    with replaced(cast("Any", model).model, _ATTENTION, _attention, _mask, _first):
        return trace(model, spec)


def trace(module: torch.nn.Module, spec: ConversionSpec) -> torch.export.ExportedProgram:
    """The program of a module or of a rewritten graph, for one row and any length up to the model's largest."""
    import torch

    free = torch.export.Dim.DYNAMIC(max=spec.settings.max_length)
    row = tuple(torch.from_numpy(spec.example[name][:1].copy()) for name in spec.inputs)
    # A module with *args has one entry for all of them, a graph one for each.
    shapes: Any = tuple({1: free} for _ in row)
    shapes = shapes if isinstance(module, torch.fx.GraphModule) else (shapes,)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.export.export(module, row, dynamic_shapes=shapes, strict=False)


def _attention(asked: Attention) -> torch.Tensor:
    """(1, heads, length, width) x 3 -> (1, length, heads, width), as products of (heads, length, width)."""
    import torch

    heads, width = asked.query.shape[1], asked.query.shape[3]
    key, value = repeated(heads, asked.key, asked.value)
    query = asked.query.reshape(heads, -1, width) * asked.scale
    scores = torch.bmm(query, key.transpose(2, 3).reshape(heads, width, -1))
    if asked.mask is not None:
        scores = scores + asked.mask
    mixed = torch.bmm(scores.softmax(-1), value.reshape(heads, -1, value.shape[3]))
    return mixed.transpose(0, 1).unsqueeze(0)


def _mask(mask: torch.Tensor, queries: int, dtype: torch.dtype) -> torch.Tensor:
    """Bool (1, keys) -> float (1, 1, keys): a row that is masked altogether stays finite and equal to eager's."""
    import torch

    del queries
    return ((1 - mask.to(dtype)) * torch.finfo(dtype).min)[:, None, :]


def _first(mask: torch.Tensor) -> torch.Tensor:
    return mask[0]
