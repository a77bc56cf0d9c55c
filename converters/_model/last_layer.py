"""A head that reads the first token needs that token's row of the last layer, and no other.

So wrote the authors of BERT, and every runtime computes the whole layer all the same: a sixth of a model of six layers,
close to half of one of two. Here the last layer takes keys and values of every token and asks for one row; what follows
has one row too. The answers are the same, which the gates prove against the model as it was.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, cast

from edgewright.model.config import FIRST_TOKEN

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

__all__ = ["cut"]


def cut(model: torch.nn.Module, task: str) -> bool:
    """Let the last layer of a classifier compute the first row alone: (batch, length, width) -> (batch, 1, width).

    The module keeps its weights and their names; a model whose head reads more, or of another family, stays as it is.
    Returns whether it was cut.
    """
    config: Any = getattr(model, "config", None)
    kind = getattr(config, "model_type", "")
    known = kind in FIRST_TOKEN and type(model).__module__.startswith("transformers.")
    if not known or task != "text-classification":
        return False
    if getattr(config, "is_decoder", False) or getattr(config, "chunk_size_feed_forward", 0):
        return False
    body = cast("Any", model).base_model
    if kind == "distilbert":
        layer = body.transformer.layer[-1]
        layer.forward = partial(_distilbert, layer)
    else:
        part = body.encoder.layer[-1].attention
        part.forward = partial(_bert, part.self, part.output)
    return True


def _bert(
    part: Any, output: Any, hidden: torch.Tensor, attention_mask: torch.Tensor | None = None, **kwargs: Any
) -> tuple[torch.Tensor, None]:
    """BERT's attention block, for the first row."""
    projections = (part.query, part.key, part.value)
    return output(_attend(part, projections, hidden, attention_mask, **kwargs), hidden[:, :1]), None


def _distilbert(
    layer: Any, hidden: torch.Tensor, attention_mask: torch.Tensor | None = None, **kwargs: Any
) -> torch.Tensor:
    """DistilBERT's layer, for the first row."""
    part = layer.attention
    mixed = _attend(part, (part.q_lin, part.k_lin, part.v_lin), hidden, attention_mask, **kwargs)
    row = layer.sa_layer_norm(part.out_lin(mixed) + hidden[:, :1])
    out: torch.Tensor = layer.output_layer_norm(layer.ffn(row) + row)
    return out


def _attend(
    part: Any, projections: Sequence[Any], hidden: torch.Tensor, mask: torch.Tensor | None, **kwargs: Any
) -> torch.Tensor:
    """What the first token attends to, by the attention that is registered now: (batch, 1, heads * width)."""
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    width = part.attention_head_size
    asked = (hidden[:, :1], hidden, hidden)
    query, key, value = (
        project(rows).unflatten(-1, (-1, width)).transpose(1, 2)
        for project, rows in zip(projections, asked, strict=True)
    )
    attend = ALL_ATTENTION_FUNCTIONS.get_interface(part.config._attn_implementation, _plain)  # noqa: SLF001
    given = {"dropout": 0.0, "scaling": part.scaling, **{k: v for k, v in kwargs.items() if v is not None}}
    mixed: torch.Tensor = attend(part, query, key, value, None if mask is None else mask[..., :1, :], **given)[0]
    return mixed.flatten(2)


def _plain(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    scaling: float,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Where none is registered: (batch, heads, rows, width) -> (batch, rows, heads, width)."""
    del module, kwargs
    scores = query @ key.transpose(2, 3) * scaling
    scores = scores if mask is None else scores + mask
    return (scores.softmax(-1) @ value).transpose(1, 2), None
