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
        earlier = torch.arange(past[0].size(2), dtype=place.dtype)
        seen = hidden(earlier < place)[None, None, None]
        itself = torch.zeros(1, 1, 1, 1)
        if self.whole.decoder.distances is not None:
            seen, itself = seen + self._distances(earlier, place), self.decoder_distances[None, :, None, -1:]
        new: list[torch.Tensor] = []
        rows, (_, heads, _, width) = tokens.size(0), past[0].shape
        seen = torch.cat([seen, itself], dim=-1).squeeze(0)
        if self.whole.decoder.distances is not None:
            seen = seen.repeat(rows, 1, 1)
        logits = self._logits(tokens, Where(place, seen, real, cross, past, new))
        return logits, torch.stack(new).reshape(len(past), rows, heads, width)

    def _remembered(self, at: int, attention: Attention, state: torch.Tensor, where: Where) -> torch.Tensor:
        """Attention to what was written, and to this token itself, whose keys and values are put behind them."""
        rows, heads, width = state.size(0), attention.heads, attention.head_dim
        new = [self._heads(attention, self._product(part, state)) for part in (attention.key, attention.value)]
        assert where.new is not None  # noqa: S101 - a step has begun it
        where.new.extend(new)
        keys, values = (
            torch.cat([past.reshape(rows * heads, -1, width), part.reshape(rows * heads, 1, width)], dim=1)
            for past, part in zip(where.caches[2 * at : 2 * at + 2], new, strict=True)
        )
        query = self._product(attention.query, state).reshape(rows * heads, 1, width) * attention.scale
        weights = (torch.bmm(query, keys.transpose(1, 2)) + where.seen).softmax(-1)
        return self._product(attention.output, torch.bmm(weights, values).reshape(rows, 1, heads * width))

    def _mixed(
        self, query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, seen: torch.Tensor, scale: float
    ) -> torch.Tensor:
        heads, width = query.size(1), query.size(3)
        query, keys, values = (part.reshape(heads, -1, width) for part in (query, keys, values))
        scores = torch.bmm(query * scale, keys.transpose(1, 2)) + seen.squeeze(0)
        return torch.bmm(scores.softmax(-1), values).unsqueeze(0)
