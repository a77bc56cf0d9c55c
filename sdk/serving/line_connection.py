"""One client's connection: a line in, a line out, the next one when that is out.

A protocol of asyncio, without a task or streams of its own: beside an inference of a fifth of a millisecond those take
a third of the time.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LineConnection"]


class LineConnection(asyncio.Protocol):
    """A connection that gives out the lines of its client one by one.

    Args:
        most_bytes: of a line.
        asked: called with each line, and the connection; `say` answers it.
        too_long: called with a connection whose client sends more than that; nothing of it is read any more.
        gone: called when the client has gone.

    Attributes:
        asking: whether a line waits for its answer.
        since_s: since when its client has neither said nor taken anything, in seconds of the loop's clock.
    """

    def __init__(
        self,
        most_bytes: int,
        asked: Callable[[LineConnection, bytes], None],
        too_long: Callable[[LineConnection], None],
        gone: Callable[[LineConnection], None],
    ) -> None:
        self._most_bytes, self._asked, self._too_long, self._gone = most_bytes, asked, too_long, gone
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._held = bytearray()
        self._ended = self._full = self._last = False
        self.asking = False
        self.since_s = self._loop.time()

    @property
    def busy(self) -> bool:
        """Whether its client has not got an answer yet that it asked for."""
        return self.asking or self._full

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a socket's is one
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Keep what comes; more than a line is not read before there is an answer."""
        self._held += data
        if not self.busy:
            self._next()
        elif len(self._held) > self._most_bytes:
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        """Answer what was asked: the client may have closed its side alone."""
        self._ended = True
        if not self.busy:
            self._next()
        return True

    def pause_writing(self) -> None:
        """Ask nothing for a client that does not read."""
        self._full = True

    def resume_writing(self) -> None:
        """Go on: it has read."""
        self._full, self.since_s = False, self._loop.time()
        if not self.asking:
            self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever counts."""
        del exc
        self._last = True
        self._held.clear()
        self._gone(self)

    def say(self, line: bytes, *, last: bool = False) -> None:
        """Answer, and go on with what was asked meanwhile, or after the last answer close."""
        if self._last:
            return
        self.asking, self.since_s = False, self._loop.time()
        self._transport.write(line)
        if last:
            self.close()
        elif self._held or self._ended:
            self._loop.call_soon(self._next)  # in its turn: who sends a thousand lines at once keeps no other waiting

    def close(self) -> None:
        """End it as soon as what was said is out."""
        self._last = True
        self._transport.close()

    def abort(self) -> None:
        """End it at once."""
        self._last = True
        self._transport.abort()

    @property
    def left(self) -> bool:
        """Whether nobody hears any more what is said."""
        return self._last

    def _next(self) -> None:
        """Give out the next line, if all of it is there."""
        if self._last or self.busy:
            return
        end = self._held.find(b"\n")
        if (end if end >= 0 else len(self._held)) > self._most_bytes:
            self._held.clear()
            self._transport.pause_reading()
            self._too_long(self)
        elif end >= 0:
            self._give(end + 1)
        elif not self._ended:
            self._transport.resume_reading()
        elif self._held.strip():
            self._give(len(self._held))
        else:
            self.close()

    def _give(self, size: int) -> None:
        line = bytes(self._held[:size])
        del self._held[:size]
        self.asking = True
        self._asked(self, line)
