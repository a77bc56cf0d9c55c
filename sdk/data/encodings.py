"""The encoding of a file of text: UTF-8, with a byte order mark or without, or UTF-16; anything else is refused."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

from edgewright.errors import DataError, quoted
from edgewright.system.files import MAX_LINE_BYTES, plain

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

__all__ = ["encoding_of"]

_PIECE = 1 << 20
"""Bytes read at a time: a choice, long enough that reading costs no more than decoding."""
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_AROUND = 20
"""Characters shown before and behind a byte that is not UTF-8: a few words tell whether they were read right."""


def encoding_of(path: Path, *, lines: bool) -> str:
    """The name of the encoding, for `open`; the whole file is read for it.

    Args:
        path: the file.
        lines: whether it is one of lines, none of which may be without end.

    Raises:
        DataError: the file cannot be read, is in another encoding, is no text, or has a line of over `MAX_LINE_BYTES`.
    """
    try:
        with plain(path) as file:
            found = _marked(file.read(4096))
            file.seek(0)
            if found:
                _check_decodes(path, file, found)
                return found
            decoder, line, length = codecs.getincrementaldecoder("utf-8")(), 1, 0
            while piece := file.read(_PIECE):
                if b"\0" in piece:
                    raise DataError(f"{path} is no text: it has NUL bytes", hint="is it a file of another kind?")
                try:
                    decoder.decode(piece)
                except UnicodeDecodeError as error:
                    raise _other(path, line, error) from error
                line += piece.count(b"\n")
                length = len(piece) - 1 - piece.rfind(b"\n") if b"\n" in piece else length + len(piece)
                if lines and length > MAX_LINE_BYTES:
                    what = f"line {line} of {path} has over {MAX_LINE_BYTES} bytes"
                    raise DataError(what, hint="is it a file of lines?")
            decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise _other(path, line, error) from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    return "utf-8"


def _check_decodes(path: Path, file: BinaryIO, encoding: str) -> None:
    """Raise DataError where a file is not in the encoding that its first bytes tell, to the last of them."""
    decoder, read = codecs.getincrementaldecoder(encoding)(), 0
    try:
        while piece := file.read(_PIECE):
            read += len(piece)
            decoder.decode(piece)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        at = read - len(error.object) + error.start  # a decoder keeps what a piece began of a character
        what = f"{path} begins as {encoding.upper()} and is not: {error.reason} at byte {at}"
        raise DataError(what, hint="was it copied whole? save it as UTF-8") from error


def _marked(begin: bytes) -> str:
    """What the first bytes tell: a byte order mark, or a NUL in each pair of bytes as UTF-16 has of Latin letters."""
    for mark, name in _MARKS:
        if begin.startswith(mark):
            return name
    pairs = len(begin) // 2
    for first, name in ((1, "utf-16-le"), (0, "utf-16-be")):
        zeros = begin[first : 2 * pairs : 2].count(0)
        if pairs and zeros > 0.7 * pairs and begin[1 - first : 2 * pairs : 2].count(0) == 0:
            return name
    return ""


def _other(path: Path, line: int, error: UnicodeDecodeError) -> DataError:
    """The error for bytes that are not UTF-8, with what they are in the encoding that Windows had before."""
    data, at = error.object, error.start
    line += data[:at].count(b"\n")
    begin = max(at - _AROUND, data.rfind(b"\n", 0, at) + 1)
    words = data[begin : at + _AROUND].split(b"\n")[0].decode("cp1252", "replace")
    what = f"{path} is not UTF-8: line {line} has the byte 0x{data[at]:02X}; as Windows-1252 it reads {quoted(words)}"
    return DataError(what, hint="save it as UTF-8; if those words are right: iconv -f WINDOWS-1252 -t UTF-8")
