"""Work of an engine, one piece after the other, on the loop that also talks with those who wait for it.

Beside an inference of a fifth of a millisecond, a thread of the engine's own costs a third of the time: for every
answer one thread wakes the other, twice over, and both want the interpreter.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

__all__ = ["Told", "Turns", "rounds"]

Told = Callable[[Any, BaseException | None], None]
"""Hears what some work gave, or None and what it raised."""

_TOGETHER_S = 0.001
"""A choice: what ends within a millisecond is told together. The first client that is woken costs a server some 40 us
on a machine whose other core sleeps, those after it a part of that; and nobody waits for long."""
_ROUNDS = 4
"""Of the loop while somebody comes: what asyncio takes from a socket that was accepted to the first bytes read of it.
With one, whoever comes would wait for as many runs of the engine."""


class Turns:
    """Pieces of work for the loop that is running when it is made; all of it is called on that loop.

    Attributes:
        coming: how many clients are on their way in; between two pieces of work the loop has time for them.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[Told, Callable[..., Any], tuple[Any, ...]]] = deque()
        self._working: asyncio.Task[None] | None = None
        self.coming = 0

    def put(self, told: Told, work: Callable[..., Any], *given: Any) -> None:
        """Do some work in its turn, and tell what came of it."""
        self._waiting.append((told, work, given))
        if not self._working:
            self._working = self._loop.create_task(self._work())

    async def _work(self) -> None:
        """Do what waits, and let the loop hear in between who has come."""
        while self._waiting:
            for told, value, error in self._some():
                told(value, error)
            await (rounds() if self.coming else asyncio.sleep(0))
        self._working = None

    def _some(self) -> list[tuple[Told, Any, BaseException | None]]:
        """What came of the next pieces of work, of one at least."""
        until_s = self._loop.time() + _TOGETHER_S
        done: list[tuple[Told, Any, BaseException | None]] = []
        while self._waiting and (not done or self._loop.time() < until_s):
            told, work, given = self._waiting.popleft()
            try:
                done.append((told, work(*given), None))
            except BaseException as error:  # noqa: BLE001 - it is for whoever asked
                done.append((told, None, error))
        return done


async def rounds() -> None:
    """Let the loop look at every socket, and at what it finds there."""
    for _ in range(_ROUNDS):
        await asyncio.sleep(0)
