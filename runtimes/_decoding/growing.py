"""Keys and values in arrays of ours, which grow by doubling: a short chat takes little memory."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from edgewright.contracts.decoder import Decoder, room

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["GrowingDecoder", "grow", "slots_for"]

_FIRST_SLOTS = 256
"""Tokens that the first arrays hold: a short question and its answer."""


class GrowingDecoder(Decoder):
    """A decoder whose engine reads and writes arrays (1, heads, slots, head_dim) that it is given."""

    def __init__(self, vocabulary: int, context: int, layers: Sequence[tuple[int, int, Any]]) -> None:
        """Take heads, width of a head, and type of each array, in the engine's order."""
        super().__init__(vocabulary, context)
        self._layers, self._slots = layers, 0
        self._cache: list[NDArray[Any]] = []

    def _unbind(self) -> None:
        """Let go of the arrays of `_cache`, which others are about to take the place of."""

    @abstractmethod
    def _bind(self) -> None:
        """Give the engine the arrays of `_cache`, which have `_slots` slots."""

    def _reserve(self, tokens: int = 0) -> None:
        """Room for so many, what is there kept."""
        if self._slots and tokens <= self._slots:
            return
        self._slots = slots_for(tokens, self._slots, self.context)
        self._unbind()
        grow(self._cache, self._layers, self._slots, [self.length])
        self._bind()

    def _keys_and_values(self, length: int) -> list[NDArray[Any]]:
        return [array[:, :, :length].copy() for array in self._cache]

    def _take(self, arrays: Sequence[NDArray[Any]], length: int) -> None:
        self.length = 0
        self._reserve(length)
        for array, given in zip(self._cache, arrays, strict=True):
            np.copyto(room(array, length, given), given)


def slots_for(tokens: int, slots: int, context: int) -> int:
    """How many slots to have after `slots` of them, for so many tokens."""
    slots = slots or _FIRST_SLOTS
    while slots < tokens:
        slots *= 2
    return min(slots, context)


def grow(cache: list[NDArray[Any]], layers: Sequence[tuple[int, int, Any]], slots: int, lengths: Sequence[int]) -> None:
    """Put arrays (rows, heads, slots, head_dim) into `cache`, with the first `lengths` slots of rows that are there.

    One after the other, so that there are never two caches; a row that nobody used takes no memory.
    """
    for at, (heads, width, dtype) in enumerate(layers):
        new = np.zeros((len(lengths), heads, slots, width), dtype)
        if at < len(cache):
            for row, length in enumerate(lengths):
                new[row, :, :length] = cache[at][row, :, :length]
        cache[at : at + 1] = [new]
