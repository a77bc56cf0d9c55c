"""Files on their way to a board: who may send, which are wanted, and an end that the board hears of."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from edgewright.boards.answers import Ended, Prepared
from edgewright.boards.board import alive, given_up
from edgewright.errors import DeviceError, EdgewrightError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from edgewright.boards.board import Board

__all__ = ["ending", "prepared", "send"]

_END_S = 10.0


def prepared(board: Board, op: str, request: dict[str, Any], within_s: float) -> Prepared:
    """Ask which files the board wants, until no one is busy but senders of this host that have ended."""
    over = ""
    while True:
        found = board.ask(op, Prepared, within_s=within_s, over=over, **request)
        busy = found.busy
        if busy is None:
            return found
        if alive(busy) or over == busy.token:
            what = f"{busy.who} is sending to this board, the last bytes came {busy.quiet_s:.0f} s ago"
            raise DeviceError(what, hint="wait for it; after 30 s of silence it is taken for gone")
        over = busy.token


def send(board: Board, wanted: Prepared, files: Mapping[str, Path], progress: Callable[[str], None]) -> None:
    """Send what is wanted of `files`, which are named by their hash."""
    for file in wanted.missing:
        here = files.get(file.sha256)
        if here is None:
            raise DeviceError(f"the board asks for {file.path}, which is not in the bundle")
        progress(f"send {file.path}, {file.size_bytes / 1e6:.1f} MB")
        board.transport.push(here, f"{wanted.incoming}/{file.sha256}")


@contextmanager
def ending(board: Board) -> Iterator[None]:
    """Tell the board when a transfer failed here, so that others need not wait; what has arrived stays there."""
    try:
        yield
    except BaseException:
        given_up.add(board.token)
        with suppress(EdgewrightError):
            board.ask("end", Ended, within_s=_END_S)
        raise
