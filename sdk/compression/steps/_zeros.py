"""Zeros in matrices: which, how many, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["RISING", "Gradual", "cut", "linears", "matrices", "rising", "smallest"]

RISING = 0.75
"""The share of a run in which zeros are still being added."""


def linears(model: Any) -> list[Any]:
    """The linear layers inside the stacks of layers, which are what is pruned: no embedding, no head."""
    from torch import nn

    stacks = [module for module in model.modules() if isinstance(module, nn.ModuleList)]
    return list({id(m): m for stack in stacks for m in stack.modules() if isinstance(m, nn.Linear)}.values())


def matrices(model: Any) -> list[Any]:
    """Their weights."""
    return [module.weight for module in linears(model)]


def rising(sparsity: float, step: int, steps: int) -> float:
    """The share of zeros after a step: it follows 1 - (1 - t)^3 (Zhu and Gupta 2017) up to RISING, and then stays."""
    share = min(1.0, step / max(1.0, RISING * steps))
    return sparsity * (1 - (1 - share) ** 3)


@torch.no_grad()  # type: ignore[untyped-decorator]
def cut(weights: Sequence[Any], sparsity: float, *, whole: bool) -> None:
    """Set the smallest weights to zero, over all matrices or in each of them."""
    if whole:
        every = torch.cat([weight.abs().flatten() for weight in weights])
        limits = [_limit(every, sparsity)] * len(weights)
    else:
        limits = [_limit(weight.abs().flatten(), sparsity) for weight in weights]
    for weight, limit in zip(weights, limits, strict=True):
        weight.masked_fill_(weight.abs() <= limit, 0.0)


def _limit(sizes: Any, sparsity: float) -> float:
    count = round(sparsity * len(sizes))
    return smallest(sizes, count) if count else -1.0


def smallest(values: Any, count: int) -> float:
    """The `count`-th smallest of float32 (n,) values, counted from 1."""
    if values.is_cuda:
        return float(values.kthvalue(count).values)
    # numpy's selection takes 2/5 of the time of torch's on a CPU, which is a third of a step of training MiniLM
    return float(np.partition(values.numpy(), count - 1)[count - 1])


class Gradual:
    """Called after every step of a run: the share of zeros rises, and stays at its end.

    A weight that is zero may come back while the share still rises, when it has grown over others since.
    """

    def __init__(self, sparsity: float, *, whole: bool) -> None:
        self.sparsity, self.whole = sparsity, whole

    def __call__(self, model: Any, step: int, steps: int) -> None:
        """Cut what the step has let grow."""
        cut(matrices(model), rising(self.sparsity, step, steps), whole=self.whole)
