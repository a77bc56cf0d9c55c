"""Those who ask a served model, answered in turn, and let go when they are silent for too long.

All of it happens on one loop, the engine's runs too, an item at a time: a request of a thousand texts keeps no other
waiting for longer than one of them.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import select
import sys
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec.json import encode

from edgewright.errors import DataError, EdgewrightError, one_line
from edgewright.serving.line_connection import LineConnection
from edgewright.serving.model import items_of, parsed
from edgewright.serving.turns import Turns, rounds

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping

    from edgewright.serving.model import Model

__all__ = ["Bounds", "Clients", "record"]

_BREATH_S = 0.5
"""A choice: how often it is looked who is silent."""


@dataclass(frozen=True)
class Bounds:
    """What clients may take.

    Attributes:
        request_bytes: of a request.
        texts: of a request.
        connections: at once; others wait.
        waiting: how many others, at most (`net.core.somaxconn` may be less).
        idle_s: the longest silence of a client, in seconds.
        crowded_s: the same while others wait.
        end_s: how long requests at hand may take at the end.
    """

    request_bytes: int = 2**20
    texts: int = 1024
    connections: int = 64
    waiting: int = 4096
    idle_s: float = 300.0
    crowded_s: float = 10.0
    end_s: float = 5.0


class Clients:
    """Whoever asks a model at a listening socket.

    Args:
        model: what answers.
        bounds: what clients may take.
        left: called when a client has gone.

    Attributes:
        model: what answers; it may be changed at any time, by another thread too.
    """

    def __init__(self, model: Model, bounds: Bounds, left: Callable[[], None]) -> None:
        self.model, self._bounds, self._tell_left = model, bounds, left
        self._turns: Turns
        self._here: set[LineConnection] = set()
        self._ended, self._empty = asyncio.Event(), asyncio.Event()

    async def run(self, sock: socket.socket) -> None:
        """Answer whoever is taken until `end` is called, then let the requests at hand end."""
        self._turns = Turns(self.model.pipeline.workers - 1)
        sweeping = asyncio.create_task(self._sweep(sock))
        await self._ended.wait()
        sweeping.cancel()
        await rounds()  # what lies in sockets came while the engine ran
        for client in [client for client in self._here if not client.busy]:
            client.close()
        self._empty.clear()
        if self._here:
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._empty.wait(), self._bounds.end_s)

    def end(self) -> None:
        """Listen to nobody any more; to be called on the loop that runs."""
        self._ended.set()

    async def alive(self) -> None:
        """Come back as soon as the engine takes work, on this loop and on its helpers."""
        await self._turns.alive()

    async def take(self, way: socket.socket) -> None:
        """Answer whoever is at the other end of a socket."""
        loop = asyncio.get_running_loop()
        client = LineConnection(self._bounds.request_bytes, self._asked, self._too_long, self._left)
        self._here.add(client)
        self._turns.coming += 1
        try:
            await loop.connect_accepted_socket(lambda: client, way)
        except OSError:  # whoever came has gone
            self._left(client)
        finally:
            self._turns.coming -= 1

    def _left(self, client: LineConnection) -> None:
        if client not in self._here:
            return
        self._here.discard(client)
        self._tell_left()
        if not self._here:
            self._empty.set()
            _give_back()

    async def _sweep(self, sock: socket.socket) -> None:
        """End connections whose clients neither say nor take anything; while others wait the most silent one sooner."""
        while True:
            await asyncio.sleep(_BREATH_S)
            now = asyncio.get_running_loop().time()
            waits = {client: now - client.since_s for client in self._here if not client.asking}
            for client in [client for client, silent_s in waits.items() if silent_s > self._bounds.idle_s]:
                client.abort()
            if len(self._here) < self._bounds.connections or not select.select([sock], [], [], 0)[0]:
                continue
            idle = {client: silent_s for client, silent_s in waits.items() if not client.busy}
            silent = max(idle, key=idle.__getitem__, default=None)
            if silent and idle[silent] > self._bounds.crowded_s:
                silent.abort()

    def _asked(self, client: LineConnection, line: bytes) -> None:
        model = self.model  # one release for all of a request
        try:
            request = parsed(line)
            if "health" in request:
                self._turns.put(partial(self._told, client, "health"), model.health)
                return
            items = items_of(request["texts"], self._bounds.texts)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other clients go on
            self._told(client, "error", None, error)
        else:
            self._answer(client, model, items, request.get("options", {}))

    def _answer(self, client: LineConnection, model: Model, items: list[Any], options: Mapping[str, Any]) -> None:
        """Ask for one item after another; between two of them it is the turn of others."""
        rows: list[Any] = []

        def ask() -> None:
            if len(rows) == len(items):
                self._told(client, "rows", rows, None)
            elif not client.left:
                self._turns.put(told, model.row, items[len(rows)], options)

        def told(row: Any, error: BaseException | None) -> None:
            if error:
                self._told(client, "rows", None, error)
            else:
                rows.append(row)
                model.answered += "answer" in row  # here, where one thread counts
                ask()

        ask()

    def _told(self, client: LineConnection, name: str, value: Any, error: BaseException | None) -> None:
        """Answer a client, and let it go where the server ends."""
        answer = {"error": record(error)} if error else {name: value}
        client.say(encode(answer) + b"\n", last=self._ended.is_set())

    def _too_long(self, client: LineConnection) -> None:
        what = f"the request has more than {self._bounds.request_bytes} bytes"
        answer = {"error": DataError(what, hint="split the request").record()}
        client.say(encode(answer) + b"\n", last=True)  # what follows it cannot be told apart


def record(error: BaseException) -> dict[str, str]:
    """An error as a client hears it; one that is not ours is also written down."""
    if isinstance(error, EdgewrightError):
        return error.record()
    words = f"{type(error).__name__}: {error}"
    print(f"edgewright: {one_line(words)}", file=sys.stderr, flush=True)
    return EdgewrightError(words, hint="this is a bug of edgewright").record()


def _give_back() -> None:
    """Give memory that a burst took back to the system, where the C library keeps it (malloc_trim(3) of glibc)."""
    gc.collect()  # transports and their clients lie in circles
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)
