"""Standard streams as whoever starts a program may leave them: closed, cut off, or of another encoding than UTF-8."""

from __future__ import annotations

import codecs
import os
import sys
from contextlib import suppress

__all__ = ["mend"]

_HALVES = (0xD800, 0xDC00)
"""Where the two halves of a surrogate pair begin (RFC 3629, section 3)."""


def mend() -> None:
    """See that there are three streams, and that they carry every character whatever the locale is.

    A stream that is missing leads to /dev/null: the next file that is opened would take its number, and be written
    into. A pipe or a file gets UTF-8, which is what reads it on the next machine, unless PYTHONIOENCODING says more. A
    terminal of another encoding shows what it can, and the rest as JSON escapes it, so that JSON stays JSON.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        _open(number)
        if getattr(sys, name) is None:
            stream = open(number, mode, encoding="utf-8", closefd=False)  # noqa: SIM115 - it stays open
            setattr(sys, name, stream)
    codecs.register_error("edgewright", _escaped)
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, ValueError):  # a notebook's, or one of a test
            own = stream.isatty() or "PYTHONIOENCODING" in os.environ
            stream.reconfigure(encoding=None if own else "utf-8", errors="edgewright")  # type: ignore[union-attr]


def _open(number: int) -> None:
    """Open a descriptor on /dev/null where it is closed."""
    try:
        os.fstat(number)
    except OSError:
        null = os.open(os.devnull, os.O_RDWR)
        if null != number:
            os.dup2(null, number)
            os.close(null)


def _escaped(error: UnicodeError) -> tuple[str, int]:
    r"""Characters as JSON escapes them: `\u00e9`, above the first plane as a pair."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    wide = error.object[error.start : error.end]
    units = [unit for character in wide for unit in _units(ord(character))]
    return "".join(f"\\u{unit:04x}" for unit in units), error.end


def _units(point: int) -> tuple[int, ...]:
    if point < 0x10000:
        return (point,)
    high, low = divmod(point - 0x10000, 0x400)
    return (_HALVES[0] + high, _HALVES[1] + low)
