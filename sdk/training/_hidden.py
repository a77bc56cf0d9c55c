"""The distance between a student's hidden states and a teacher's, which runs beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgewright.training._models import Model

__all__ = ["Hidden"]


class Hidden:
    """Layer i of a student with n layers learns layer i * N / n of a teacher with N, the embeddings theirs.

    States of different widths are compared by the similarities of their tokens, token by token within a text (Wang et
    al. 2020, MiniLM, arXiv 2002.10957, relates values likewise), so that no projection has to be learnt.
    """

    def __init__(self, teacher: Model) -> None:
        self._teacher = teacher.eval().requires_grad_(requires_grad=False)

    def distance(self, states: Sequence[Any], feeds: Mapping[str, Any]) -> Any:
        """The mean over the student's layers; `states` are its own, embeddings first, each (rows, length, width)."""
        self._teacher.to(states[0].device)
        with torch.no_grad():
            _, taught = self._teacher(**feeds, hidden=True)
        step = (len(taught) - 1) / (len(states) - 1)
        mask = feeds["attention_mask"]
        pairs = [(own, taught[round(at * step)]) for at, own in enumerate(states)]
        total = sum(_apart(own.float(), other.float(), mask) for own, other in pairs)
        return total / len(pairs)


def _apart(own: Any, other: Any, mask: Any) -> Any:
    if own.shape == other.shape:
        return functional.mse_loss(own[mask], other[mask])
    both = mask[:, :, None] & mask[:, None, :]
    one, two = (functional.normalize(states, dim=-1) for states in (own, other))
    return functional.mse_loss((one @ one.mT)[both], (two @ two.mT)[both])
