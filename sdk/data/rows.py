"""Labelled data and plain texts from files, as people save them: every command reads a file in the same way.

What a file is, its name and its first bytes tell: cells between tabs, commas or semicolons (`edgewright.data.tables`),
lines or arrays of JSON, SQuAD's JSON, Parquet, a directory of `datasets`; anything else holds a text a line.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from edgewright.data import arrow
from edgewright.data.encodings import encoding_of
from edgewright.data.hub_dataset import fetched, is_address
from edgewright.data.tables import SURPLUS, Table, named, table_of
from edgewright.errors import DataError, one_line
from edgewright.system.files import MAX_LINE_BYTES, capped_lines, is_lfs_pointer, plain, read_capped, sha256
from edgewright.system.notices import log
from edgewright.system.words import counted
from edgewright.text.encoding import pair

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from edgewright.tasks import Example, Task

__all__ = [
    "File",
    "called",
    "examples",
    "fingerprint",
    "given",
    "is_table",
    "items",
    "opened",
    "rows",
    "shared",
    "stream",
    "texts",
]

"""What a file was read as, once for each; the command line shows it."""

_SUFFIXES: dict[str, str] = {
    **dict.fromkeys((".tsv", ".tab"), "tsv"),
    ".csv": "csv",
    **dict.fromkeys((".jsonl", ".ndjson", ".json"), "json"),
    **dict.fromkeys((".parquet", ".pq"), "parquet"),
}
_DELIMITERS = {"tsv": ("\t",), "csv": (",", ";", "\t")}
_TEXTS = ("text", "sentence", "sentence1", "premise", "question1", "question", "query", "tokens", "words", "source")
_LABELS = ("label", "labels", "score", "tags", "ner_tags", "entities", "answers")
_ITEMS = (("query", "texts"), ("sequence", "candidate_labels"), ("text", "candidate_labels"))
"""Columns of items that are more than a text or a pair: of text-ranking, of zero-shot-classification."""

_COLUMNS = {"EDGEWRIGHT_TEXT_COLUMN": "text", "EDGEWRIGHT_LABEL_COLUMN": "label"}
"""Variables that say what a file calls its columns: children of a command read the same files, in its environment."""

_PIPE_S = 30.0
"""A choice: whoever fills a pipe has begun by then, and no command hangs for ever on one that nobody fills."""
_MAX_WHOLE_BYTES = 2**28
"""A choice, of arrays of JSON: SQuAD's own files have some 40 MB, and are read whole."""

_Kind = Literal["lines", "cells", "json lines", "json", "squad", "parquet", "datasets"]


@dataclass(frozen=True)
class File:
    """A data file, and how it is read: decided once, by all of it.

    Attributes:
        kind: what it is.
        encoding: of its text.
        table: the dialect of cells.
        columns: names of columns as the file has them, and those that they stand for, see `called`.
    """

    path: Path
    kind: _Kind
    encoding: str = ""
    table: Table | None = None
    columns: tuple[tuple[str, str], ...] = ()

    @property
    def said(self) -> str:
        """What it was read as, in a line."""
        known = {
            "lines": "a text a line", "json lines": "JSON, an object a line", "json": "an array of JSON",
            "squad": "SQuAD's JSON", "parquet": "Parquet", "datasets": "a directory of datasets",
        }  # fmt: skip
        words = self.table.said if self.table else known[self.kind]
        encoding = {"": "", "utf-8": "", "utf-8-sig": "UTF-8 with a byte order mark"}.get(self.encoding, "UTF-16")
        return f"{self.path.name}: {', '.join(filter(None, (words, encoding)))}"

    def rows(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """The rows by the names of their columns, in lower case, each with its line. Raises DataError, MissingExtra."""
        try:
            yield from ((number, self._named(row, number)) for number, row in self._rows())
        except OSError as error:
            raise DataError(f"cannot read {self.path}: {error.strerror or error}") from error

    def _rows(self) -> Iterator[tuple[int, dict[str, Any]]]:
        if self.table:
            yield from self.table.rows()
        elif self.kind == "lines":
            yield from ((number, {"text": line}) for number, line in self.lines())
        elif self.kind == "squad":
            yield from enumerate(_squad(_whole(self)), start=1)
        elif self.kind in ("parquet", "datasets"):
            read = arrow.rows if self.kind == "parquet" else arrow.saved_rows
            yield from ((number, _row(row, number)) for number, row in read(self.path))
        else:
            yield from ((number, _row(value, number)) for number, value in self._values())

    def _named(self, row: dict[str, Any], number: int) -> dict[str, Any]:
        """A row whose columns have the names that they stand for; others of these names are left out."""
        if not self.columns:
            return row
        missing = [name for name, _ in self.columns if name not in row]
        if missing:
            found = ", ".join(map(str, row))
            what = f"line {number} of {self.path} has no column {', '.join(missing)}, found {found}"
            raise DataError(what, hint="name one of those")
        taken = {name for pair in self.columns for name in pair}
        others = {name: value for name, value in row.items() if name not in taken}
        return {**others, **{new: row[old] for old, new in self.columns}}

    def values(self) -> Iterator[tuple[int, Any]]:
        """The values of JSON, whatever they are; objects as `rows` has them, where columns are named.

        Raises DataError, OSError.
        """
        for number, value in self._values():
            named = self.columns and isinstance(value, dict)
            yield number, self._named(_row(value, number), number) if named else value

    def _values(self) -> Iterator[tuple[int, Any]]:
        if self.kind == "json":
            yield from enumerate(_json(_whole(self), 1), start=1)
            return
        yield from ((number, _json(line, number)) for number, line in self.lines())

    def lines(self) -> Iterator[tuple[int, str]]:
        """The lines that are not blank, without their ends, numbered from 1."""
        with io.TextIOWrapper(plain(self.path), encoding=self.encoding, newline="") as file:
            for number, line in enumerate(capped_lines(file, str(self.path), DataError), start=1):
                if line.strip():
                    yield number, line.rstrip("\r\n")


def opened(path: str | Path) -> File:
    """How a data file is read; said once in a log.

    Raises:
        DataError: it cannot be read, is in an encoding or of a kind that is not known, or can be read in two ways.
    """
    found = fetched(str(path)) if is_address(str(path)) else Path(path)
    try:
        status = os.stat(found)  # noqa: PTH116 - by its three numbers
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}", hint=_instead_of(found)) from error
    return _opened(found, (status.st_ino, status.st_size, status.st_mtime_ns), _columns())


