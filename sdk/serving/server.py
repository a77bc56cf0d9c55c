"""Serves a model on a local socket: a line of JSON in, a line of JSON out, for several clients at once.

One thread runs the engine, an item at a time, and clients take turns: a request of a thousand texts keeps no other
waiting for longer than one of them. Requests, connections and waiting are bounded: a client beyond the largest number
waits in the kernel's queue, with what it asked, until another one goes or has been silent for a while. SIGHUP opens the
release that the directory leads to now, while the old one goes on answering; SIGTERM lets the requests at hand end.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import select
import signal
import sys
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgewright.bundle.bundle import Bundle
from edgewright.errors import DataError, EdgewrightError, one_line
from edgewright.serving.engine_thread import EngineThread
from edgewright.serving.model import items_of, open_model, parsed
from edgewright.serving.systemd import notify, watchdog_s
from edgewright.serving.unix_socket import listening
from edgewright.system.progress import silent

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping

    from edgewright.serving.model import Model

__all__ = ["Bounds", "serve"]

_BREATH_S = 0.5
"""A choice: how often the queue is looked at, and how long nothing is accepted where no file can be opened."""


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


def serve(
    bundle: Bundle | str | Path,
    sock: socket.socket | str | Path,
    *,
    options: Mapping[str, Any] | None = None,
    bounds: Bounds = Bounds(),
    ready: Callable[[Model], None] = silent,
) -> None:
    """Serve a bundle on a Unix socket until SIGTERM or SIGINT.

    Args:
        bundle: a bundle or its directory, or a link to one such as `ROOT/current`, which SIGHUP follows anew.
        sock: where to make the socket, for this user alone; or a bound one.
        options: those of `edgewright.load`.
        bounds: what clients may take.
        ready: called with the model as soon as it is served.

    Raises:
        BundleError: the bundle is not what its manifest says.
        GateFailed: the engine here gives other outputs than it should.
        MissingExtra: no engine for it is installed.
        StorageError: another process serves there, or the socket cannot be made.
    """
    place = bundle.directory if isinstance(bundle, Bundle) else bundle
    with listening(Path(sock)) if isinstance(sock, str | Path) else nullcontext(sock) as bound:
        model = open_model(place, options or {})
        server = _Server(model, lambda: open_model(place, options or {}), bounds)
        asyncio.run(server.run(bound, lambda: ready(model)))


class _Server:
    def __init__(self, model: Model, reopen: Callable[[], Model], bounds: Bounds) -> None:
        self._model, self._reopen, self._bounds = model, reopen, bounds
        self._engine: EngineThread
        self._talks: dict[asyncio.Task[Any], float] = {}
        """Each connection, and since when it waits for its client."""
        self._busy: set[asyncio.Task[Any]] = set()
        """Those with a request at hand."""
        self._asking: set[asyncio.Task[Any]] = set()
        """Those that wait for the engine."""
        self._room = asyncio.Semaphore(bounds.connections)
        self._ending = False

    async def run(self, sock: socket.socket, ready: Callable[[], None]) -> None:
        loop, ended, again = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
        self._engine = EngineThread()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ended.set)
        loop.add_signal_handler(signal.SIGHUP, again.set)
        sock.settimeout(0)
        sock.listen(self._bounds.waiting)
        accepting = asyncio.create_task(self._accept(sock))
        every = (self._reload(again), self._beat(), self._sweep(sock))
        beside = [asyncio.create_task(one) for one in every]
        notify("READY=1", f"STATUS=serving {self._model.bundle.directory.name}")
        ready()
        await ended.wait()
        notify("STOPPING=1")
        accepting.cancel()
        await self._end()
        for task in beside:
            task.cancel()
        self._engine.close()

    async def _end(self) -> None:
        """Let the requests at hand end; connections without one end at once."""
        self._ending = True  # who was answered is not listened to any more
        for task in self._talks.keys() - self._busy:
            task.cancel()
        if self._talks:
            await asyncio.wait(self._talks, timeout=self._bounds.end_s)

    async def _accept(self, sock: socket.socket) -> None:
        """Take clients, as many at once as are allowed."""
        while True:
            await self._room.acquire()
            try:
                way, _ = await asyncio.get_running_loop().sock_accept(sock)
                streams = await asyncio.open_unix_connection(sock=way, limit=self._bounds.request_bytes)
            except OSError:  # too many files are open, or whoever came has gone
                self._room.release()
                await asyncio.sleep(_BREATH_S)
                continue
            task = asyncio.create_task(self._talk(*streams))
            self._talks[task] = asyncio.get_running_loop().time()
            task.add_done_callback(self._gone)

    def _gone(self, task: asyncio.Task[Any]) -> None:
        self._talks.pop(task, None)
        self._busy.discard(task)
        self._asking.discard(task)
        self._room.release()
        if not self._talks:
            _give_back()

    async def _sweep(self, sock: socket.socket) -> None:
        """End connections whose clients neither say nor take anything; while others wait the most silent one sooner."""
        while True:
            await asyncio.sleep(_BREATH_S)
            now = asyncio.get_running_loop().time()
            waits = {task: now - since for task, since in self._talks.items() if task not in self._asking}
            for task in [task for task, silent_s in waits.items() if silent_s > self._bounds.idle_s]:
                task.cancel()
            if not self._room.locked() or not select.select([sock], [], [], 0)[0]:
                continue
            idle = {task: silent_s for task, silent_s in waits.items() if task not in self._busy}
            silent = max(idle, key=idle.__getitem__, default=None)
            if silent and idle[silent] > self._bounds.crowded_s:
                silent.cancel()

    async def _reload(self, again: asyncio.Event) -> None:
        while await again.wait():
            again.clear()
            notify("RELOADING=1")
            try:
                self._model = await asyncio.to_thread(self._reopen)
                words = f"serving {self._model.bundle.directory.name}"
            except Exception as error:  # noqa: BLE001 - whatever it is, the release that is open goes on
                words = f"still serving {self._model.bundle.directory.name}: {_record(error)['message']}"
            print(f"edgewright: {words}", file=sys.stderr, flush=True)
            notify("READY=1", f"STATUS={words}")

    async def _beat(self) -> None:
        """Tell the watchdog that the engine's thread takes work: one that hangs is ended by it."""
        due_s = watchdog_s()
        while due_s:
            await self._engine.ask(int)
            notify("WATCHDOG=1")
            await asyncio.sleep(due_s / 3)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task, now = asyncio.current_task(), asyncio.get_running_loop().time
        assert task  # noqa: S101 - it is made as one
        try:
            while not self._ending and (line := await self._line(reader)):  # the sweep looks how long that takes
                self._busy.add(task)
                self._asking.add(task)
                answer = await self._answer(line)
                self._talks[task] = now()
                self._asking.discard(task)
                writer.write(json.dumps(answer, ensure_ascii=False).encode() + b"\n")
                await writer.drain()
                self._busy.discard(task)
                self._talks[task] = now()
        except DataError as error:  # what follows it on the connection cannot be told apart
            writer.write(json.dumps({"error": error.record()}).encode() + b"\n")
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _line(self, reader: asyncio.StreamReader) -> bytes:
        """The next request, empty at the end. Raises DataError."""
        try:
            return await reader.readuntil(b"\n")
        except asyncio.IncompleteReadError as error:
            return error.partial.strip()
        except asyncio.LimitOverrunError as error:
            what = f"the request has more than {self._bounds.request_bytes} bytes"
            raise DataError(what, hint="split the request") from error

    async def _answer(self, line: bytes) -> dict[str, Any]:
        model = self._model  # one release for all of a request
        try:
            request = parsed(line)
            if "health" in request:
                return {"health": await self._engine.ask(model.health)}
            items = items_of(request["texts"], self._bounds.texts)
            options = request.get("options", {})
            return {"rows": [await self._engine.ask(model.row, item, options) for item in items]}
        except Exception as error:  # noqa: BLE001 - whatever it is, the other clients go on
            return {"error": _record(error)}


def _give_back() -> None:
    """Give memory that a burst took back to the system, where the C library keeps it (malloc_trim(3) of glibc)."""
    gc.collect()  # streams and tasks lie in circles
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)


def _record(error: Exception) -> dict[str, str]:
    if isinstance(error, EdgewrightError):
        return error.record()
    words = f"{type(error).__name__}: {error}"
    print(f"edgewright: {one_line(words)}", file=sys.stderr, flush=True)
    return EdgewrightError(words, hint="this is a bug of edgewright").record()
