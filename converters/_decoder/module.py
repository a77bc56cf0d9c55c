"""Parts -> a torch module with a cache, for the formats that are exported from torch.

What a format decides is where keys and values are kept, and how a table is read at the positions of the present tokens:
it writes a subclass with `_rows` and `_attended`. States are (1, n, width), heads (1, n, heads, head_dim).
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import torch
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgewright.converters._decoder.parts import Attention, Block, Decoder, FeedForward, Linear, Norm, Rotary

__all__ = ["DecoderModule", "activated", "linears"]

_Where = TypeVar("_Where")
_LEAST_STEP = 1e-30
"""What a row of zeros is divided by: far above float32's smallest normal number, divided by 255 too."""


class DecoderModule(nn.Module, Generic[_Where]):  # type: ignore[misc]
    """The decoder; `where` is what a subclass knows of the positions of the tokens that are read.

    Args:
        fine: whether the head reads its state in two parts of eight bits each, for engines that round states as they
            come. The head alone gave half of the divergence of SmolLM2-135M.
    """

    def __init__(self, decoder: Decoder, *, fine: bool = False) -> None:
        super().__init__()
        self.decoder, self.fine = decoder, fine
        self.embedding = _parameter(decoder.embedding)
        self.sources = {"embedding": "embedding"}
        """The model's own name of each weight, by its name here."""
        self._tables: dict[int, tuple[str, str]] = {}
        if decoder.positions is not None:
            self.register_buffer("positions", torch.from_numpy(decoder.positions))
        for at, block in enumerate(decoder.blocks):
            for part, linear in linears(block):
                self._add_linear(f"{part}{at}", linear)
            for part, norm in _norms(block):
                self._add_norm(f"{part}{at}", norm)
            if block.attention.rotary is not None:
                self._add_tables(block.attention.rotary, block.attention.head_dim)
        self._add_norm("norm", decoder.norm)
        if decoder.head is not None:
            self._add_linear("head", decoder.head)

    @abstractmethod
    def _rows(self, table: torch.Tensor, where: _Where) -> torch.Tensor:
        """The rows (n, ...) of a table at the positions of the tokens."""

    @abstractmethod
    def _attended(
        self, at: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, where: _Where
    ) -> torch.Tensor:
        """What layer `at` reads, (1, n, heads, head_dim), with its keys and values put beside the earlier ones."""

    def logits(self, ids: torch.Tensor, where: _Where) -> torch.Tensor:
        """Token ids (1, n) -> (1, n, vocabulary)."""
        decoder = self.decoder
        state = functional.embedding(ids, self.embedding)
        if decoder.scale != 1.0:
            state = state * decoder.scale
        if decoder.positions is not None:
            state = state + self._rows(self.positions, where)
        for at, block in enumerate(decoder.blocks):
            state = self._block(at, block, state, where)
        state = self._normed("norm", decoder.norm, state)
        return self._sum(*_halves(state)) if self.fine else self._head(state)

    def _sum(self, coarse: torch.Tensor, left: torch.Tensor) -> torch.Tensor:
        """The logits of two parts of a state, by one product, which reads the table once."""
        both = self._head(torch.cat([coarse, left]))
        return both[:1] + both[1:]

    def _head(self, state: torch.Tensor) -> torch.Tensor:
        if self.decoder.head is None:
            return functional.linear(state, self.embedding)
        return self._product("head", state)

    def _block(self, at: int, block: Block, state: torch.Tensor, where: _Where) -> torch.Tensor:
        read = self._normed(f"before_attention{at}", block.before_attention, state)
        added = self._attention(at, block.attention, read, where)
        if block.after_attention:
            added = self._normed(f"after_attention{at}", block.after_attention, added)
        if block.before_feed_forward is None:
            return state + added + self._feed_forward(at, block.feed_forward, read)
        state = state + added
        read = self._normed(f"before_feed_forward{at}", block.before_feed_forward, state)
        added = self._feed_forward(at, block.feed_forward, read)
        if block.after_feed_forward:
            added = self._normed(f"after_feed_forward{at}", block.after_feed_forward, added)
        return state + added

    def _attention(self, at: int, attention: Attention, state: torch.Tensor, where: _Where) -> torch.Tensor:
        length, width = state.shape[1], attention.head_dim
        query = self._product(f"query{at}", state).reshape(1, length, attention.heads, width)
        key, value = (
            self._product(f"{part}{at}", state).reshape(1, length, attention.key_heads, width)
            for part in ("key", "value")
        )
        if attention.query_norm:
            query = self._normed(f"query_norm{at}", attention.query_norm, query)
        if attention.key_norm:
            key = self._normed(f"key_norm{at}", attention.key_norm, key)
        if attention.rotary is not None:
            cos, sin = (
                self._rows(getattr(self, name), where).unsqueeze(1) for name in self._tables[id(attention.rotary)]
            )
            query, key = (heads * cos + functional.linear(heads, self.turn) * sin for heads in (query, key))
        found = self._attended(at, query, key, value, where)
        return self._product(f"output{at}", found.reshape(1, length, attention.heads * width))

    def _feed_forward(self, at: int, part: FeedForward, state: torch.Tensor) -> torch.Tensor:
        up = self._product(f"up{at}", state)
        if part.gate is None:
            return self._product(f"down{at}", activated(part.activation, up))
        gate = self._product(f"gate{at}", state)
        return self._product(f"down{at}", activated(part.activation, gate) * up)

    def _product(self, name: str, state: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = getattr(self, name)(state)
        return found

    def _normed(self, name: str, norm: Norm, state: torch.Tensor) -> torch.Tensor:
        weight, width = getattr(self, name), (len(norm.weight),)
        if norm.bias is None:
            return functional.rms_norm(state, width, weight, norm.epsilon)
        return functional.layer_norm(state, width, weight, getattr(self, f"{name}_bias"), norm.epsilon)

    def _add_linear(self, name: str, linear: Linear) -> None:
        outputs, inputs = linear.weight.shape
        made = nn.Linear(inputs, outputs, bias=linear.bias is not None, device="meta")
        made.weight = _parameter(linear.weight)
        if linear.bias is not None:
            made.bias = _parameter(linear.bias)
        self.add_module(name, made)
        self.sources[f"{name}.weight"] = linear.source

    def _add_norm(self, name: str, norm: Norm) -> None:
        self.register_parameter(name, _parameter(norm.weight))
        if norm.bias is not None:
            self.register_parameter(f"{name}_bias", _parameter(norm.bias))

    def _add_tables(self, rotary: Rotary, width: int) -> None:
        """Layers share tables by identity. What is not turned has a cosine of 1."""
        if id(rotary) not in self._tables:
            names = (f"cos{len(self._tables)}", f"sin{len(self._tables)}")
            for name, table, rest in zip(names, (rotary.cos, rotary.sin), (1.0, 0.0), strict=True):
                twice = torch.from_numpy(table).repeat(1, 2)
                more = width - twice.shape[1]
                self.register_buffer(name, functional.pad(twice, (0, more), value=rest))
            self._tables[id(rotary)] = names
            self.register_buffer("turn", _turn(rotary.cos.shape[1], width))


def _parameter(array: NDArray[np.float32]) -> nn.Parameter:
    return nn.Parameter(torch.from_numpy(array), requires_grad=False)


def linears(block: Block) -> list[tuple[str, Linear]]:
    """The products of a layer, by what a module calls them before the layer's number."""
    attention, part = block.attention, block.feed_forward
    found = [("query", attention.query), ("key", attention.key), ("value", attention.value)]
    found += [("output", attention.output), ("up", part.up), ("down", part.down)]
    return found + ([("gate", part.gate)] if part.gate else [])


def _norms(block: Block) -> list[tuple[str, Norm]]:
    named: dict[str, Any] = {
        "before_attention": block.before_attention,
        "after_attention": block.after_attention,
        "before_feed_forward": block.before_feed_forward,
        "after_feed_forward": block.after_feed_forward,
        "query_norm": block.attention.query_norm,
        "key_norm": block.attention.key_norm,
    }
    return [(name, norm) for name, norm in named.items() if norm is not None]


def _halves(state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What rounding each row to eight bits makes of it, and what that leaves.

    In the arithmetic of XNNPACK's dynamic quantization: from the least to the largest number of the row and 0, 255
    steps. What lies on these steps is rounded once more to the very same.
    """
    least = state.amin(-1, keepdim=True).clamp(max=0.0)
    step = (state.amax(-1, keepdim=True).clamp(min=0.0) - least).clamp(min=_LEAST_STEP) / 255
    coarse = (torch.round(state / step - torch.round(least / step)) + torch.round(least / step)) * step
    return coarse, state - coarse


def _turn(half: int, width: int) -> torch.Tensor:
    """The product that gives (-second half, first half, 0).

    An engine keeps it among its products, where it would have to leave them to cut and join.
    """
    turn = torch.zeros(width, width)
    at = torch.arange(half)
    turn[at, at + half], turn[at + half, at] = -1.0, 1.0
    return turn


def activated(name: str, state: torch.Tensor) -> torch.Tensor:
    """A state after an activation, as `edgewright.converters._decoder.parts.FeedForward` names it."""
    kinds: dict[str, Any] = {"silu": functional.silu, "gelu": functional.gelu, "relu": functional.relu}
    if name == "gelu_tanh":
        return functional.gelu(state, approximate="tanh")
    found: torch.Tensor = kinds[name](state)
    return found
