"""The one thread that runs the engine: work in its turn, and answers that wake the loop once however many there are.

A pool of the standard library wakes the loop for each answer, twice over: by a future of its own, and by one of
asyncio's. Beside an inference of a fifth of a millisecond that is a tenth of the time.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["EngineThread"]


class EngineThread:
    """A thread that does one piece of work after the other, for the loop that is running when it is made."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._work: queue.SimpleQueue[tuple[asyncio.Future[Any], Callable[..., Any], tuple[Any, ...]] | None]
        self._work = queue.SimpleQueue()
        self._done: deque[tuple[asyncio.Future[Any], Any, BaseException | None]] = deque()
        self._told = self._closed = False
        threading.Thread(target=self._run, name="engine", daemon=True).start()

    def ask(self, work: Callable[..., Any], *given: Any) -> asyncio.Future[Any]:
        """What some work gives, or raises, in its turn."""
        future = self._loop.create_future()
        self._work.put((future, work, given))
        return future

    def close(self) -> None:
        """Begin no more work; nobody waits for what is at hand."""
        self._closed = True
        self._work.put(None)

    def _run(self) -> None:
        while (job := self._work.get()) is not None and not self._closed:
            future, work, given = job
            value, error = None, None
            if not future.cancelled():
                try:
                    value = work(*given)
                except BaseException as problem:  # noqa: BLE001 - it is for whoever asked
                    error = problem
            self._done.append((future, value, error))
            if not self._told:  # looked at once the answer lies there: the loop takes the word back before it looks
                self._told = True
                with suppress(RuntimeError):  # the loop has ended
                    self._loop.call_soon_threadsafe(self._settle)

    def _settle(self) -> None:
        self._told = False
        while self._done:
            future, value, error = self._done.popleft()
            if future.cancelled():
                continue
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(value)
