"""How much a model's loss would change without a neuron, to first order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from edgewright.compression.steps._model import batches, task_of
from edgewright.training._models import Model
from edgewright.training.objectives import objective_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edgewright.model.source import Source

__all__ = ["of_inputs"]


def of_inputs(
    model: Any, source: Source, linears: Sequence[Any], groups: int, rows: Path, scratch: Path, *, count: int, seed: int
) -> list[Any]:
    """Of each linear layer, what every group of its inputs is worth, float32 (inputs / groups,).

    It is the mean over texts of |sum of activation times gradient| over a group's values at all tokens (Michel et al.
    2019, arXiv 1905.10650, section 3, for heads; Molchanov et al. 2019, arXiv 1906.10771, for neurons), in units of the
    layer's own length, so that layers can be compared.

    Args:
        model: the model of transformers.
        source: whose task and tokenizer it has.
        linears: layers of it.
        groups: inputs of a group, such as the width of a head; 1 for single neurons.
        rows: labelled rows.
        scratch: a directory for tokenized rows.
        count: batches to look at.
        seed: which.
    """
    seen: list[Any] = [None] * len(linears)
    totals = [torch.zeros(linear.in_features // groups) for linear in linears]

    def watch(at: int) -> Any:
        def hook(_: Any, given: tuple[Any, ...]) -> None:
            given[0].retain_grad()
            seen[at] = given[0]

        return hook

    hooks = [linear.register_forward_pre_hook(watch(at)) for at, linear in enumerate(linears)]
    task = task_of(source)
    objective, wrapped = objective_of(task), Model(model, task.outputs)
    for batch in batches(source, rows, scratch, count, seed):
        feeds = {name: batch[name] for name in ("input_ids", "attention_mask", "token_type_ids")}
        objective.loss(wrapped(**feeds), batch["labels"], batch["attention_mask"]).backward()
        for total, values in zip(totals, seen, strict=True):
            worth = (values.detach() * values.grad).unflatten(-1, (-1, groups)).sum(-1)
            total.add_(worth.sum(1).abs().sum(0))
        model.zero_grad()
    for hook in hooks:
        hook.remove()
    return [total / total.norm().clamp_min(1e-20) for total in totals]
