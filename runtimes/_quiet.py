"""Engines print to standard error what concerns their authors."""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["quiet"]


_turn = threading.Lock()
_saved: list[int] = []
"""What standard error was, a copy for each thread that is inside: the last one to leave puts it back."""


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what the engines' C++ prints while they prepare a graph off standard error: it is not meant for users."""
    with _turn:
        before = os.dup(_saved[0] if _saved else 2)
        _saved.append(before)
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, 2)
        os.close(sink)
    try:
        yield
    finally:
        ctypes.CDLL(None).fflush(None)  # what they print through C's streams may still lie in a buffer
        with _turn:
            _saved.remove(before)
            if not _saved:
                os.dup2(before, 2)
            os.close(before)
