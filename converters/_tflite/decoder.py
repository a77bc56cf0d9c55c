"""A decoder -> TFLite: a signature for one token and one for a chunk of them, the cache goes in and comes out.

    decode, prefill_N:  tokens int32 (1, n), input_pos int32 (n,), kv_cache_k_L and kv_cache_v_L float32
    (1, heads, slots, head_dim) -> logits float32 (1, n, vocabulary), kv_cache_k_L and kv_cache_v_L

The names are those that Google's own language models have in this format. A client gives one buffer for a cache that
goes in and comes out, and the engine writes in place. A chunk is always full: what stands behind the last real token
is written over later, and never seen before that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from edgewright.converters._decoder.module import DecoderModule, linears
from edgewright.converters._decoder.parts import Linear
from edgewright.converters._tflite.export import MASKED, converted

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from edgewright.converters._decoder.parts import Decoder

__all__ = ["CONTEXT", "export_decoder"]

CONTEXT = 1024
"""Slots of the cache, at most: attention reads all of them for each token, written or not."""
_CHUNK = 64
"""Tokens of a prompt that are read at once: each more is padding of the last chunk of a prompt."""


class _InAndOut(DecoderModule["_Cache"]):
    """The cache comes with the tokens; `shifts` are what `decoder_on_grids` adds to blocks of weights."""

    def __init__(self, decoder: Decoder, *, fine: bool, shifts: Mapping[str, NDArray[np.float32]]) -> None:
        super().__init__(decoder, fine=fine)
        self._summed: tuple[torch.Tensor, torch.Tensor] | None = None
        for at, block in enumerate(decoder.blocks):
            for part, linear in linears(block):
                if linear.name in shifts:
                    self._add_shift(f"{part}{at}", Linear(linear.name, shifts[linear.name]), linear.weight.shape[1])

    def _add_shift(self, name: str, shift: Linear, width: int) -> None:
        blocks = shift.weight.shape[1]
        self._add_linear(f"{name}_shift", shift)
        self.register_buffer(f"ones{width}", torch.eye(blocks).repeat_interleave(width // blocks, 1))

    def _product(self, name: str, state: torch.Tensor) -> torch.Tensor:
        found, shift = super()._product(name, state), getattr(self, f"{name}_shift", None)
        return found if shift is None else found + shift(self._sums(state))

    def _sums(self, state: torch.Tensor) -> torch.Tensor:
        """Of blocks of a state, once for all that read it: a product too, which an engine keeps among its own."""
        if self._summed is None or self._summed[0] is not state:
            ones = getattr(self, f"ones{state.shape[-1]}")
            self._summed = state, torch.nn.functional.linear(state, ones)
        return self._summed[1]

    def forward(self, tokens: torch.Tensor, input_pos: torch.Tensor, **cache: torch.Tensor) -> dict[str, torch.Tensor]:
        where = _Cache(input_pos, cache)
        return {"logits": self.logits(tokens, where), **where.arrays}

    def _rows(self, table: torch.Tensor, where: _Cache) -> torch.Tensor:
        return torch.nn.functional.embedding(where.places, table)

    def _attended(
        self, at: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, where: _Cache
    ) -> torch.Tensor:
        attention, length = self.decoder.blocks[at].attention, query.shape[1]
        keys, values = where.written("k", at, key), where.written("v", at, value)
        heads, width = attention.key_heads, attention.head_dim
        groups = attention.heads // heads
        asked = (query * attention.scale).transpose(1, 2).reshape(1, heads, groups * length, width)
        mask = where.mask(keys.shape[2], attention.window).repeat(1, 1, groups if length > 1 else 1, 1)
        weights = (asked @ keys.transpose(2, 3) + mask).softmax(-1)
        return (weights @ values).reshape(1, attention.heads, length, width).transpose(1, 2)


class _Cache:
    """The keys and values of all layers, and the places of the tokens that are read."""

    def __init__(self, places: torch.Tensor, arrays: dict[str, torch.Tensor]) -> None:
        self.places, self.arrays = places, dict(arrays)

    def written(self, part: str, at: int, new: torch.Tensor) -> torch.Tensor:
        """The cache of a layer with the heads (1, n, heads, head_dim) of the tokens at their places."""
        from litert_torch.generative.custom_ops.dynamic_update_slice import dynamic_update_slice

        name, zero = f"kv_cache_{part}_{at}", torch.zeros((), dtype=torch.int32)
        start = [zero, zero, self.places[0], zero]
        self.arrays[name] = dynamic_update_slice(self.arrays[name], new.transpose(1, 2), start)
        return self.arrays[name]

    def mask(self, slots: int, window: int) -> torch.Tensor:
        """What is added to the scores (1, 1, n, slots): nothing for what is seen."""
        slot, place = torch.arange(slots, dtype=torch.int32), self.places[:, None]
        hidden = slot > place
        if window:
            hidden = hidden | (slot <= place - window)
        return torch.where(hidden, MASKED, 0.0)[None, None]


def export_decoder(decoder: Decoder, *, fine: bool, shifts: Mapping[str, NDArray[np.float32]]) -> bytes:
    """An fp32 TFLite file whose cache has as many slots as the context of `decoder`.

    Args:
        decoder: its parts.
        fine: see `DecoderModule`.
        shifts: by the name of a weight what is added to its blocks, float32 (outputs, blocks).
    """
    lengths = {"decode": 1, f"prefill_{_CHUNK}": min(_CHUNK, decoder.context)}
    feeds = {name: _example(decoder, length) for name, length in lengths.items()}
    return converted(_InAndOut(decoder, fine=fine, shifts=shifts), feeds)


def _example(decoder: Decoder, length: int) -> dict[str, torch.Tensor]:
    cache = {
        f"kv_cache_{part}_{at}": torch.zeros(1, block.attention.key_heads, decoder.context, block.attention.head_dim)
        for at, block in enumerate(decoder.blocks)
        for part in "kv"
    }
    tokens = torch.ones(1, length, dtype=torch.int32)
    return {"tokens": tokens, "input_pos": torch.arange(length, dtype=torch.int32), **cache}
