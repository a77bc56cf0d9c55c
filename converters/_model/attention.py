"""Attention as a format's kernels want it, said instead of searched for.

transformers calls a registered function for every attention, and another for the mask. Each format registers its own
pair while a model is exported; where an architecture has no such hook, its attention is exported as it is written.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import torch

__all__ = ["Attention", "additive", "repeated", "replaced"]


@dataclass(frozen=True)
class Attention:
    """What a layer asks of its attention.

    Attributes:
        query: (batch, heads, length, width).
        key: the same, of fewer heads where groups of queries share them.
        value: as `key`.
        mask: what was made of the text's mask, added to the scores; None where there is nothing to mask.
        scaling: of the scores, as the layer says it; None for the usual one.
        causal: whether no token may attend to a later one although there is no mask.
        position_bias: added to the scores beside the mask, None for most models.
    """

    query: torch.Tensor
    key: torch.Tensor
    value: torch.Tensor
    mask: torch.Tensor | None
    scaling: float | None
    causal: bool
    position_bias: torch.Tensor | None

    @property
    def scale(self) -> float:
        """The scaling, or the usual one: 1 / sqrt(width)."""
        return self.query.shape[-1] ** -0.5 if self.scaling is None else self.scaling


@contextlib.contextmanager
def replaced(
    model: torch.nn.Module,
    name: str,
    attend: Callable[[Attention], torch.Tensor],
    bidirectional: Callable[[torch.Tensor, int, torch.dtype], torch.Tensor],
    other: Callable[[torch.Tensor], torch.Tensor] = lambda mask: mask,
    *,
    biased: bool = False,
) -> Iterator[None]:
    """Run `model` with attention of ours, and put everything back afterwards.

    Args:
        model: one of transformers' models, or any other, which is left alone.
        name: what to call the pair in transformers' registers.
        attend: an attention -> (batch, length, heads, width).
        bidirectional: bool (batch, keys), number of queries, dtype -> the mask that every layer adds, made once.
        other: what to make of transformers' own additive mask (batch, 1, queries, keys), of windows and causal models.
        biased: whether `attend` adds a position bias; else the attention of a model that has one is left as it is.
    """
    if not _hooked(model) or (not biased and _adds_positions(model)):
        yield
        return
    from transformers import AttentionInterface, AttentionMaskInterface

    before = cast("Any", model).config._attn_implementation  # noqa: SLF001 - transformers has no public reader
    AttentionInterface.register(name, _function(attend, () if biased else ("position_bias",)))
    AttentionMaskInterface.register(name, _mask(bidirectional, other))
    try:
        cast("Any", model).set_attn_implementation(name)  # warns and leaves it alone where there is no hook
        yield
    finally:
        cast("Any", model).set_attn_implementation(before)


def _hooked(model: torch.nn.Module) -> bool:
    return hasattr(model, "set_attn_implementation") and getattr(model, "config", None) is not None


def _adds_positions(model: torch.nn.Module) -> bool:
    """Whether its layers add a bias of positions to their scores, as T5's do."""
    return any(getattr(module, "has_relative_attention_bias", False) for module in model.modules())


def _function(attend: Callable[[Attention], torch.Tensor], unsaid: tuple[str, ...]) -> Callable[..., Any]:
    """The function that transformers calls for every attention; it refuses what `attend` does not say."""

    def function(
        module: torch.nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None,
        scaling: float | None = None,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, None]:
        found = [name for name in (*unsaid, "softcap") if kwargs.get(name) is not None]
        if found:
            raise NotImplementedError(f"attention with {' and '.join(found)}")
        causal = attention_mask is None and bool(getattr(module, "is_causal", False))
        bias = kwargs.get("position_bias")
        return attend(Attention(query, key, value, attention_mask, scaling, causal, bias)), None

    return function


def _mask(
    bidirectional: Callable[[torch.Tensor, int, torch.dtype], torch.Tensor],
    other: Callable[[torch.Tensor], torch.Tensor],
) -> Callable[..., torch.Tensor | None]:
    """The function that transformers calls for the mask."""
    import torch
    from transformers.masking_utils import bidirectional_mask_function, eager_mask

    def mask(
        batch_size: int,
        q_length: int,
        kv_length: int,
        mask_function: Any = None,
        attention_mask: torch.Tensor | None = None,
        dtype: torch.dtype | None = None,
        **kwargs: Any,
    ) -> torch.Tensor | None:
        dtype = dtype or torch.float32
        if mask_function is bidirectional_mask_function and attention_mask is not None:
            return bidirectional(attention_mask, q_length, dtype)
        given = {"mask_function": mask_function, "attention_mask": attention_mask, "dtype": dtype, **kwargs}
        made = eager_mask(batch_size, q_length, kv_length, **given)
        return None if made is None else other(made)

    return mask


def additive(mask: torch.Tensor, queries: int, dtype: torch.dtype) -> torch.Tensor:
    """Bool (batch, keys) -> float (batch, 1, queries, keys), added to the scores.

    With the dtype's minimum, not infinity: a row that is masked altogether stays finite and equal to eager's.
    """
    import torch

    return torch.where(mask, 0.0, torch.finfo(dtype).min)[:, None, None, :].expand(-1, -1, queries, -1)


def repeated(heads: int, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """(batch, fewer heads, length, width) -> (batch, heads, length, width), as grouped-query attention shares keys."""
    return tuple(t if t.shape[1] == heads else t.repeat_interleave(heads // t.shape[1], dim=1) for t in tensors)
