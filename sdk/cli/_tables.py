"""What commands share: options, tables and JSON for results, a status line for progress."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click
from msgspec import UnsetType, to_builtins

from edgewright.cli._fit import blocks, fitted, paragraphs, width
from edgewright.cli._progress import clear
from edgewright.errors import one_line
from edgewright.system.words import human

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgewright.bundle.manifest import Artifact, Score

__all__ = ["artifact_row", "decoding_row", "emit", "score_record", "wrote"]


def emit(
    rows: Sequence[Mapping[str, Any]],
    *,
    as_json: bool,
    title: str = "",
    form: str = "table",
    notes: Sequence[str] = (),
    **extra: Any,
) -> None:
    """Print rows as `{"rows": [...], ...extra}`, or as a table, blocks, CSV or Markdown of the columns that are used.

    A table is no wider than the terminal. `notes` go below it, and to standard error beside JSON, CSV and Markdown.
    """
    clear()
    shown = form in ("table", "blocks")
    for note in notes if as_json or not shown else ():
        click.echo(note, err=True)
    if as_json:
        click.echo(json.dumps({**extra, "rows": [dict(row) for row in rows]}, ensure_ascii=False, default=to_builtins))
        return
    if title:
        click.echo(paragraphs(title, width()) if shown else title)
    if title and not rows:
        return
    kept = [key for key in (rows[0] if rows else ()) if any(row[key] is not None for row in rows)]
    if form == "csv":
        click.echo(_csv([{key: row[key] for key in kept} for row in rows]), nl=False)
        return
    cells = [{key: _cell(key, row[key]) for key in kept} for row in rows]
    if form == "blocks":
        cells = [{key: cell for key, cell in row.items() if cell != "-"} for row in cells]
        lines = blocks(cells, width())
    else:
        lines = _markdown(cells) if form == "markdown" else fitted(cells, width())
    click.echo("\n".join(lines))
    if notes and shown:
        click.echo("\n" + paragraphs("\n".join(notes), width()))


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
    return {
        "kl": decoding.kl,
        "eager_perplexity": decoding.reference,
        "greedy": greedy,
        "cache": artifact.cache_dtype,
        "carried": carried,
    }


def score_record(score: Score | None) -> dict[str, Any] | None:
    """A score as rows carry it: metric, value, n, data."""
    return None if score is None else {name: getattr(score, name) for name in ("metric", "value", "n", "data")}


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if name.endswith("_bytes"):
        return human(value)
    if isinstance(value, dict):
        unit = "" if value["metric"] in ("perplexity", "bits_per_byte") else " %"
        return f"{value['value']:.2f}{unit} {value['metric']} (n {value['n']}, {value['data']})"
    return f"{value:.4g}" if isinstance(value, float) else one_line(str(value))
