"""The same module for engines that like neither arrays written in place nor more than one free dimension.

    parts(ids (1, length), seen) -> 2 * layers of keys and values (1, heads, length, head_dim)
    step(tokens (rows, 1), place int (1,), real, cross, past: 2 * layers of (rows, heads, slots, head_dim))
    -> logits float32 (rows, vocabulary), new float32 (2 * layers, rows, heads, head_dim)

One source is read at a time, and all rows write after it. What a step adds to keys and values is given out: whoever
keeps them puts it into slot `place`. Attention is said as products of three dimensions, which XNNPACK takes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from edgewright.converters._translator.module import TranslatorModule, Where, hidden

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgewright.converters._decoder.parts import Attention

__all__ = ["BEAMS", "StepModule"]

BEAMS = 4
"""Rows of a step for more than one: the beams that Marian and T5 are asked for most often."""


class StepModule(TranslatorModule):
    """Both stacks of an encoder-decoder, for one source; see `edgewright.converters._translator.module`."""

    def step(
        self,
        tokens: torch.Tensor,
        place: torch.Tensor,
        real: torch.Tensor,
        cross: Sequence[torch.Tensor],
        past: Sequence[torch.Tensor],
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The logits after a token more of each row, and the keys and values of these tokens.

        `real` is added to the scores of the source, (1, 1, 1, length).
        """
        slots = torch.arange(past[0].size(2), dtype=place.dtype)
        seen = self._distances(slots, place) + hidden(slots < place)
        self._new: list[torch.Tensor] = []
        logits = self._logits(tokens, Where(place, seen, real, cross, past))
        return logits, torch.stack(self._new)[:, :, :, 0]

    def _remembered(self, at: int, attention: Attention, state: torch.Tensor, where: Where) -> torch.Tensor:
        """Attention to what was written, and to this token itself, whose keys and values are not among the past."""
        rows, heads, width = state.size(0), attention.heads, attention.head_dim
        new = [self._heads(attention, self._product(part, state)) for part in (attention.key, attention.value)]
        self._new += new
        key, value = (part.reshape(rows * heads, 1, width) for part in new)
        keys, values = (part.reshape(rows * heads, -1, width) for part in where.caches[2 * at : 2 * at + 2])
        query = self._product(attention.query, state).reshape(rows * heads, 1, width) * attention.scale
        earlier = torch.bmm(query, keys.transpose(1, 2)) + where.seen[0].repeat(
            rows if where.seen.size(1) > 1 else 1, 1, 1
        )
        itself = torch.bmm(query, key.transpose(1, 2))
        if self.whole.decoder.distances is not None:
            itself = itself + self.decoder_distances[:, -1:, None].repeat(rows, 1, 1)
        weights = torch.cat([earlier, itself], dim=-1).softmax(-1)
        found = torch.bmm(weights[:, :, :-1], values) + weights[:, :, -1:] * value
        return self._product(attention.output, found.reshape(rows, 1, heads * width))

    def _mixed(
        self, query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, seen: torch.Tensor, scale: float
    ) -> torch.Tensor:
        heads, width = query.size(1), query.size(3)
        query, keys, values = (part.reshape(heads, -1, width) for part in (query, keys, values))
        scores = torch.bmm(query * scale, keys.transpose(1, 2)) + seen.squeeze(0)
        return torch.bmm(scores.softmax(-1), values).unsqueeze(0)
