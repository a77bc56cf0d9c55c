"""A decoder -> TorchScript: the cache comes with the tokens, and is written in place.

    forward(tokens int64 (1, n), input_pos int64 (n,), kv_cache_k_0, kv_cache_v_0, kv_cache_k_1, ...)
    -> (logits float32 (1, n, vocabulary),), a cache being float32 (1, heads, slots, head_dim)

As many slots as the client gives: attention reads them all, so a cache that grows is better than one that is large.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import torch

from edgewright.converters._decoder.module import DecoderModule

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgewright.contracts.converter import ConversionSpec
    from edgewright.converters._decoder.parts import Decoder, Norm

__all__ = ["CachedModule", "example", "signature", "traced"]

_SLOTS = 11
"""Of the traced cache: no dimension of a model has as many."""


class CachedModule(DecoderModule["_Cache"]):
    """`where` is the places of the tokens, and the caches of all layers."""

    def forward(self, tokens: torch.Tensor, input_pos: torch.Tensor, *caches: torch.Tensor) -> tuple[torch.Tensor]:
        return (self.logits(tokens, _Cache(input_pos, caches)),)

    def _rows(self, table: torch.Tensor, where: _Cache) -> torch.Tensor:
        return table.index_select(0, where.places)

    def _attended(
        self, at: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, where: _Cache
    ) -> torch.Tensor:
        attention, length = self.decoder.blocks[at].attention, query.size(1)
        keys, values = where.written(2 * at, key), where.written(2 * at + 1, value)
        heads, width = attention.key_heads, attention.head_dim
        groups = attention.heads // heads
        asked = query.transpose(1, 2).reshape(1, heads, -1, width)
        seen = where.seen(keys.size(2), attention.window).repeat(groups, 1)
        found = torch.nn.functional.scaled_dot_product_attention(
            asked, keys, values, attn_mask=seen, scale=attention.scale
        )
        return found.reshape(1, attention.heads, length, width).transpose(1, 2)

    def _sum(self, coarse: torch.Tensor, left: torch.Tensor) -> torch.Tensor:
        """By two: an int8 product has one range for all that it reads."""
        return self._head(coarse) + self._head(left)

    def _normed(self, name: str, norm: Norm, state: torch.Tensor) -> torch.Tensor:
        """PyTorch Mobile has layer norms alone."""
        if norm.bias is not None:
            return super()._normed(name, norm, state)
        found: torch.Tensor = state * torch.rsqrt((state * state).mean(-1, keepdim=True) + norm.epsilon)
        return found * getattr(self, name)


class _Cache:
    def __init__(self, places: torch.Tensor, arrays: Sequence[torch.Tensor]) -> None:
        self.places, self.arrays = places, arrays

    def written(self, at: int, new: torch.Tensor) -> torch.Tensor:
        """A cache with the heads (1, n, heads, head_dim) of the tokens at their places."""
        return self.arrays[at].index_copy_(2, self.places, new.transpose(1, 2))

    def seen(self, slots: Any, window: int) -> torch.Tensor:
        """Which slots each token sees, bool (n, slots)."""
        behind = self.places[:, None] - torch.arange(slots)[None]
        return (behind >= 0) & (behind < window) if window else behind >= 0


def example(decoder: Decoder) -> list[torch.Tensor]:
    """Tokens, their places, and caches that are not full."""
    shapes = [(1, b.attention.key_heads, _SLOTS, b.attention.head_dim) for b in decoder.blocks for _ in "kv"]
    return [torch.ones(1, 7, dtype=torch.int64), torch.arange(7), *(torch.zeros(shape) for shape in shapes)]


def traced(module: torch.nn.Module, given: Sequence[torch.Tensor]) -> Any:
    """A frozen `torch.jit.ScriptModule`, dynamic in tokens and slots."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the tracer's, of Python values that it takes for constants
        return torch.jit.freeze(torch.jit.trace(module.eval(), tuple(given), check_trace=False))


def signature(decoder: Decoder, spec: ConversionSpec) -> dict[str, Any]:
    """What the file says of itself."""
    caches = [
        (f"kv_cache_{part}_{at}", "float32", [1, block.attention.key_heads, "slots", block.attention.head_dim])
        for at, block in enumerate(decoder.blocks)
        for part in "kv"
    ]
    inputs = [("tokens", "int64", [1, "length"]), ("input_pos", "int64", ["length"]), *caches]
    return {
        "inputs": [{"name": name, "dtype": dtype, "shape": shape} for name, dtype, shape in inputs],
        "outputs": [{"name": "logits", "dtype": "float32", "shape": [1, "length", decoder.vocabulary]}],
        "about": {**spec.about, "precision": spec.precision},
    }
