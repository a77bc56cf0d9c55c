"""A server of one model by HTTP: connections, the line before the engine, and how it ends.

One thread runs the engine; requests come to it in their order, and how many may wait is bounded. SIGTERM lets what was
accepted end and refuses the rest, a second signal ends at once.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import signal
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from edgewright.errors import UsageError, one_line, quoted
from edgewright.serving.http_connection import HEAD_BYTES, Connection, Refused
from edgewright.serving.openai_answers import refusal, send_refused
from edgewright.serving.systemd import notify

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator, Mapping

    from edgewright.serving.http_connection import Request
    from edgewright.serving.writing import Writer, Writing

__all__ = ["HttpBounds", "HttpServer", "Route", "bound", "loopback"]

Route = Callable[[Connection, "Request"], Coroutine[Any, Any, None]]
"""What answers a request."""

_LOOK_S = 0.1
"""How often a client that waits is looked after: no more than some tokens are written for one that left."""
_LAST_S = 5.0
"""For what was cut short to be said, once the time to end is over: what a served socket gives, too."""
_BACKLOG = 128
"""Connections that the kernel holds: more than are taken, so that the others hear that there are too many."""
_PLACE = re.compile(r"(?:(\[[0-9A-Fa-f:.]+\]|[^:\[\]/]*):)?([0-9]{1,5})")


@dataclass(frozen=True)
class HttpBounds:
    """What clients may take: bytes of a body, connections, requests in the line, silence and time to end in seconds."""

    request_bytes: int = 2**20
    connections: int = 64
    waiting: int = 32
    idle_s: float = 300.0
    end_s: float = 60.0


def bound(place: str) -> socket.socket:
    """A listening socket at `HOST:PORT`, `:PORT` or `PORT`; without a host on the loopback, at port 0 on a free one.

    Raises:
        UsageError: it is no such place, or cannot be had.
    """
    found = _PLACE.fullmatch(place)
    if not found or int(found[2]) > 65535:  # the largest port
        raise UsageError(f"{quoted(place)} is no HOST:PORT", hint="such as 127.0.0.1:8080, [::1]:8080 or 8080")
    host = (found[1] or "127.0.0.1").strip("[]")
    try:
        family, *_, address = socket.getaddrinfo(host, int(found[2]), type=socket.SOCK_STREAM)[0]
        return socket.create_server(address, family=family, backlog=_BACKLOG)
    except (OSError, UnicodeError) as error:
        words = getattr(error, "strerror", None) or error
        raise UsageError(
            f"cannot listen at {place}: {words}", hint="choose another place; port 0 is a free one"
        ) from error


def loopback(sock: socket.socket) -> bool:
    """Whether this machine alone reaches a bound socket."""
    return ipaddress.ip_address(sock.getsockname()[0].partition("%")[0]).is_loopback


class HttpServer(ABC):
    """One model behind HTTP; a kind of model says what its routes are.

    Attributes:
        name: the model's, as clients call it.
        answered: how many requests for the model were carried out.
        left: how many ended because their client had gone, or the server ended.
    """

    def __init__(self, name: str, bounds: HttpBounds) -> None:
        self.name, self.answered, self.left = name, 0, 0
        self._bounds, self._local = bounds, True
        self._engine = ThreadPoolExecutor(1, "engine")
        self._talks: set[asyncio.Task[Any]] = set()
        self._busy: set[asyncio.Task[Any]] = set()
        self._held: set[Writing] = set()
        self._waiting, self._stopping = 0, False

    @abstractmethod
    def routes(self, path: str) -> Mapping[str, Route]:
        """What answers at a path, by the request's method; nothing where there is no such path."""

    @abstractmethod
    def nowhere(self) -> str:
        """What to tell someone who asks at another path."""

    async def run(self, sock: socket.socket, ready: Callable[[], None]) -> None:
        """Serve at a listening socket until SIGTERM or SIGINT."""
        loop, signals = asyncio.get_running_loop(), asyncio.Queue[int]()
        self._local = loopback(sock)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, signals.put_nowait, number)
        server = await asyncio.start_server(self._talk, sock=sock, limit=HEAD_BYTES)
        notify("READY=1", f"STATUS=serving {self.name}")
        ready()
        await signals.get()
        self._stopping = True
        notify("STOPPING=1")
        await self._drain(signals)
        server.close()
        for task in self._talks:
            task.cancel()
        if self._talks:
            await asyncio.wait(set(self._talks), timeout=_LAST_S)
        self._engine.shutdown(wait=False, cancel_futures=True)

    async def _drain(self, signals: asyncio.Queue[int]) -> None:
        """Let what was accepted end, until it takes too long or another signal comes; then cut it short."""
        again, until = asyncio.create_task(signals.get()), time.monotonic() + self._bounds.end_s
        while self._busy and not again.done() and time.monotonic() < until:
            await asyncio.wait([again, *self._busy], timeout=_LOOK_S, return_when=asyncio.FIRST_COMPLETED)
        again.cancel()
        for writing in self._held:
            writing.leave()
        if self._busy:
            await asyncio.wait(set(self._busy), timeout=_LAST_S)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task  # noqa: S101 - a callback of asyncio's server is one
        self._talks.add(task)
        connection = Connection(reader, writer, self._bounds.request_bytes, self._bounds.idle_s)
        try:
            await self._requests(connection, task)
        except (OSError, asyncio.TimeoutError, asyncio.CancelledError):
            pass  # the client is gone, or silent, or the server ends
        finally:
            self._busy.discard(task)
            with suppress(asyncio.CancelledError):
                await connection.close()
            self._talks.discard(task)

    async def _requests(self, connection: Connection, task: asyncio.Task[Any]) -> None:
        while connection.keep:
            try:
                request = await connection.request()
                if request is None:
                    return
                self._busy.add(task)
                await self._answer(connection, request)
            except Refused as refused:
                await send_refused(connection, refused)
            except (OSError, asyncio.TimeoutError):
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is, the other clients go on
                await send_refused(connection, refusal(error))
            self._busy.discard(task)

    async def _answer(self, connection: Connection, request: Request) -> None:
        """Raises Refused, or whatever went wrong."""
        if self._local:
            _check_host(request.headers.get("host", ""))
        self._check_room(connection)
        methods = self.routes(request.path)
        if not methods:
            what = f"Invalid URL ({request.method} {one_line(request.path, 100)}). {self.nowhere()}"
            raise Refused(HTTPStatus.NOT_FOUND, what, code="unknown_url")
        if request.method not in methods:
            what = f"Not allowed to {request.method} on {request.path}."
            allow = {"Allow": ", ".join(methods)}
            raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, what, code="method_not_allowed", headers=allow)
        await methods[request.method](connection, request)

    def _check_room(self, connection: Connection) -> None:
        """Refuse a request that comes too late, or by a connection too many."""
        if self._stopping:
            connection.keep = False
            what, again = "The server is stopping; try again in a moment.", {"Retry-After": "1"}
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, what, code="stopping", headers=again)
        if len(self._talks) > self._bounds.connections:
            connection.keep = False
            raise _too_many(f"{self._bounds.connections} connections are open")

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place in the line before the engine. Raises Refused where it is full."""
        if self._waiting >= self._bounds.waiting:
            raise _too_many(f"{self._waiting} requests wait for the model")
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    @contextmanager
    def writing(self, connection: Connection, writing: Writing, writer: Writer) -> Iterator[None]:
        """Have an answer written for as long as the block lasts and its client is there. Raises Refused."""
        with self.place():
            self._held.add(writing)
            writer.put(writing)
            self._engine.submit(writer.work)
            watch = asyncio.create_task(_watch(connection, writing))
            try:
                yield
            finally:
                watch.cancel()
                self.answered += writing.whole
                self.left += not writing.whole and (writing.left or connection.gone)
                writing.leave()
                self._held.discard(writing)

    def in_turn(self, work: Callable[..., Any], *given: Any) -> Awaitable[Any]:
        """What a function gives, called on the engine's thread after all that was asked before."""
        return asyncio.get_running_loop().run_in_executor(self._engine, work, *given)

    @property
    def waiting(self) -> int:
        """How many requests are in the line, the one that is carried out among them."""
        return self._waiting


async def _watch(connection: Connection, writing: Writing) -> None:
    """End what is written for a client that has left."""
    while not connection.gone:
        await asyncio.sleep(_LOOK_S)
    writing.leave()


def _too_many(what: str) -> Refused:
    headers = {"Retry-After": "1"}
    what = f"{what}, no more are taken; try again."
    return Refused(HTTPStatus.TOO_MANY_REQUESTS, what, code="rate_limit_exceeded", headers=headers)


def _check_host(host: str) -> None:
    """Refuse a request for another name than this machine's: a page that had its name lead here may have sent it."""
    name = re.sub(r":[0-9]*$", "", host)
    with suppress(ValueError):
        if ipaddress.ip_address(name.strip("[]")).is_loopback:
            return
    if name.lower() != "localhost":
        what = f"The Host {quoted(host)} is not this machine's own name; ask 127.0.0.1 or localhost."
        raise Refused(HTTPStatus.FORBIDDEN, what, code="forbidden_host")
