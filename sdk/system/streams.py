"""Standard streams as whoever starts a program may leave them: closed, cut off, or of another encoding than UTF-8."""

from __future__ import annotations

import codecs
import io
import os
import sys

__all__ = ["mend"]


def mend() -> None:
    """See that there are three streams, and that they carry every character whatever the locale is.

    A stream that is missing leads to /dev/null: the next file that is opened would take its number, and be written
    into. A pipe or a file gets UTF-8, which is what reads it on the next machine. A terminal of another encoding shows
    what it can, and the rest as the escapes of JSON, so that an answer stays one.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        _open(number)
        if getattr(sys, name) is None:
            stream = open(number, mode, encoding="utf-8", closefd=False)  # noqa: SIM115 - it stays open
            setattr(sys, name, stream)
    codecs.register_error("json", _escaped)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a notebook's is another one
            encoding = stream.encoding if stream.isatty() else "utf-8"
            stream.reconfigure(encoding=encoding, errors="json")


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
    """What an encoding has not, in the escapes of JSON, which has them in UTF-16."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    pairs = (units[at : at + 2].hex() for at in range(0, len(units), 2))
    return "".join(f"\\u{pair}" for pair in pairs), error.end
