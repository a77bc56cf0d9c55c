"""torch -> `torch.export` for one text of free length, with attention that XNNPACK takes whole.

The delegate reshapes a tensor only where at most one dimension is free. Attention as models write it has scores of
(1, heads, length, length) between two reshapes; ours has the batch of one left out, so that every reshape is one that
the delegate takes and the whole network becomes a single delegate call.
"""

from __future__ import annotations

import contextlib
import warnings
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

    from edgewright.contracts import ConversionSpec

__all__ = ["export", "trace"]

_ATTENTION = "edgewright_executorch"


def export(model: torch.nn.Module, spec: ConversionSpec) -> torch.export.ExportedProgram:
    """The program of `model`, which takes int64 (1, length) tensors by position and returns a tuple of tensors."""
    with _attention_of_ours(model.model):
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


def _attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """(1, heads, length, width) x 3 -> (1, length, heads, width), as products of (heads, length, width)."""
    import torch

    del module
    if kwargs.get("position_bias") is not None or kwargs.get("softcap") is not None:
        raise NotImplementedError("attention with a position bias or a soft cap")
    heads, width = query.shape[1], query.shape[3]
    if key.shape[1] != heads:
        key, value = (t.repeat_interleave(heads // t.shape[1], dim=1) for t in (key, value))
    query = query.reshape(heads, -1, width) * (width**-0.5 if scaling is None else scaling)
    scores = torch.bmm(query, key.transpose(2, 3).reshape(heads, width, -1))
    if attention_mask is not None:
        scores = scores + attention_mask
    mixed = torch.bmm(scores.softmax(-1), value.reshape(heads, -1, value.shape[3]))
    return mixed.transpose(0, 1).unsqueeze(0), None


def _attention_mask(
    batch_size: int,
    q_length: int,
    kv_length: int,
    mask_function: Any = None,
    attention_mask: torch.Tensor | None = None,
    dtype: torch.dtype | None = None,
    **kwargs: Any,
) -> torch.Tensor | None:
    """The additive mask float (1, 1 or q_length, kv_length), made once for all layers.

    Additive with the dtype's minimum, not boolean: a row that is masked altogether stays finite and equal to eager's.
    """
    import torch
    from transformers.masking_utils import bidirectional_mask_function, eager_mask

    dtype = dtype or torch.float32
    if mask_function is not bidirectional_mask_function or attention_mask is None:
        mask = eager_mask(
            batch_size,
            q_length,
            kv_length,
            mask_function=mask_function,
            attention_mask=attention_mask,
            dtype=dtype,
            **kwargs,
        )
        return None if mask is None else mask[0]
    lowest = torch.finfo(dtype).min
    return ((1 - attention_mask.to(dtype)) * lowest)[:, None, :]


@contextlib.contextmanager
def _attention_of_ours(model: torch.nn.Module) -> Iterator[None]:
    """Run `model` with `_attention` where its architecture has the hook, and put everything back afterwards."""
    if not hasattr(model, "set_attn_implementation"):
        yield
        return
    from transformers import AttentionInterface, AttentionMaskInterface

    before = cast("Any", model).config._attn_implementation  # noqa: SLF001 - transformers has no public reader
    AttentionInterface.register(_ATTENTION, _attention)
    AttentionMaskInterface.register(_ATTENTION, _attention_mask)
    try:
        cast("Any", model).set_attn_implementation(_ATTENTION)
        yield
    finally:
        cast("Any", model).set_attn_implementation(before)
