"""Several inferences at once over one set of weights: a list of items uses the cores that one run leaves idle.

Engines run without Python's lock, so threads are enough. Each run is of one item still: answers are those that they
would be alone, and come in the order of the items.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

from edgewright.contracts.engine import Session
from edgewright.errors import UsageError
from edgewright.system.limits import allowed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    Outputs = dict[str, NDArray[Any]]
    Run = Callable[[Mapping[str, NDArray[Any]]], Outputs]

__all__ = ["AtOnce", "Shared", "check_workers", "every", "in_order"]

_Given = TypeVar("_Given")
_Made = TypeVar("_Made")

_AHEAD = 8
"""Items of a thread that are taken before the first of all is read: a choice, enough for one that takes as long as
eight others, few enough that a stream is never read far ahead of its answers."""


class Shared(Session):
    """Sessions over the same weights as one that several threads may run at once; one more waits for the next free.

    Args:
        sessions: one for each run at a time; one that is re-entrant may stand there several times.
    """

    def __init__(self, sessions: Sequence[Session]) -> None:
        self.inputs, self.outputs = sessions[0].inputs, sessions[0].outputs
        self._every, self._free = sessions, SimpleQueue[Session]()
        for session in sessions:
            self._free.put(session)

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """See `Session.run`."""
        session = self._free.get()
        try:
            return session.run(feeds)
        finally:
            self._free.put(session)

    def close(self) -> None:
        """See `Session.close`."""
        for session in self._every:
            session.close()

    @property
    def beside(self) -> str:
        """See `Session.beside`."""
        return self._every[0].beside


class AtOnce:
    """An engine as a thread asks it whose turn it is: while it runs it is the turn of another one.

    Args:
        run: the engine; as many threads as there are workers may run it.
        turn: held by whoever asks.
        workers: how many runs there may be at once.
    """

    def __init__(self, run: Run, turn: threading.Lock, workers: int) -> None:
        self._run, self._turn, self._workers = run, turn, workers

    def __call__(self, feeds: Mapping[str, NDArray[Any]]) -> Outputs:
        """One run."""
        with self._others():
            return self._run(feeds)

    def each(self, batches: Sequence[Mapping[str, NDArray[Any]]]) -> list[Outputs]:
        """Several runs, see `edgewright.text.encoding.Several`."""
        with self._others():
            return every(self._run, batches, self._workers)

    @contextmanager
    def _others(self) -> Iterator[None]:
        self._turn.release()
        try:
            yield
        finally:
            self._turn.acquire()


def check_workers(workers: int, threads: int) -> None:
    """Raise UsageError for fewer than one run at once, or more than this process has cores for."""
    cores = allowed().threads
    if workers < 1 or workers * threads > max(cores, threads):
        each = f" of {threads} threads each" if threads > 1 else ""
        what = f"{workers} workers{each} were asked, this process may use {cores} core{'s' * (cores > 1)}"
        raise UsageError(what, hint=f"give 1 to {max(1, cores // threads)}" if cores >= 2 * threads else "give 1")


def every(make: Callable[[_Given], _Made], given: Sequence[_Given], workers: int) -> list[_Made]:
    """What is made of each item, by so many threads, of which this is one: nobody is woken for what came of one.

    What is raised is that of the first item of which something was raised, and no further one is begun.
    """
    numbers, found, raised = iter(range(len(given))), list[Any](given), dict[int, BaseException]()

    def labour() -> None:
        for at in numbers:  # which threads may share: an iterator over a range is never between two numbers
            try:
                found[at] = make(given[at])
            except BaseException as error:  # noqa: BLE001 - it is raised below
                raised[at] = error
            if raised:
                return

    beside = [threading.Thread(target=labour, daemon=True) for _ in range(min(workers, len(given)) - 1)]
    for thread in beside:
        thread.start()
    labour()
    for thread in beside:
        thread.join()
    if raised:
        raise raised[min(raised)]
    return found


def in_order(make: Callable[[_Given], _Made], given: Iterable[_Given], workers: int) -> Iterator[_Made]:
    """What is made of each item, in the items' order, by so many threads.

    Items are taken as they come, a few ahead of what was made of them. What is raised comes in its item's turn, from
    the iterable too, and nothing follows it.
    """
    work = _Work(make, given, workers)
    try:
        yield from work.found()
    finally:
        work.end()


class _Work:
    """Each item that is taken has a number, and one outcome under it; the end of the items is one too."""

    def __init__(self, make: Callable[[Any], Any], given: Iterable[Any], workers: int) -> None:
        self._make, self._source, self._taken, self._taking = make, iter(given), 0, threading.Lock()
        self._done: SimpleQueue[tuple[int, Any, BaseException | None]] = SimpleQueue()
        self._room, self._ended, self._workers = threading.Semaphore(workers * _AHEAD), False, workers
        for _ in range(workers):
            # Of a daemon's kind: it may wait for a line of standard input when the process ends
            threading.Thread(target=self._labour, daemon=True).start()

    def found(self) -> Iterator[Any]:
        early: dict[int, tuple[Any, BaseException | None]] = {}
        wanted = 0
        while True:
            while wanted not in early:
                at, *outcome = self._done.get()
                early[at] = (outcome[0], outcome[1])
            made, error = early.pop(wanted)
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield made
            wanted += 1
            self._room.release()

    def end(self) -> None:
        """Let every thread go when it has done what it has at hand."""
        self._ended = True
        for _ in range(self._workers):
            self._room.release()

    def _labour(self) -> None:
        outcome = None
        while not isinstance(outcome, BaseException):
            self._room.acquire()
            if self._ended:
                return
            outcome = self._one()

    def _one(self) -> BaseException | None:
        with self._taking:
            at = self._taken
            self._taken += 1
            try:
                item = next(self._source)
            except BaseException as error:  # noqa: BLE001 - StopIteration too, it is for whoever reads
                self._done.put((at, None, error))
                return error
        try:
            made = self._make(item)
        except BaseException as error:  # noqa: BLE001 - it is for whoever reads
            self._done.put((at, None, error))
            return error
        self._done.put((at, made, None))
        return None
