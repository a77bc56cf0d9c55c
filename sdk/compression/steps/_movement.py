"""Weights that are kept or not by scores, which are learnt beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.utils import parametrize

from edgewright.compression.steps._zeros import linears, rising, smallest

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["SCORES", "Rising", "attach", "bake"]

SCORES = ".scores"
"""How the names of all scores end."""


class _Straight(torch.autograd.Function):  # type: ignore[misc]  # torch is not followed
    """weight * mask; a score has the gradient that it would have, were it the mask itself (Sanh et al., section 3)."""

    @staticmethod
    def forward(ctx: Any, weight: Any, scores: Any, mask: Any) -> Any:
        """The weights that are kept."""
        del scores
        ctx.save_for_backward(weight, mask)
        return weight * mask

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        """The gradients of weight and scores."""
        weight, mask = ctx.saved_tensors
        return gradients[0] * mask, gradients[0] * weight, None


class _Scored(nn.Module):  # type: ignore[misc]
    """A weight with scores and a mask of its shape, both in every checkpoint.

    Sanh et al. begin with equal scores. Here a weight's score begins with its size, in units of what is usual in its
    matrix: in a model that is fine-tuned already gradients are mostly noise, and what they would choose first is lost.
    """

    def __init__(self, weight: Any) -> None:
        super().__init__()
        sizes = weight.detach().abs()
        self.scores = nn.Parameter(sizes / sizes.square().mean().sqrt().clamp(min=torch.finfo(sizes.dtype).tiny))
        self.register_buffer("mask", torch.ones_like(weight, dtype=torch.bool))

    def forward(self, weight: Any) -> Any:
        """The weights that are kept, others zero."""
        return _Straight.apply(weight, self.scores, self.mask)


def attach(model: Any) -> None:
    """Give every matrix that can be pruned its scores."""
    for linear in linears(model):
        parametrize.register_parametrization(linear, "weight", _Scored(linear.weight), unsafe=True)


def bake(model: Any) -> None:
    """Leave plain matrices, with zeros where the mask is."""
    for linear in linears(model):
        parametrize.remove_parametrizations(linear, "weight", leave_parametrized=True)


_CHOICES = 512
"""How often masks are chosen in a run: scores move little between steps, and a choice takes as long as a step."""


class Rising:
    """Called after every step of a run: now and then the masks take the highest scores, of all matrices or of each."""

    def __init__(self, sparsity: float, *, whole: bool) -> None:
        self.sparsity, self.whole = sparsity, whole

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def __call__(self, model: Any, step: int, steps: int) -> None:
        """Choose anew: a weight may come back while others' scores fall below its own."""
        every = max(1, steps // _CHOICES)
        if step % every and step < steps:
            return
        share = rising(self.sparsity, step + every - 1, steps)  # it holds until the next choice
        scored = [module for module in model.modules() if isinstance(module, _Scored)]
        for group in [scored] if self.whole else [[one] for one in scored]:
            _choose(group, share)


def _choose(scored: Sequence[Any], share: float) -> None:
    """Mask exactly that share; of equal scores those that come first are kept, so that a run can be repeated."""
    scores = torch.cat([one.scores.flatten() for one in scored])
    gone = round(share * len(scores))
    kept = torch.ones_like(scores, dtype=torch.bool)
    if gone:
        limit = smallest(scores, gone)
        kept = scores > limit
        equal = (scores == limit).nonzero()[:, 0]
        kept[equal[: len(scores) - gone - int(kept.sum())]] = True
    for one, part in zip(scored, kept.split([one.mask.numel() for one in scored]), strict=True):
        one.mask.copy_(part.view_as(one.mask))
