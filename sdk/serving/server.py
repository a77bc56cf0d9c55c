"""Serves a model on a local socket: a line of JSON in, a line of JSON out, for several clients at once.

One thread runs the engine and talks with the clients (`edgewright.serving.clients`); this one lets them in and waits
for signals, so that an engine that hangs can be ended. Requests, connections and waiting are bounded: a client beyond
the largest number waits in the kernel's queue, with what it asked, until another one goes or has been silent for a
while. SIGHUP opens the release that the directory leads to now, while the old one goes on answering; SIGTERM lets the
requests at hand end.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
import threading
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgewright.bundle.bundle import Bundle
from edgewright.serving.clients import Bounds, Clients, record
from edgewright.serving.model import open_model
from edgewright.serving.systemd import notify, watchdog_s
from edgewright.serving.unix_socket import listening
from edgewright.system.progress import silent

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Coroutine, Mapping

    from edgewright.serving.model import Model

__all__ = ["serve"]

_USUAL = Bounds()
"""What clients may take where nobody says otherwise."""
_BREATH_S = 0.5
"""A choice: how long nothing is accepted where no file can be opened."""
_LAST_S = 1.0
"""A choice: what the clients' thread may take beyond the time that requests have to end."""


def serve(
    bundle: Bundle | str | Path,
    sock: socket.socket | str | Path,
    *,
    options: Mapping[str, Any] | None = None,
    bounds: Bounds = _USUAL,
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
        self._reopen, self._bounds = reopen, bounds
        self._clients = Clients(model, bounds, self._left)
        self._loop: asyncio.AbstractEventLoop
        """This thread's."""
        self._engine = asyncio.new_event_loop()
        """That of the clients and the engine."""
        self._room = asyncio.Semaphore(bounds.connections)

    async def run(self, sock: socket.socket, ready: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        ended, again = asyncio.Event(), asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, ended.set)
        self._loop.add_signal_handler(signal.SIGHUP, again.set)
        sock.settimeout(0)
        sock.listen(self._bounds.waiting)
        threading.Thread(target=self._engine.run_forever, name="engine", daemon=True).start()
        talking, stop = self._there(self._clients.run(sock)), asyncio.ensure_future(ended.wait())
        beside = [asyncio.create_task(one) for one in (self._accept(sock), self._reload(again), self._beat())]
        gc.freeze()  # what is here stays, and need not be looked through again and again
        notify("READY=1", f"STATUS=serving {self._clients.model.bundle.directory.name}")
        ready()
        either: set[asyncio.Future[Any]] = {talking, stop}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        notify("STOPPING=1")
        for task in (stop, *beside):
            task.cancel()
        self._engine.call_soon_threadsafe(self._clients.end)
        await asyncio.wait({talking}, timeout=self._bounds.end_s + _LAST_S)
        if talking.done():
            talking.result()

    def _there(self, work: Coroutine[Any, Any, None]) -> asyncio.Future[None]:
        """What comes of some work on the engine's loop."""
        return asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._engine))

    async def _accept(self, sock: socket.socket) -> None:
        """Take clients, as many at once as are allowed."""
        while True:
            await self._room.acquire()
            try:
                way, _ = await self._loop.sock_accept(sock)
            except OSError:  # too many files are open, or whoever came has gone
                self._room.release()
                await asyncio.sleep(_BREATH_S)
            else:
                self._there(self._clients.take(way))

    def _left(self) -> None:
        """Make room for another client; called on the engine's loop."""
        with suppress(RuntimeError):  # this one has ended
            self._loop.call_soon_threadsafe(self._room.release)

    async def _reload(self, again: asyncio.Event) -> None:
        while await again.wait():
            again.clear()
            notify("RELOADING=1")
            try:
                self._clients.model = await asyncio.to_thread(self._reopen)
                words = f"serving {self._clients.model.bundle.directory.name}"
            except Exception as error:  # noqa: BLE001 - whatever it is, the release that is open goes on
                words = f"still serving {self._clients.model.bundle.directory.name}: {record(error)['message']}"
            print(f"edgewright: {words}", file=sys.stderr, flush=True)
            notify("READY=1", f"STATUS={words}")

    async def _beat(self) -> None:
        """Tell the watchdog that the engine's thread takes work: one that hangs is ended by it."""
        due_s = watchdog_s()
        while due_s:
            await self._there(self._clients.alive())
            notify("WATCHDOG=1")
            await asyncio.sleep(due_s / 3)
