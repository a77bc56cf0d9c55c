"""Work of an engine, one piece after the other, on the loop that also talks with those who wait for it.

Beside an inference of a fifth of a millisecond, a thread of the engine's own costs a third of the time: for every
answer one thread wakes the other, twice over, and both want the interpreter. Where more waits than the loop has at
hand, helpers take of it too, if there are any: they find the next piece without being woken.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

__all__ = ["Told", "Turns", "rounds"]

Told = Callable[[Any, BaseException | None], None]
"""Hears what some work gave, or None and what it raised."""
_Piece = tuple[Told, Callable[..., Any], tuple[Any, ...]]
_Done = tuple[Told, Any, "BaseException | None"]

_TOGETHER_S = 0.001
"""A choice: what ends within a millisecond is told together. The first client that is woken costs a server some 40 us
on a machine whose other core sleeps, those after it a part of that; and nobody waits for long."""
_SHORT_S = 0.0004
"""Of a piece of work. The demo's model answers in 0.17 ms, as much of it in Python as in the engine: two threads at
once would take the interpreter from each other. MiniLM's answers take 0.6."""
_LOOK_S = 0.01
"""A choice: a hundred looks a second at a helper that takes its time."""
_LATE = 8
"""Times of pieces that count, one after the other less: a choice, some milliseconds of a short run."""
_ROUNDS = 4
"""Of the loop while somebody comes: what asyncio takes from a socket that was accepted to the first bytes read of it.
With one, whoever comes would wait for as many runs of the engine."""


class Turns:
    """Pieces of work for the loop that is running when it is made; all of it is called on that loop.

    Args:
        helpers: threads that work too, where more than one piece waits; what came of it is told on the loop.

    Attributes:
        coming: how many clients are on their way in; between two pieces of work the loop has time for them.
    """

    def __init__(self, helpers: int = 0) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[_Piece] = deque()
        self._working: asyncio.Task[None] | None = None
        self._wanted, self._helpers, self._idle = threading.Semaphore(0), helpers, helpers
        self._took_s = 0.0
        """Of a piece, of late."""
        self._through: dict[int, int] = {}
        """Of each helper that works, how many times it has told what it did."""
        self.coming = 0
        for number in range(helpers):
            threading.Thread(target=self._help, args=(number,), daemon=True).start()

    def put(self, told: Told, work: Callable[..., Any], *given: Any) -> None:
        """Do some work in its turn, and tell what came of it."""
        self._waiting.append((told, work, given))
        self._begin()

    def _begin(self) -> None:
        if not self._working and not self._left_to_one:
            self._working = self._loop.create_task(self._work())

    async def _work(self) -> None:
        """Do what waits, and let the loop hear in between who has come."""
        while self._waiting and not self._left_to_one:
            for _ in range(min(self._idle, len(self._waiting) - 1, 1 if self._took_s < _SHORT_S else self._helpers)):
                self._idle -= 1
                self._wanted.release()
            if not self._left_to_one:
                _tell(self._some())
            await (rounds() if self.coming else asyncio.sleep(0))
        self._working = None

    @property
    def _left_to_one(self) -> bool:
        """Whether a helper is at work, and pieces are so short that the loop had better talk with the clients alone."""
        return self._idle < self._helpers and self._took_s < _SHORT_S

    def _help(self, number: int) -> None:
        """Work while something waits, on a thread beside the loop's."""
        while True:
            self._wanted.acquire()
            self._through[number] = 0
            with suppress(RuntimeError):  # the loop has ended
                while done := self._some():
                    self._through[number] += 1
                    self._loop.call_soon_threadsafe(_tell, done)
                del self._through[number]
                self._loop.call_soon_threadsafe(self._rest)

    async def alive(self) -> None:
        """Come back when each helper that works has got through with something: one that hangs never does."""
        before = dict(self._through)
        while any(self._through.get(number) == count for number, count in before.items()):
            await asyncio.sleep(_LOOK_S)

    def _rest(self) -> None:
        self._idle += 1
        if self._waiting:  # which came when the helper had just looked
            self._begin()

    def _some(self) -> list[_Done]:
        """What came of the next pieces of work, of one at least where one waits."""
        begun_s = self._loop.time()
        until_s = begun_s + _TOGETHER_S
        done: list[_Done] = []
        while not done or self._loop.time() < until_s:
            try:
                told, work, given = self._waiting.popleft()
            except IndexError:  # another thread may have taken the last one
                break
            try:
                done.append((told, work(*given), None))
            except BaseException as error:  # noqa: BLE001 - it is for whoever asked
                done.append((told, None, error))
        if done:
            self._took_s += ((self._loop.time() - begun_s) / len(done) - self._took_s) / _LATE
        return done


def _tell(done: list[_Done]) -> None:
    for told, value, error in done:
        told(value, error)


async def rounds() -> None:
    """Let the loop look at every socket, and at what it finds there."""
    for _ in range(_ROUNDS):
        await asyncio.sleep(0)
