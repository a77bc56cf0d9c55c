"""Engines print to standard error what concerns their authors."""

from __future__ import annotations

import contextlib
import ctypes
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["quiet"]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what the engines' C++ prints while they prepare a graph off standard error: it is not meant for users."""
    saved, sink, c = os.dup(2), os.open(os.devnull, os.O_WRONLY), ctypes.CDLL(None)
    try:
        os.dup2(sink, 2)
        yield
    finally:
        c.fflush(None)  # what they print through C's streams may still lie in a buffer
        os.dup2(saved, 2)
        os.close(saved)
        os.close(sink)
