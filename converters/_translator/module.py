"""Parts -> a torch module of an encoder-decoder, for the formats that are exported from torch.

    read(ids int64 (sources, length), mask int64 (sources, length))
    -> cross float32 (2 * layers, sources, heads, length, head_dim)
    write(tokens int64 (rows, 1), place int64 (1,), mask, cross, caches: 2 * layers of (rows, heads, slots, head_dim))
    -> logits float32 (rows, vocabulary)

The caches are written in place. `rows` is a multiple of `sources`: the beams of a source stand together, and share its
keys and values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn
from torch.nn import functional

from edgewright.converters._decoder.module import activated

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from edgewright.converters._decoder.parts import Attention, FeedForward, Linear, Norm
    from edgewright.converters._translator.parts import Layer, Stack, Translator

__all__ = ["TranslatorModule", "Where", "hidden"]

_HIDDEN = -1e4
"""Added to the score of what is not read: its weight is exactly 0 in float32, and every engine takes the number."""


class Where(NamedTuple):
    """What a step has beside its state: its place, what it may read of the caches and of the sources, and both.

    `new` takes the keys and values that a step adds, where they are not written into the caches.
    """

    place: torch.Tensor
    seen: torch.Tensor
    real: torch.Tensor
    cross: Sequence[torch.Tensor]
    caches: Sequence[torch.Tensor]
    new: list[torch.Tensor] | None = None


class TranslatorModule(nn.Module):  # type: ignore[misc]  # torch is not followed
    """Both stacks of an encoder-decoder, by their parts."""

    def __init__(self, whole: Translator) -> None:
        super().__init__()
        self.whole = whole
        self._weights: dict[tuple[int, ...], str] = {}
        for side, stack in (("encoder", whole.encoder), ("decoder", whole.decoder)):
            for name in ("positions", "distances"):
                table = getattr(stack, name)
                if table is not None:
                    self.register_buffer(f"{side}_{name}", torch.from_numpy(table))

    def read(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """The keys and values that all layers of the decoder make of sources."""
        return torch.stack(self.parts(ids, hidden(mask)[:, None, None]))

    def parts(self, ids: torch.Tensor, seen: torch.Tensor) -> list[torch.Tensor]:
        """The same one by one; `seen` is added to the scores (sources, heads, length, length)."""
        stack, length = self.whole.encoder, ids.size(1)
        state, places = self._embedded(stack, ids), torch.arange(length)
        if stack.positions is not None:
            state = state + self.encoder_positions[:length]
        if stack.distances is not None:
            apart = places[None] - places[:, None] + self.whole.context - 1
            seen = seen + self._apart(self.encoder_distances, apart)
        for layer in stack.layers:
            norm = layer.attention_norm
            attended = self._self_attended(layer.attention, self._before(norm, state), seen)
            state = self._fed(layer, self._added(norm, state, attended))
        if stack.norm:
            state = self._normed(stack.norm, state)
        return [
            self._heads(layer.cross, self._product(linear, state))
            for layer in self.whole.decoder.layers
            if layer.cross
            for linear in (layer.cross.key, layer.cross.value)
        ]

    def write(
        self,
        tokens: torch.Tensor,
        place: torch.Tensor,
        mask: torch.Tensor,
        cross: torch.Tensor,
        caches: Sequence[torch.Tensor],
    ) -> torch.Tensor:
        """The logits after a token more of each row."""
        slots = torch.arange(caches[0].size(2))
        seen = hidden(slots <= place)[None, None, None]
        if self.whole.decoder.distances is not None:
            seen = seen + self._distances(slots, place)
        return self._logits(tokens, Where(place, seen, hidden(mask)[:, None, None], cross, caches))

    def _distances(self, slots: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
        """What is added to the scores of what stands in slots, (1, heads, 1, slots), by how far it is before."""
        last = self.whole.context - 1
        apart = (last - place + slots).clamp(0, last)
        return self.decoder_distances.index_select(1, apart)[None, :, None]

    def _apart(self, table: torch.Tensor, apart: torch.Tensor) -> torch.Tensor:
        """The columns of a table (heads, n) at places (length, length): (1, heads, length, length)."""
        return table.index_select(1, apart.reshape(-1)).reshape(1, -1, *apart.shape)

    def _logits(self, tokens: torch.Tensor, where: Where) -> torch.Tensor:
        stack = self.whole.decoder
        state = self._embedded(stack, tokens)
        if stack.positions is not None:
            state = state + self.decoder_positions.index_select(0, where.place)
        for at, layer in enumerate(stack.layers):
            state = self._written(at, layer, state, where)
        if stack.norm:
            state = self._normed(stack.norm, state)
        if self.whole.head_scale != 1.0:
            state = state * self.whole.head_scale
        assert stack.head is not None  # noqa: S101 - a decoder's
        return self._product(stack.head, state).squeeze(1)

    def _written(self, at: int, layer: Layer, state: torch.Tensor, where: Where) -> torch.Tensor:
        """Layer `at` of the decoder."""
        cross, norm, cross_norm = layer.cross, layer.attention_norm, layer.cross_norm
        assert cross is not None  # noqa: S101 - every layer of a decoder has one
        assert cross_norm is not None  # noqa: S101 - and its norm
        state = self._added(norm, state, self._remembered(at, layer.attention, self._before(norm, state), where))
        state = self._added(cross_norm, state, self._crossed(at, cross, self._before(cross_norm, state), where))
        return self._fed(layer, state)

    def _remembered(self, at: int, attention: Attention, state: torch.Tensor, where: Where) -> torch.Tensor:
        """Attention to what was written, with the keys and values of this token put beside the earlier ones."""
        new = (self._heads(attention, self._product(part, state)) for part in (attention.key, attention.value))
        pair = where.caches[2 * at : 2 * at + 2]
        keys, values = (cache.index_copy_(2, where.place, part) for cache, part in zip(pair, new, strict=True))
        query = self._heads(attention, self._product(attention.query, state))
        return self._joined(attention, query, keys, values, where.seen)

    def _crossed(self, at: int, cross: Attention, state: torch.Tensor, where: Where) -> torch.Tensor:
        """Attention to the sources: the beams of one are its queries."""
        query = self._product(cross.query, state)
        beams = query.reshape(where.real.size(0), -1, cross.heads, cross.head_dim).transpose(1, 2)
        keys, values = where.cross[2 * at], where.cross[2 * at + 1]
        found = self._mixed(beams, keys, values, where.real, cross.scale)
        return self._product(cross.output, found.transpose(1, 2).reshape(query.shape))

    def _fed(self, layer: Layer, state: torch.Tensor) -> torch.Tensor:
        norm = layer.feed_forward_norm
        return self._added(norm, state, self._feed_forward(layer.feed_forward, self._before(norm, state)))

    def _before(self, norm: Norm, state: torch.Tensor) -> torch.Tensor:
        return self._normed(norm, state) if self.whole.norm_first else state

    def _added(self, norm: Norm, state: torch.Tensor, part: torch.Tensor) -> torch.Tensor:
        return state + part if self.whole.norm_first else self._normed(norm, state + part)

    def _self_attended(self, attention: Attention, state: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        every = (attention.query, attention.key, attention.value)
        query, key, value = (self._heads(attention, self._product(part, state)) for part in every)
        return self._joined(attention, query, key, value, seen)

    def _joined(
        self, attention: Attention, query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, seen: torch.Tensor
    ) -> torch.Tensor:
        found = self._mixed(query, keys, values, seen, attention.scale)
        return self._product(attention.output, found.transpose(1, 2).flatten(2))

    def _mixed(
        self, query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, seen: torch.Tensor, scale: float
    ) -> torch.Tensor:
        """What queries read, (rows, heads, n, head_dim); `seen` is added to the scores."""
        return functional.scaled_dot_product_attention(query, keys, values, attn_mask=seen, scale=scale)

    def _heads(self, attention: Attention, packed: torch.Tensor) -> torch.Tensor:
        """(rows, n, heads * head_dim) -> (rows, heads, n, head_dim)."""
        return packed.reshape(packed.size(0), -1, attention.heads, attention.head_dim).transpose(1, 2)

    def _embedded(self, stack: Stack, ids: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = functional.embedding(ids, self._weight(stack.embedding))
        return found if self.whole.scale == 1.0 else found * self.whole.scale

    def _feed_forward(self, part: FeedForward, state: torch.Tensor) -> torch.Tensor:
        found = activated(part.activation, self._product(part.gate or part.up, state))
        return self._product(part.down, found * self._product(part.up, state) if part.gate else found)

    def _normed(self, norm: Norm, state: torch.Tensor) -> torch.Tensor:
        """By hand without a bias: PyTorch Mobile has layer norms alone."""
        weight = self._weight(norm.weight)
        if norm.bias is not None:
            return functional.layer_norm(state, weight.shape, weight, self._weight(norm.bias), norm.epsilon)
        return state * torch.rsqrt((state * state).mean(-1, keepdim=True) + norm.epsilon) * weight

    def _product(self, linear: Linear, state: torch.Tensor) -> torch.Tensor:
        bias = None if linear.bias is None else self._weight(linear.bias)
        return functional.linear(state, self._weight(linear.weight), bias)

    def _weight(self, array: NDArray[np.float32]) -> torch.Tensor:
        """The parameter of an array, by where it lies: what is one table is one parameter."""
        place = (array.ctypes.data, *array.shape)
        if place not in self._weights:
            self._weights[place] = f"weight{len(self._weights)}"
            parameter = nn.Parameter(torch.from_numpy(array), requires_grad=False)
            self.register_parameter(self._weights[place], parameter)
        return getattr(self, self._weights[place])


def hidden(real: torch.Tensor) -> torch.Tensor:
    """What is added to scores: nothing where `real` is not 0."""
    return torch.zeros(real.shape).masked_fill(real == 0, _HIDDEN)
