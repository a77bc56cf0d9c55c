"""What commands share: options, tables and JSON for results, a status line for progress."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click
from msgspec import UnsetType, to_builtins

from edgewright.cli._progress import clear
from edgewright.errors import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgewright.bundle.manifest import Artifact, Score

__all__ = ["artifact_row", "decoding_row", "emit", "human", "score_record", "wrote"]

_BYTES = ("B", "kB", "MB", "GB")


def emit(
    rows: Sequence[Mapping[str, Any]],
    *,
    as_json: bool,
    title: str = "",
    form: str = "table",
    notes: Sequence[str] = (),
    **extra: Any,
) -> None:
    """Print rows as `{"rows": [...], ...extra}`, or as a table, CSV or Markdown of the columns that hold anything.

    `notes` go below a table, and to standard error beside the other forms.
    """
    clear()
    for note in notes if as_json or form != "table" else ():
        click.echo(note, err=True)
    if as_json:
        click.echo(json.dumps({**extra, "rows": [dict(row) for row in rows]}, ensure_ascii=False, default=to_builtins))
        return
    if title:
        click.echo(title)
    if title and not rows:
        return
    kept = [key for key in (rows[0] if rows else ()) if any(row[key] is not None for row in rows)]
    if form == "csv":
        click.echo(_csv([{key: row[key] for key in kept} for row in rows]), nl=False)
        return
    table = _markdown if form == "markdown" else _table
    click.echo("\n".join(table([{key: _cell(key, row[key]) for key in kept} for row in rows])))
    if notes and form == "table":
        click.echo("\n" + "\n".join(notes))


def wrote(out: str) -> None:
    """Say that an output was written, on standard error: it may be standard output itself."""
    click.echo(f"wrote {out}", err=True)


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """RFC 4180; a score is its value."""
    import csv
    import io

    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(rows[0] if rows else ())
    for row in rows:
        writer.writerow([value["value"] if isinstance(value, dict) else value for value in row.values()])
    return text.getvalue()


def _markdown(rows: Sequence[Mapping[str, str]]) -> list[str]:
    heads = [name.removesuffix("_bytes") for name in (rows[0] if rows else ())]
    lines = [heads, ["---"] * len(heads), *([cell.replace("|", r"\|") for cell in row.values()] for row in rows)]
    return [f"| {' | '.join(line)} |" for line in lines]


def artifact_row(artifact: Artifact) -> dict[str, Any]:
    """The columns that every table of artifacts begins with."""
    return {"format": artifact.format, "precision": artifact.precision, "size_bytes": artifact.total_bytes}


def decoding_row(artifact: Artifact) -> dict[str, Any]:
    """The columns of a decoder, none of another artifact."""
    decoding = artifact.decoding
    if isinstance(decoding, UnsetType):
        return {}
    equal = f"{decoding.equal} of {decoding.prompts}"
    first = decoding.first_difference
    greedy = equal if first is None else f"{equal}, else from token {first}"
    carried = None if isinstance(artifact.carried, UnsetType) else artifact.carried
    return {"kl": decoding.kl, "eager_perplexity": decoding.reference, "greedy": greedy, "carried": carried}


def score_record(score: Score | None) -> dict[str, Any] | None:
    """A score as rows carry it: metric, value, n, data."""
    return None if score is None else {name: getattr(score, name) for name in ("metric", "value", "n", "data")}


def _table(rows: Sequence[Mapping[str, str]]) -> list[str]:
    names = list(rows[0]) if rows else []
    heads = [name.removesuffix("_bytes") for name in names]
    widths = [max(len(head), *(len(row[name]) for row in rows)) for head, name in zip(heads, names, strict=True)]
    lines = [heads, ["-" * width for width in widths], *([row[name] for name in names] for row in rows)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if name.endswith("_bytes"):
        return human(value)
    if isinstance(value, dict):
        unit = "" if value["metric"] == "perplexity" else " %"
        return f"{value['value']:.2f}{unit} {value['metric']} (n {value['n']}, {value['data']})"
    return f"{value:.4g}" if isinstance(value, float) else one_line(str(value))


def human(size: float) -> str:
    """A number of bytes with three digits and a unit."""
    for unit in _BYTES:
        if size < 1000 or unit == _BYTES[-1]:
            return f"{size:.3g} {unit}" if unit != "B" else f"{size} B"
        size /= 1000
    raise AssertionError
