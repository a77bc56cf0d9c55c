"""Files on their way to a board: who may send, which are wanted, and an end that the board hears of."""

from __future__ import annotations

import os
import secrets
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from edgewright.boards.board import here
from edgewright.contracts.board import End
from edgewright.errors import DeviceError, EdgewrightError
from edgewright.system.words import human

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from edgewright.boards.board import Board
    from edgewright.contracts.board import Offer, Prepare
    from edgewright.contracts.board_answers import Prepared, Sender

__all__ = ["Transfer"]

_END_S = 10.0
"""A board that does not hear of an end finds it out itself, 30 s later: more is not worth waiting for."""

_given_up: set[str] = set()
"""The tokens of transfers that this process gave up; a board whose connection broke may not know it."""


@dataclass(frozen=True)
class Transfer:
    """One transfer to a board, by a token of its own."""

    board: Board
    token: str = field(default_factory=lambda: secrets.token_hex(8))

    def prepared(self, request: Prepare | Offer, within_s: float) -> Prepared:
        """Ask which files the board wants, until no one is busy but senders of this host that have ended."""
        while True:
            found = self.board.answer(request, within_s=within_s)
            busy = found.busy
            if busy is None:
                return found
            if _alive(busy) or request.over == busy.token:
                what = f"{busy.who} is sending to this board, the last bytes came {busy.quiet_s:.0f} s ago"
                raise DeviceError(what, hint="wait for it; after 30 s of silence it is taken for gone")
            request = replace(request, over=busy.token)

    def send(self, wanted: Prepared, files: Mapping[str, Path], progress: Callable[[str], None]) -> None:
        """Send what is wanted of `files`, which are named by their hash."""
        for file in wanted.missing:
            source = files.get(file.sha256)
            if source is None:
                raise DeviceError(f"the board asks for {file.path}, which is not in the bundle")
            progress(f"send {file.path}, {human(file.size_bytes)}")
            self.board.way.push(source, f"{wanted.incoming}/{file.sha256}")

    @contextmanager
    def ending(self) -> Iterator[None]:
        """Tell the board when it failed here, so that others need not wait; what has arrived stays there."""
        try:
            yield
        except BaseException:
            _given_up.add(self.token)
            with suppress(EdgewrightError):
                self.board.answer(End(self.token), within_s=_END_S)
            raise


def _alive(sender: Sender) -> bool:
    """Whether a sender may still be at work; False only for one of this process that gave up, or an ended one here."""
    if sender.token in _given_up:
        return False
    if sender.host != here().host:
        return True
    try:
        os.kill(sender.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
