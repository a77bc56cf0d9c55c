"""What is said beside an answer, such as how a data file was read: records of Python's logging, below `edgewright`.

Most answers come without any. So logging, whose import takes a hundredth of a first answer from cold, is imported by
whoever says something, and the command line makes its handler then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

__all__ = ["before_the_first", "log"]

_waiting: list[Callable[[], None]] = []


def before_the_first(prepare: Callable[[], None]) -> None:
    """Have something called before anything is said, once."""
    _waiting.append(prepare)


def log(room: str) -> logging.Logger:
    """The logger `edgewright.ROOM`, for a notice that is about to be given."""
    import logging

    while _waiting:
        _waiting.pop()()
    return logging.getLogger(f"edgewright.{room}")