def _instead_of(path: Path) -> str:
    """What may be meant by the name of a file that is not there."""
    if str(path) == "-":
        return "give a file, which is read more than once; standard input is for run --input"
    hub = not path.is_absolute() and not path.suffix
    return f"a data set of the hub is hf://{path}:SPLIT" if hub else ""


@lru_cache(maxsize=64)
def _opened(path: Path, _: tuple[int, ...], columns: tuple[tuple[str, str], ...]) -> File:
    """As `opened`; once for each state of a file, as it may be long and is read for this."""
    found = _directory(path) if path.is_dir() else _file(path, {name for name, _ in columns})
    log("data").info("%s", found.said)
    if columns and found.kind == "lines":
        names = " and ".join(name for name, _ in columns)
        raise DataError(f"{path} was read as a text a line, and has no column {names}", hint=_HEADER)
    return replace(found, columns=columns)


def _columns() -> tuple[tuple[str, str], ...]:
    return tuple(
        (plain, new) for name, new in _COLUMNS.items() if (plain := os.environ.get(name, "").strip().casefold())
    )


@contextmanager
def called(text: str = "", label: str = "") -> Iterator[None]:
    """Until it ends, files are read whose columns of texts and of labels are called so, here and in children."""
    before = {name: os.environ.get(name) for name in _COLUMNS}
    os.environ.update(dict(zip(_COLUMNS, (text, label), strict=True)))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            os.environ.update({} if value is None else {name: value})


def _directory(path: Path) -> File:
    if arrow.parts_of(path):
        return File(path, "datasets")
    names = arrow.splits(path)
    if names:
        raise DataError(f"{path} has the splits {', '.join(names)}", hint=f"give one of them: {path / names[0]}")
    raise DataError(f"cannot read {path}: Is a directory", hint="give a file, or what `datasets` saved to disk")


def _file(path: Path, named_so: set[str]) -> File:
    if is_lfs_pointer(path):
        raise DataError(f"{path} is a pointer of git-lfs", hint="git has not fetched the file: git lfs pull")
    suffix = _SUFFIXES.get(path.suffix.lower(), "")
    if suffix == "parquet":
        return File(path, "parquet")
    encoding = encoding_of(path, lines=suffix != "json")
    try:
        if suffix == "json":
            return File(path, _kind_of_json(path, encoding), encoding)
        known = named_so or {*_TEXTS, *_LABELS}
        table = table_of(path, encoding, _DELIMITERS.get(suffix, ("\t", ",", ";")), known)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    if suffix or _has_header(table, named_so):
        return File(path, "cells", encoding, table)
    return File(path, "lines", encoding)


