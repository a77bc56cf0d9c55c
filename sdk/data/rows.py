"""Labelled data and plain texts from files: TSV with a header, JSONL, Parquet, SQuAD's JSON, or one text a line."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

from edgewright.data import parquet
from edgewright.errors import DataError
from edgewright.text.encoding import pair

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from edgewright.tasks import Example, Task

__all__ = ["TABLES", "examples", "given", "items", "rows", "stream", "texts"]

_SURPLUS = "surplus cells"
TABLES = (".tsv", ".jsonl", ".json", ".parquet")
"""How files of rows end; others hold a text a line."""


def examples(path: Path, task: Task) -> list[Example]:
    """Every row of a `.tsv` file with a header, of a `.jsonl` or a `.parquet` file, as examples of `task`.

    A `.json` file is one of SQuAD (Rajpurkar et al. 2016): a row for each question, with its context and answers.

    Raises:
        DataError: no such file, no rows, or broken rows, named by line number.
    """
    return list(stream(path, task))


def stream(path: Path, task: Task) -> Iterator[Example]:
    """The same rows one by one, for files that shall not be held in memory. Raises DataError, at the end."""
    found, broken, first = 0, 0, []
    for number, row in _lined(path) if task.lines and path.suffix not in TABLES else rows(path):
        try:
            one = _example(task, row)
        except DataError as error:
            broken += 1
            first += [f"line {number}: {error}"] if broken <= 3 else []
            continue
        found += 1
        yield one
    if broken:
        more = f" and {broken - 3} more" if broken > 3 else ""
        raise DataError(f"{path} has {broken} broken rows: {'; '.join(first)}{more}", hint="mend or remove them")
    if not found:
        raise DataError(f"{path} has no rows", hint="a header line and at least one row are needed")


def _lined(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Plain lines as rows with a text."""
    yield from ((number, {"text": line.rstrip("\r\n")}) for number, line in _lines(path))


def _example(task: Task, row: dict[str, Any]) -> Example:
    example = task.example(row)
    if _SURPLUS in row:
        raise DataError(f"{len(row[_SURPLUS])} cells more than the header has columns")
    return example


def items(path: Path | None) -> Iterator[Any]:
    """Items from a file, or from standard input: a text a line; in a `.jsonl` file a string or an object.

    Blank lines are left out. Each item comes as soon as its line is there.

    Raises:
        DataError: no such file, or a line that holds no text; names its number.
    """
    jsonl = path is not None and path.suffix == ".jsonl"
    for number, line in _lines(path):
        yield _item(_json(line, number), number) if jsonl else line.rstrip("\r\n")


def _lines(path: Path | None) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, numbered from 1; bytes that are not UTF-8 become U+FFFD."""
    try:
        with open(path or 0, encoding="utf-8-sig", errors="replace", closefd=path is not None) as file:
            yield from ((number, line) for number, line in enumerate(file, start=1) if line.strip())
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error


def texts(path: Path) -> list[Any]:
    """The texts of a file: the text or pair of texts in each row of a file of rows, else each line.

    Raises:
        DataError: no such file, or no text in it.
    """
    every = (given(row) for _, row in rows(path)) if path.suffix in TABLES else items(path)
    found = [one for one in every if one]
    if not found:
        raise DataError(f"{path} holds no texts", hint="a text a line, or a column `sentence` or `text`")
    return found


def given(row: Mapping[str, Any]) -> Any:
    """What a row asks: a pair, a text, or tokens joined by spaces; None for none of them."""
    words = row.get("tokens")
    joined = " ".join(map(str, words)) if isinstance(words, list) else None
    return pair(row) or row.get("text", row.get("sentence", joined))


def _item(value: Any, number: int) -> Any:
    """A text, or a pair as {"text", "text_pair"}, out of a JSON value. Raises DataError."""
    if isinstance(value, dict):
        value = given(value)
    if isinstance(value, str):
        return value
    if isinstance(value, tuple) and all(isinstance(part, str) for part in value):
        return dict(zip(("text", "text_pair"), value, strict=True))
    hint = 'write "a text", {"text": "a text"} or {"text": "first", "text_pair": "second"}'
    raise DataError(f"line {number} holds no text", hint=hint)


def rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of a file as they are, each with the number of its line. Raises DataError; MissingExtra for Parquet."""
    if path.suffix == ".parquet":
        yield from parquet.rows(path)
        return
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            if path.suffix == ".jsonl":
                yield from ((n, _object(line, n)) for n, line in enumerate(file, start=1) if line.strip())
            elif path.suffix == ".json":
                yield from enumerate(_squad(file.read()), start=1)
            else:
                table = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE, restkey=_SURPLUS)
                yield from ((table.line_num, row) for row in table)
    except (OSError, csv.Error) as error:
        raise DataError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error


def _squad(content: str) -> Iterator[dict[str, Any]]:
    """The questions of a file of SQuAD, each with its context."""
    try:
        for paragraph in (part for article in json.loads(content)["data"] for part in article["paragraphs"]):
            yield from ({**asked, "context": paragraph["context"]} for asked in paragraph["qas"])
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise DataError(
            f"not a file of SQuAD: {type(error).__name__}: {error}", hint="rows are read from .jsonl"
        ) from error


def _object(line: str, number: int) -> dict[str, Any]:
    value = _json(line, number)
    if not isinstance(value, dict):
        raise DataError(f"line {number} is not a JSON object")
    return value


def _json(line: str, number: int) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"line {number} is not JSON: {error}") from error
