"""Documents of files and directories, piece by piece: what a language model is trained on.

A document of a table (.jsonl, .parquet, .tsv, .csv, what `datasets` saved) is the column of texts of one row. A file of
plain text is cut where a separator stands; without one it is a document itself.
"""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from edgewright.data import arrow, rows
from edgewright.data.encodings import encoding_of
from edgewright.errors import DataError
from edgewright.system.files import is_lfs_pointer, plain, sha256

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["END_OF_TEXT", "Documents", "Piece"]

END_OF_TEXT = "<|endoftext|>"
"""What stands between documents in files of the GPT-2 kind, and what a tokenizer that is trained here calls the end."""
_TABLES = (".jsonl", ".ndjson", ".json", ".parquet", ".pq", ".tsv", ".tab", ".csv")
_TEXTS = (".txt", ".text", ".md", ".rst", "")
"""Files of a directory that are read as plain text; other endings are passed over there."""
_READ = 1 << 20
"""Characters read at a time: a choice, long enough that reading costs little beside what is done with them."""
_LONGEST = 1 << 16
"""Characters of a piece: a choice, so that a document without an end, or a line of 10 MB, takes no memory."""


class Piece(NamedTuple):
    """A part of a document, at most 65,536 characters, and whether the document ends with it."""

    text: str
    last: bool


@dataclass(frozen=True)
class Documents:
    """Where the documents of a training lie, and how they are cut; iterated any number of times, in the same order.

    Attributes:
        paths: files, and directories of files, which are read in the order of their names.
        separator: between the documents of plain text; by default `<|endoftext|>` where a file has it in its first
            MiB, and none elsewhere.
        column: of tables.
    """

    paths: tuple[Path, ...]
    separator: str = ""
    column: str = "text"

    @classmethod
    def of(cls, paths: Sequence[str | Path], *, separator: str = "", column: str = "text") -> Documents:
        """The same of names; a backslash with `n` or `t` in a separator is a line break or a tab."""
        meant = separator.replace("\\n", "\n").replace("\\t", "\t")
        return cls(tuple(map(Path, paths)), meant, column)

    def files(self) -> list[Path]:
        """Every file, or directory that `datasets` saved. Raises DataError: there is none."""
        found = [file for path in self.paths for file in _below(path)]
        if not found:
            names = ", ".join(map(str, self.paths)) or "nothing"
            raise DataError(f"{names} holds no text", hint=f"files are taken that end in {', '.join(_TEXTS[:3])}, "
                            f"{', '.join(_TABLES)}")  # fmt: skip
        return found

    def fingerprint(self) -> list[str]:
        """A hash of each file, and how they are cut. Raises DataError."""
        hashes = [rows.fingerprint(path) if _is_table(path) else _hash(path) for path in self.files()]
        return [*hashes, self.separator, self.column]

    def __iter__(self) -> Iterator[Piece]:
        """Every piece. Raises DataError."""
        for path in self.files():
            yield from self._of_table(path) if _is_table(path) else self._of_text(path)

    def _of_table(self, path: Path) -> Iterator[Piece]:
        for number, row in rows.rows(path):
            text = row.get(self.column)
            if self.column not in row:
                what = f"row {number} of {path} has no column {self.column}, found {', '.join(map(str, row))}"
                raise DataError(what, hint="name the column of texts: pretrain --column, eval --text-column")
            if text is not None and not isinstance(text, str):
                kind = type(text).__name__
                raise DataError(f"row {number} of {path} has a {kind} in {self.column}, where a text should be")
            yield from _pieces(text or "")

    def _of_text(self, path: Path) -> Iterator[Piece]:
        if is_lfs_pointer(path):
            raise DataError(f"{path} is a pointer of git-lfs", hint="git has not fetched the file: git lfs pull")
        encoding = encoding_of(path, lines=False)
        try:
            with io.TextIOWrapper(plain(path), encoding=encoding) as file:
                begin = file.read(_READ)
                separator = self.separator or (END_OF_TEXT if END_OF_TEXT in begin else "")
                yield from _cut(begin, file, separator) if separator else _whole(begin, file)
        except OSError as error:
            raise DataError(f"cannot read {path}: {error.strerror or error}") from error


def _below(path: Path) -> list[Path]:
    if not path.is_dir() or arrow.parts_of(path):
        if not os.path.lexists(path):
            raise DataError(f"cannot read {path}: it is not there", hint="give files or directories of text")
        return [path]
    names = arrow.splits(path)
    if names:
        raise DataError(f"{path} has the splits {', '.join(names)}", hint=f"give one of them: {path / names[0]}")
    known = {*_TEXTS, *_TABLES}
    inside = sorted(one for one in path.rglob("*") if one.is_file() and not one.name.startswith("."))
    return [one for one in inside if one.suffix.lower() in known]


def _is_table(path: Path) -> bool:
    return path.is_dir() or path.suffix.lower() in _TABLES


def _hash(path: Path) -> str:
    try:
        return sha256(path)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error


def _cut(begin: str, file: io.TextIOWrapper, separator: str) -> Iterator[Piece]:
    """The documents between separators. A document that is longer than `_READ` is given as it is read."""
    rest, fresh = begin, True
    while True:
        *whole, rest = rest.split(separator)
        for text in whole:
            yield from _pieces(text, fresh=fresh)
            fresh = True
        more = file.read(_READ)
        if not more:
            yield from _pieces(rest, fresh=fresh)
            return
        if len(rest) > _READ:
            now, rest = rest[: 1 - len(separator) or None], rest[len(rest) + 1 - len(separator) :]
            yield from _pieces(now, fresh=fresh, last=False)
            fresh = False
        rest += more


def _whole(begin: str, file: io.TextIOWrapper) -> Iterator[Piece]:
    """A file that is one document."""
    now, fresh = begin, True
    while now:
        more = file.read(_READ)
        yield from _pieces(now, fresh=fresh, last=not more)
        now, fresh = more, False


def _pieces(text: str, *, fresh: bool = True, last: bool = True) -> Iterator[Piece]:
    """A text in pieces that end before a blank, if there is one; white space around a document is left out."""
    text = text.lstrip() if fresh else text
    text = text.rstrip() if last else text
    while len(text) > _LONGEST:
        end = text.rfind(" ", 1, _LONGEST)
        end = _LONGEST if end < 0 else end
        yield Piece(text[:end], last=False)
        text = text[end:]
    if text or (last and not fresh):
        yield Piece(text, last)
