"""edgewright run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgewright.cli._options import answer_options, artifact_options, asked, column_options, device_options

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["command"]


@click.command("run")
@click.argument("bundle", type=click.Path())
@click.argument("texts", nargs=-1, metavar="TEXT...")
@click.option(
    "--input",
    "input_",
    type=click.Path(),
    help="A file of texts or rows; - reads lines from standard input.",
)
@click.option("--pair", help="The second text of every TEXT, such as the context of a question.")
@click.option("--query", help="What the TEXTs are ranked by, all together: text-ranking.")
@click.option("--engine", help="The engine, where a format has several.")
@click.option("--threads", type=int, help="Engine threads; by default what a race chose for this machine, or 1.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a line per text.")
@answer_options
@artifact_options
@device_options
@column_options("input_")
def command(
    bundle: str,
    texts: tuple[str, ...],
    *,
    input_: str | None,
    pair: str | None,
    query: str | None,
    engine: str | None,
    threads: int | None,
    as_json: bool,
    format_: str | None,
    precision: str | None,
    device: str | None,
    **options: Any,
) -> None:
    """Answer texts, one JSON line each, as they come."""
    from edgewright.inference.pipeline import load

    if bool(texts) == bool(input_):
        raise click.UsageError("give texts or --input, one of the two")
    if device:
        from edgewright.cli._on_device import ask

        _print(ask().tree["rows"], as_json=as_json)
        return
    pipeline = load(bundle, format=format_, precision=precision, engine=engine, threads=threads, **asked(options))
    items = iter(texts) if texts else _items(str(input_))
    given = items if pair is None else ({"text": item, "text_pair": pair} for item in items)
    if query is not None:
        given = iter([{"query": query, "texts": list(items)}])
    _print(map(pipeline.row, given), as_json=as_json)


def _print(rows: Iterable[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"rows": list(rows)}, ensure_ascii=False))
        return
    for row in rows:
        click.echo(json.dumps(row, ensure_ascii=False))


def _items(path: str) -> Iterator[Any]:
    from edgewright.data.rows import items

    return items(None if path == "-" else Path(path))
