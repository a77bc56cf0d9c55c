"""Cells between tabs, commas or semicolons under a header, in the dialects that pandas, Excel and Google Sheets write.

In a .csv file quotes are RFC 4180's. Between tabs they may be that, or a part of the text, and nothing in the file says
which. These rules decide, for the whole file:

- A file in which one of the two readings breaks rows is read in the other.
- Writers quote a cell for a reason: a quote, a tab or a line break in it; Excel for a comma, too, and then every cell
  with a comma; or they quote all cells, those of the header with them. A cell between quotes without a reason is text.
- Writers quote every cell that has a quote in it. Where one has it in the middle, quotes are text.

What speaks for both is refused with both readings.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgewright.errors import DataError, quoted
from edgewright.system.files import plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import TextIO

__all__ = ["SURPLUS", "Table", "named", "table_of"]

SURPLUS = "surplus cells"
"""The key of cells that the header has no column for."""
_DELIMITERS = {"\t": "tab-separated", ",": "comma-separated", ";": "separated by semicolons"}
_INDEX = ("", "unnamed: 0")
"""Columns that pandas makes of an index, as it writes it and as it reads that again."""
_EXCEL = re.compile(r"sep=([,;\t])\s*$")
"""The first line of files that tell Excel their separator."""


@dataclass(frozen=True)
class Table:
    """How a file of cells is read.

    Attributes:
        encoding: for `open`.
        delimiter: between cells.
        quotes: whether quotes around a cell are no part of it.
        skipped: lines before the header.
        header: the columns as they are written.
    """

    path: Path
    encoding: str
    delimiter: str
    quotes: bool
    skipped: int
    header: tuple[str, ...]

    def rows(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Each row by the names of its columns, see `named`, with the number of its line. Raises DataError, OSError."""
        names = named(self.header, self.path)
        with io.TextIOWrapper(plain(self.path), encoding=self.encoding, newline="") as file:
            for number, cells in _told(self._reader(file), self.path):
                if not cells:
                    continue
                row: dict[str, Any] = {n: cell for n, cell in zip(names, cells, strict=False) if n not in _INDEX}
                if len(cells) > len(names):
                    row[SURPLUS] = cells[len(names) :]
                yield number + self.skipped, row

    def _reader(self, file: TextIO) -> Any:
        for _ in range(self.skipped):
            file.readline()
        return _reader(file, self.delimiter, quotes=self.quotes)

    @property
    def said(self) -> str:
        """The dialect in words."""
        quotes = {True: "quoted cells", False: "quotes are text"}[self.quotes] if self.delimiter == "\t" else ""
        index = "an index column is left out" if {*map(_plain, self.header)} & {*_INDEX} else ""
        return ", ".join(filter(None, (_DELIMITERS[self.delimiter], quotes, index)))


def named(header: Sequence[str], where: object) -> list[str]:
    """Names of columns without their case and the spaces around them. Raises DataError where two become one."""
    names = [_plain(name) for name in header]
    twice = sorted({name for name in names if names.count(name) > 1 and name not in _INDEX})
    if twice:
        known = ", ".join(quoted(str(name)) for name in header if _plain(name) in twice)
        raise DataError(f"{where} has the columns {known}, which are one name", hint="rename or remove one")
    return names


def _plain(name: object) -> str:
    return str(name).strip().casefold()


def table_of(path: Path, encoding: str, delimiters: Sequence[str], known: set[str]) -> Table:
    """How a file is read: between the delimiter that gives its header most of the `known` columns, then most columns.

    Raises:
        DataError: two readings with known columns are as good.
        OSError: it cannot be read.
    """
    with io.TextIOWrapper(plain(path), encoding=encoding, newline="") as file:
        first = file.readline()
        told = _EXCEL.match(first)
        lines, skipped = (file.readline() if told else first), int(bool(told))
    if not lines.strip():
        return Table(path, encoding, delimiters[0], quotes=False, skipped=skipped, header=())
    if told:
        delimiters = (told.group(1),)
    found = [(delimiter, _cells(lines, delimiter)) for delimiter in delimiters]
    rated = [(len(known & {*map(_plain, cells)}), len(cells)) for _, cells in found]
    best = max(rated, default=(0, 0))
    delimiter, header = found[rated.index(best)]
    if best[0] and best[1] > 1 and rated.count(best) > 1:
        readings = " or ".join(f"{_DELIMITERS[d]}: {', '.join(cells)}" for d, cells in found)
        raise DataError(f"the header of {path} can be read as {readings}", hint="rename the columns")
    quotes = delimiter != "\t" or _quotes(path, encoding, skipped)
    cells = _cells(lines, delimiter) if quotes else lines.rstrip("\r\n").split(delimiter)
    return Table(path, encoding, delimiter, quotes, skipped, tuple(cells) if header else ())