def _has_header(table: Table, named_so: set[str]) -> bool:
    """Whether a file that no ending calls a table has the header of one: a column of texts, and another known one."""
    names = named(table.header, table.path)
    if named_so & {*names}:
        return True
    return len(names) > 1 and bool({*names} & {*_TEXTS}) and bool({*names} & {*_LABELS, "text_pair", "sentence2", "id"})


def _kind_of_json(path: Path, encoding: str) -> _Kind:
    """Lines, an array or SQuAD: by the first character, and of a brace by whether the first line is whole."""
    with io.TextIOWrapper(plain(path), encoding=encoding) as file:
        while (line := file.readline(MAX_LINE_BYTES)) and not line.strip():  # SQuAD's own files are a single line
            pass
    begin = line.lstrip()[:1]
    if path.suffix.lower() != ".json" and not (begin == "[" and _is(line, list) is not True):
        return "json lines"
    if begin == "[":
        return "json"
    return "json lines" if _is(line, dict) and "data" not in json.loads(line) else "squad"


def _is(line: str, kind: type) -> bool:
    try:
        return isinstance(json.loads(line), kind)
    except (ValueError, RecursionError):
        return False


def rows(path: str | Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of a file by the names of their columns, see `File.rows`. Raises DataError; MissingExtra for Parquet."""
    return opened(path).rows()


def is_table(path: str | Path) -> bool:
    """Whether a file holds rows with columns, or else a text a line. Raises DataError."""
    return opened(path).kind != "lines"


def examples(path: str | Path, task: Task) -> list[Example]:
    """Every row of a data file as an example of `task`.

    A `.json` file may be one of SQuAD (Rajpurkar et al. 2016): a row for each question, with its context and answers.

    Raises:
        DataError: no such file, no rows, or broken rows, named by line number.
    """
    return list(stream(path, task))


def stream(path: str | Path, task: Task) -> Iterator[Example]:
    """The same rows one by one, for files that shall not be held in memory. Raises DataError, at the end."""
    file, found, broken, first = opened(path), 0, 0, []
    if file.kind == "lines" and not task.lines:
        columns = " and ".join(" or ".join(names) for names in task.columns)
        raise DataError(f"{path} was read as a text a line, {task.name} needs the columns {columns}", hint=_HEADER)
    task = _deciding(file, task)
    for number, row in file.rows():
        try:
            one = _example(task, row, file)
        except DataError as error:
            broken += 1
            first += [f"line {number}: {error}"] if broken <= 3 else []
            continue
        found += 1
        yield one
    if broken:
        more = f" and {broken - 3} more" if broken > 3 else ""
        what = f"{path} has {counted(broken, 'broken row')}: {'; '.join(first)}{more}"
        raise DataError(what, hint="mend or remove them")
    if not found:
        raise DataError(f"{path} has no rows", hint="a header line and at least one row are needed")


_HEADER = "begin with a line of their names, tabs between, or write .jsonl"


def _deciding(file: File, task: Task) -> Task:
    """The task that reads labels as the file writes them: names or numbers, lists or vectors, for all of it."""
    if file.kind == "lines":
        return task
    every = (task.raw_label(row) for _, row in islice(file.rows(), _MOST_LOOKED_AT))
    return task.reading(list({repr(one): one for one in every if one is not None}.values()))


_MOST_LOOKED_AT = 100_000
"""Rows whose labels are looked at to decide how they are written: enough for every label to be met, and soon read."""


def _example(task: Task, row: dict[str, Any], file: File) -> Example:
    if file.table and _empty(row):
        raise DataError("its text is empty")
    example = task.example(row)
    if SURPLUS in row:
        raise DataError(f"{len(row[SURPLUS])} cells more than the header has columns")
    return example


def _empty(row: Mapping[str, Any]) -> bool:
    """Whether a row of cells lacks a text: an empty cell is what is left of a missing value."""
    return any(row.get(name) == "" for name in _TEXTS)


def items(path: str | Path | None) -> Iterator[Any]:
    """Items from a file, or from standard input: the text or pair of each row, or a text a line.

    Blank lines are left out. From standard input and pipes each item comes as soon as its line is there, and bytes that
    are not UTF-8 become U+FFFD.

    Raises:
        DataError: no such file, or a line that holds no text; names its number.
    """
    if path is None or _flows(Path(path)):
        yield from _flowing(path)
        return
    file = opened(path)
    if file.kind == "lines":
        yield from (line for _, line in file.lines())
    elif file.kind in ("json lines", "json"):
        yield from (_item(value, number) for number, value in file.values())
    else:
        yield from (_item({} if file.table and _empty(row) else row, number) for number, row in file.rows())


def _flows(path: Path) -> bool:
    try:
        return stat.S_ISFIFO(path.stat().st_mode) or stat.S_ISCHR(path.stat().st_mode)
    except OSError:
        return False


def _flowing(path: str | Path | None) -> Iterator[Any]:
    jsonl = path is not None and Path(path).suffix.lower() == ".jsonl"
    try:
        raw = plain(Path(path), pipe_s=_PIPE_S) if path else open(0, "rb", closefd=False)  # noqa: SIM115 - closed below
        with io.TextIOWrapper(raw, encoding="utf-8-sig", errors="replace") as file:
            lines = capped_lines(file, str(path or "standard input"), DataError)
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield _item(_json(line, number), number) if jsonl else line.rstrip("\r\n")
    except OSError as error:
        raise DataError(f"cannot read {path or 'standard input'}: {error.strerror}") from error


def texts(path: str | Path) -> list[Any]:
    """The texts of a file: the text or pair of texts in each row of a file of rows, else each line.

    Raises:
        DataError: no such file, or no text in it.
    """
    file = opened(path)
    if file.kind in ("json lines", "json"):
        every = (given(_row(v, n)) if isinstance(v, dict) else v for n, v in file.values())
    else:
        every = (given(row) for _, row in file.rows())
    found = [one for one in every if one]
    if not found:
        raise DataError(f"{path} holds no texts", hint="a text a line, or a column `sentence` or `text`")
    return found


def given(row: Mapping[str, Any]) -> Any:
    """What a row asks: a pair, a text, or tokens joined by spaces, or more for tasks of more; None for none of them."""
    for names in _ITEMS:
        if all(row.get(name) is not None for name in names):
            return {name: row[name] for name in names}
    words = row.get("tokens")
    joined = " ".join(map(str, words)) if isinstance(words, list) else None
    return pair(row) or row.get("text", row.get("sentence", row.get("source", joined)))


def shared(train: str | Path, dev: str | Path) -> tuple[int, int]:
    """How many rows of `dev` have a text that `train` has too, and how many it has; said in a log where there are some.

    Raises:
        DataError: a file cannot be read.
    """
    asked = [repr(given(row)) for _, row in rows(dev)]
    known = set(asked) & {repr(given(row)) for _, row in rows(train)}
    both = sum(one in known for one in asked)
    if both:
        names = (Path(dev).name, Path(train).name)
        what = "%s of the %s rows of %s are rows of %s too: a score on them says little of others"
        log("data").warning(what, both, len(asked), *names)
    return both, len(asked)


def fingerprint(path: str | Path) -> str:
    """A hash over the bytes of a data file, or of the files of a directory, and the columns that are read of it.

    Raises DataError.
    """
    file = opened(path)
    if file.kind != "datasets" and not file.columns:
        return sha256(file.path)
    files = arrow.parts_of(file.path) if file.kind == "datasets" else [file.path]
    parts = [*(sha256(part) for part in files), *(f"{old} is {new}" for old, new in file.columns)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _item(value: Any, number: int) -> Any:
    """A text, a pair as {"text", "text_pair"}, or what else a task takes, out of a row. Raises DataError."""
    if isinstance(value, dict):
        value = given(_row(value, number))
    if isinstance(value, tuple) and all(isinstance(part, str) for part in value):
        return dict(zip(("text", "text_pair"), value, strict=True))
    if isinstance(value, (str, dict)):
        return value
    hint = 'write "a text", {"text": "a text"} or {"text": "first", "text_pair": "second"}'
    raise DataError(f"line {number} holds no text", hint=hint)


def _row(value: Any, number: int) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DataError(f"line {number} is not a JSON object")
    return dict(zip(named(list(value), f"line {number}"), value.values(), strict=True))


def _squad(content: str) -> Iterator[dict[str, Any]]:
    """The questions of a file of SQuAD, each with its context."""
    try:
        for paragraph in (part for article in json.loads(content)["data"] for part in article["paragraphs"]):
            yield from ({**asked, "context": paragraph["context"]} for asked in paragraph["qas"])
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        what = f"not a file of SQuAD: {type(error).__name__}: {error}"
        raise DataError(what, hint="rows are an array of objects, or an object a line") from error


def _whole(file: File) -> str:
    return read_capped(file.path, _MAX_WHOLE_BYTES, DataError).decode(file.encoding)


def _json(text: str, number: int) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"line {number} is not JSON: {one_line(str(error))}") from error
