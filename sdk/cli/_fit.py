"""Tables that fit the width at hand: what is the same in all rows is said once, the least important columns go.

Nothing is lost: `--json` has every column, and a table that goes into a file or a pipe is whole.
"""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    Row = Mapping[str, str]

__all__ = ["blocks", "facts", "fitted", "head", "paragraphs", "table", "width"]

_GAP = 2
"""Blanks between columns."""
_NARROW = 24
"""A choice: characters below which sentences are no longer read with ease."""
_LEAST = (
    *(
        "sha256",
        "unread",
        "instructions",
        "cores",
        "ram_gib",
        "engine_version",
        "inputs",
        "outputs",
        "float_operators",
        "n",
        "low_ms",
        "high_ms",
        "p90_ms",
    ),
    *("of_bound", "answer_ms", "first_ms", "max_abs", "sqnr_db", "eager_perplexity", "greedy", "carried", "drift"),
    *("p99_ms", "versions", "low", "high", "processes", "compressed_bytes", "nonzero", "seconds", "calls", "gb_s"),
    *(
        "gmac_s",
        "of_peak",
        "top1",
        "cosine",
        "load_ms",
        "peak_rss_mib",
        "cpu_ms",
        "energy_mj",
        "batch",
        "buckets",
        "engine",
    ),
)
"""Columns that are left out where there is no room, the first one first; others never are."""
_BESIDE = ("grade", "verdict", "difference")
"""What says how a row's numbers are to be taken stands beside them, also where it is the same in all rows."""
_KEYS = 2
"""The columns that a row is known by, which are never folded: format and precision, or their like."""


def width() -> int | None:
    """The columns of the terminal, or those of $COLUMNS; None where a table goes elsewhere, as wide as it is."""
    if sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit():
        return shutil.get_terminal_size().columns
    return None


def table(rows: Sequence[Row]) -> list[str]:
    """Lines of columns, with a line of their names."""
    names = list(rows[0]) if rows else []
    heads = [head(name) for name in names]
    widths = [max(len(title), *(len(row[name]) for row in rows)) for title, name in zip(heads, names, strict=True)]
    lines = [heads, ["-" * wide for wide in widths], *([row[name] for name in names] for row in rows)]
    gap = " " * _GAP
    return [gap.join(cell.ljust(wide) for cell, wide in zip(line, widths, strict=True)).rstrip() for line in lines]


def head(name: str) -> str:
    """A column's name as it is printed: the unit of bytes stands in each cell."""
    return name.removesuffix("_bytes")


def fitted(rows: Sequence[Row], most: int | None) -> list[str]:
    """The same, no wider than `most` characters, by folding, leaving out and wrapping columns, else as blocks."""
    if most is None or not rows or _wide(rows) <= most:
        return table(rows)
    kept, same = _folded(rows)
    kept, left = _thinned(kept, most)
    notes = [f"in all rows: {', '.join(f'{head(name)} {value}' for name, value in same.items())}"] if same else []
    notes += [f"not shown, in --json: {', '.join(map(head, left))}"] if left else []
    said = [line for note in notes for line in textwrap.wrap(note, most)]
    lines = table(kept) if _wide(kept) <= most else _wrapped(kept, most)
    return [*(lines or blocks(rows, most)), *(["", *said] if lines and said else [])]


def _wide(rows: Sequence[Row]) -> int:
    return sum(_widths(rows).values()) + _GAP * (len(rows[0]) - 1)


def _widths(rows: Sequence[Row]) -> dict[str, int]:
    return {name: max(len(head(name)), *(len(row[name]) for row in rows)) for name in rows[0]}


def _folded(rows: Sequence[Row]) -> tuple[list[dict[str, str]], dict[str, str]]:
    """The rows without the columns in which all are alike, and what stands there."""
    names = [name for name in list(rows[0])[_KEYS:] if name not in _BESIDE] if len(rows) > 1 else []
    same = {name: rows[0][name] for name in names if all(row[name] == rows[0][name] for row in rows)}
    return [{name: value for name, value in row.items() if name not in same} for row in rows], same


def _thinned(rows: list[dict[str, str]], most: int) -> tuple[list[dict[str, str]], list[str]]:
    """The rows without the least important columns, as many as have to go, and their names."""
    left: list[str] = []
    for name in (name for name in _LEAST if name in rows[0]):
        if _wide(rows) <= most:
            break
        left.append(name)
        rows = [{key: value for key, value in row.items() if key != name} for row in rows]
    return rows, left


def _wrapped(rows: Sequence[Row], most: int) -> list[str]:
    """A table whose widest column goes on in further lines; none where it would be too narrow for that."""
    widths = _widths(rows)
    widest = max(widths, key=lambda name: widths[name])
    room = most - (_wide(rows) - widths[widest])
    if room < max(_NARROW, len(head(widest))):
        return []
    lines = []
    for row in rows:
        first, *more = textwrap.wrap(row[widest], room) or [""]
        lines.append({**row, widest: first})
        lines += [{**dict.fromkeys(row, ""), widest: part} for part in more]
    return table(lines)


def blocks(rows: Sequence[Row], most: int | None = None) -> list[str]:
    """A block of lines for each row: what it is known by, then a line for each of the other columns."""
    return [line for at, row in enumerate(rows) for line in (*([""] if at else []), *_block(row, most))]


def facts(pairs: Mapping[str, str], most: int | None, *, margin: int = 12) -> str:
    """A line for each name and value, wrapped where it is wider than `most`."""
    lines: list[str] = []
    for name, value in pairs.items():
        begin = name.ljust(margin)
        lines += _hanging(begin, value, most)
    return "\n".join(lines)


def paragraphs(text: str, most: int | None) -> str:
    """Each line of a text, wrapped where it is wider than `most`; paths and addresses stay whole."""
    lines = text.split("\n")
    if most is None:
        return text
    return "\n".join(
        part
        for line in lines
        for part in (
            [line] if len(line) <= most else textwrap.wrap(line, most, break_long_words=False, break_on_hyphens=False)
        )
    )


def _hanging(begin: str, words: str, most: int | None) -> list[str]:
    """Words behind `begin`, their further lines below the first one's."""
    if most is None or len(begin + words) <= most:
        return [(begin + words).rstrip()]
    indent = " " * len(begin)
    return textwrap.wrap(words, most, initial_indent=begin, subsequent_indent=indent, break_on_hyphens=False)


def _block(row: Row, most: int | None) -> Iterator[str]:
    names = list(row)
    first, *rest = (row[name] for name in names[:_KEYS])
    if most is None or len("  ".join((first, *rest))) <= most:
        yield "  ".join((first, *rest))
    else:
        yield from _hanging("", first, most)
        yield from (line for words in rest for line in _hanging("  ", words, most))
    margin = max((len(head(name)) for name in names[_KEYS:]), default=0) + 2 + _GAP
    for name in names[_KEYS:]:
        begin = f"  {head(name)}".ljust(margin)
        yield from _hanging(begin, row[name], most)