def _reader(file: Any, delimiter: str, *, quotes: bool) -> Any:
    if quotes:
        return csv.reader(file, delimiter=delimiter, strict=True)
    return csv.reader(file, delimiter=delimiter, quoting=csv.QUOTE_NONE, strict=True)


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        return next(_reader([line], delimiter, quotes=True), [])
    except csv.Error:
        return line.rstrip("\r\n").split(delimiter)


def _told(reader: Any, path: Path) -> Iterator[tuple[int, list[str]]]:
    """The rows behind the header, with the numbers of their lines."""
    try:
        next(reader, None)
        for cells in reader:
            yield reader.line_num, cells
    except csv.Error as error:
        what = f"cannot read {path}: line {reader.line_num}: {error}"
        raise DataError(what, hint="is a quote not closed, or not doubled within quotes?") from error


@dataclass
class _Evidence:
    """What the cells of a file between tabs say about its quotes: of each kind the first cell.

    Attributes:
        width: cells of the header.
        ragged: whether a line has another number of cells.
        header: whether a cell of the header is quoted.
        reason: a cell between quotes with doubled quotes inside.
        comma: one with a comma inside.
        without: one with neither.
        bare_quote: a cell with a quote that is not between quotes.
        bare_comma: whether a cell with a comma is not between quotes.
    """

    width: int
    ragged: bool = False
    header: bool = False
    reason: str = ""
    comma: str = ""
    without: str = ""
    bare_quote: str = ""
    bare_comma: bool = False

    def see(self, line: str, *, first: bool = False) -> None:
        cells = line.rstrip("\r\n").split("\t")
        self.ragged |= len(cells) != self.width
        for cell in cells:
            inner = cell[1:-1] if len(cell) > 1 and cell[0] == cell[-1] == '"' else None
            if inner is None or '"' in inner.replace('""', ""):
                self.bare_quote = self.bare_quote or (cell if '"' in cell else "")
                self.bare_comma |= "," in cell
            elif first:
                self.header = True
            elif '""' in inner:
                self.reason = self.reason or cell
            elif "," in inner:
                self.comma = self.comma or cell
            else:
                self.without = self.without or cell

    def text(self) -> str:
        """A cell that speaks for quotes to be text, or nothing."""
        return self.bare_quote or self.without or (self.comma if self.bare_comma else "")

    def quoted(self) -> str:
        """A cell that was quoted for a reason, or nothing."""
        return self.reason or ("" if self.bare_comma else self.comma)


def _quotes(path: Path, encoding: str, skipped: int) -> bool:
    """Whether quotes between tabs are those of a dialect. Raises DataError where both readings are as good."""
    with io.TextIOWrapper(plain(path), encoding=encoding, newline="") as file:
        lines = [file.readline() for _ in range(skipped + 1)]
        evidence = _Evidence(lines[-1].count("\t") + 1)
        evidence.see(lines[-1], first=True)
        seen = '"' in lines[-1]
        for line in file:
            seen |= '"' in line
            if line.strip():
                evidence.see(line)
    if not seen:
        return False
    whole = _whole(path, encoding, skipped)
    if not whole or evidence.ragged:
        return whole
    if evidence.header:
        return True
    text, cell = evidence.text(), evidence.quoted()
    if text and cell:
        bare = cell[1:-1].replace('""', '"')
        what = f"{path} has cells whose quotes were added by a writer, as {quoted(cell)} for {quoted(bare)} seems"
        what += f", and cells whose quotes are text, as {quoted(text)} seems"
        raise DataError(what, hint="save it as .csv or .jsonl, where quotes have one meaning")
    return bool(cell)


def _whole(path: Path, encoding: str, skipped: int) -> bool:
    """Whether the file has rows of one width where quotes are those of a dialect."""
    with io.TextIOWrapper(plain(path), encoding=encoding, newline="") as file:
        for _ in range(skipped):
            file.readline()
        try:
            widths = {len(cells) for cells in _reader(file, "\t", quotes=True) if cells}
        except csv.Error:
            return False
    return len(widths) == 1
