"""States that cannot be cut: what short convolutions saw last, with copies of it as it was after some tokens.

Keys and values of earlier tokens lie in their slots, and to forget the later ones costs nothing. A convolution's state
is of the last tokens alone: where a conversation is to go back to, a copy of it must have been kept.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["KeptStates"]

_MOST = 8
"""Copies: a choice, the last turns of a conversation. One is 10 layers of 1,024 channels, 120 KiB, in LFM2-350M."""


class KeptStates:
    """The states of all layers, (layers, 1, width, taps), zero before the first token.

    Attributes:
        now: the array that the engine reads and writes.
    """

    def __init__(self, now: NDArray[Any]) -> None:
        self.now = now
        self._before = np.zeros_like(self.now)
        self._kept: dict[int, NDArray[Any]] = {}

    @contextmanager
    def run(self) -> Iterator[None]:
        """While the engine runs: where it fails, some layers may have written theirs, and all are what they were."""
        self._before[...] = self.now
        try:
            yield
        except Exception:
            self.now[...] = self._before
            raise

    def held(self, length: int, now: int) -> int:
        """The most tokens, of the first `length`, after which the state is known; `now` have been read."""
        if now <= length:
            return now
        return max((kept for kept in self._kept if kept <= length), default=0)

    def keep(self, length: int) -> None:
        """Keep a copy of the state as that after so many tokens; the one after fewest goes where there are too many."""
        if length:
            self._kept[length] = self.now.copy()
        if len(self._kept) > _MOST:
            del self._kept[min(self._kept)]

    def go_back(self, length: int) -> None:
        """Take up the state after so many tokens, which is held, and forget those of longer texts."""
        self._kept = {kept: state for kept, state in self._kept.items() if kept <= length}
        self.now[...] = self._kept[length] if length else 0

    def follow(self, other: KeptStates, length: int, now: int) -> None:
        """Be the first `length` tokens of a text of `now`, after which it holds its state."""
        self._kept = {kept: state for kept, state in other._kept.items() if kept <= length}
        self.now[...] = other.now if length == now else self._kept.get(length, 0)

    def swap(self, other: KeptStates) -> None:
        """Change places with another text."""
        self._kept, other._kept = other._kept, self._kept
        mine = self.now.copy()
        self.now[...], other.now[...] = other.now, mine

    def take(self, given: NDArray[Any]) -> None:
        """Go on from a copy of `now`, that of another text. Raises ValueError where it is of another shape or type."""
        if given.shape != self.now.shape or given.dtype != self.now.dtype:
            raise ValueError(f"{given.dtype} {given.shape}, {self.now.dtype} {self.now.shape} is wanted")
        self._kept = {}
        self.now[...] = given
