"""HTTP/1.1 as far as an interface of JSON needs it: a request in, an answer or a stream of events out (RFC 9112).

Every read has a cap and a time. A body says its length beforehand; one that comes in chunks is asked to (411).
"""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["HEAD_BYTES", "Connection", "Refused", "Request"]

HEAD_BYTES = 16 * 2**10
"""Of a request line and its headers: what most servers take (nginx 32 KiB, Apache 8 KiB a line)."""
_LINGER_BYTES = 2**26
"""What is read of a body that was refused, so that its sender comes to read why: 64 of the largest default request."""
_LINGER_S = 5.0
"""A choice: time to read the reason, and no more."""
_REQUEST_LINE = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+) (\S+) HTTP/(\d)\.(\d)")
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)")
_ONCE = frozenset({"content-length", "host", "content-type"})
"""Headers that may not come twice: two parties that read a request differently is how one is smuggled."""


@dataclass(frozen=True)
class Request:
    """What was asked; names of headers in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""


class Refused(Exception):
    """A request that is not carried out: an HTTP status, and the fields of OpenAI's error object."""

    def __init__(
        self,
        status: HTTPStatus,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, message, param, code
        self.headers: Mapping[str, str] = headers or {}


@dataclass
class Connection:
    """One client. What cannot be read as a request ends it, since nobody knows where the next one would begin.

    Attributes:
        most_bytes: of a body.
        idle_s: the longest wait for the client, be it to send or to read.
        keep: whether another request may follow.
    """

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    most_bytes: int
    idle_s: float
    keep: bool = True
    _chunked: bool = field(default=True, init=False)
    _unread: bool = field(default=False, init=False)

    @property
    def gone(self) -> bool:
        """Whether the client has closed its side."""
        return self.reader.at_eof() or self.writer.is_closing()

    async def request(self) -> Request | None:
        """The next request, None where no more come.

        Raises:
            Refused: it is none, or too large.
            asyncio.TimeoutError: the client is silent.
        """
        try:
            head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), self.idle_s)
        except asyncio.IncompleteReadError:
            return None
        except asyncio.LimitOverrunError as error:
            self._unreadable()
            what = f"The head of the request has more than {HEAD_BYTES} bytes."
            raise Refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, what) from error
        try:
            request = self._parsed(head.decode("latin-1").lstrip("\r\n"))
            length = self._length(request.headers)
        except Refused:
            self._unreadable()
            raise
        if request.headers.get("expect", "").lower() == "100-continue":
            self.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        try:
            body = await asyncio.wait_for(self.reader.readexactly(length), self.idle_s)
        except asyncio.IncompleteReadError:
            return None
        return Request(request.method, request.path, request.headers, body)

    def _unreadable(self) -> None:
        self.keep, self._unread = False, True

    def _parsed(self, head: str) -> Request:
        first, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
        found = _REQUEST_LINE.fullmatch(first)
        if not found:
            raise Refused(HTTPStatus.BAD_REQUEST, "The first line of the request is not one of HTTP/1.1.")
        method, target, major, minor = found.groups()
        if major != "1":
            raise Refused(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, f"HTTP/{major}.{minor} is not spoken, HTTP/1.1 is.")
        headers = _headers(lines)
        self._chunked = minor != "0"
        wanted = headers.get("connection", "").lower()
        self.keep = "close" not in wanted if self._chunked else "keep-alive" in wanted
        if self._chunked and "host" not in headers:
            raise Refused(HTTPStatus.BAD_REQUEST, "The request has no Host header.")
        return Request(method, unquote(target.partition("?")[0]), headers)

    def _length(self, headers: Mapping[str, str]) -> int:
        if "transfer-encoding" in headers:
            what = "The request has a Transfer-Encoding; send its body with a Content-Length."
            raise Refused(HTTPStatus.LENGTH_REQUIRED, what)
        told = headers.get("content-length", "0")
        if not re.fullmatch(r"[0-9]{1,18}", told):
            raise Refused(HTTPStatus.BAD_REQUEST, "The Content-Length of the request is no number.")
        if int(told) > self.most_bytes:
            what = f"The request has {int(told)} bytes, at most {self.most_bytes} are taken; shorten or split it."
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, what, code="request_too_large")
        return int(told)

    async def answer(self, status: HTTPStatus, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        """Send a whole answer of JSON. Raises OSError, asyncio.TimeoutError where nobody takes it."""
        given = {"Content-Type": "application/json", "Content-Length": str(len(body)), **(headers or {})}
        self._head(status, given)
        await self._send(body)

    async def begin_events(self) -> None:
        """Begin an answer of server-sent events (WHATWG HTML, 9.2)."""
        self.keep = self.keep and self._chunked
        given = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"}
        self._head(HTTPStatus.OK, {**given, **({"Transfer-Encoding": "chunked"} if self._chunked else {})})
        await self._send(b"")

    async def event(self, data: bytes) -> None:
        """Send one event of one line."""
        event = b"data: " + data + b"\n\n"
        await self._send(b"%x\r\n%b\r\n" % (len(event), event) if self._chunked else event)

    async def end_events(self) -> None:
        """End the answer."""
        await self._send(b"0\r\n\r\n" if self._chunked else b"")

    def _head(self, status: HTTPStatus, headers: Mapping[str, str]) -> None:
        kept = {"Date": formatdate(usegmt=True), "Connection": "keep-alive" if self.keep else "close", **headers}
        lines = [f"HTTP/1.1 {status.value} {status.phrase}", *(f"{name}: {value}" for name, value in kept.items())]
        self.writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))

    async def _send(self, data: bytes) -> None:
        self.writer.write(data)
        await asyncio.wait_for(self.writer.drain(), self.idle_s)

    async def close(self) -> None:
        """End the connection; what a refused client still sends is read first, lest it never sees the answer."""
        with suppress(OSError, asyncio.TimeoutError):
            if self._unread and self.writer.can_write_eof():
                self.writer.write_eof()
                await asyncio.wait_for(self._linger(), _LINGER_S)
        self.writer.close()

    async def _linger(self) -> None:
        left = _LINGER_BYTES
        while left > 0 and (data := await self.reader.read(2**16)):
            left -= len(data)


def _headers(lines: list[str]) -> dict[str, str]:
    """Raises Refused."""
    headers: dict[str, str] = {}
    for line in lines:
        found = _HEADER.fullmatch(line)
        if not found:
            raise Refused(HTTPStatus.BAD_REQUEST, "A header of the request is malformed.")
        name, value = found[1].lower(), found[2].rstrip(" \t")
        if name in headers and name in _ONCE:
            raise Refused(HTTPStatus.BAD_REQUEST, f"The header {name} stands twice in the request.")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers
