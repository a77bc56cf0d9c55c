"""edgewright eval."""

from __future__ import annotations

import click

from edgewright.cli._show import artifact_options, artifact_row, emit, output_options, score_record, status

__all__ = ["command"]


@click.command("eval")
@click.argument("bundle", type=click.Path())
@click.option("--data", required=True, type=click.Path(), help="Labelled rows: .tsv with a header, or .jsonl.")
@click.option("--threads", default=1, show_default=True, help="Engine threads.")
@artifact_options
@output_options
def command(
    bundle: str, *, data: str, threads: int, format_: str | None, precision: str | None, as_json: bool, quiet: bool
) -> None:
    """Score the artifacts of BUNDLE on labelled data."""
    from edgewright.evaluation import evaluate

    found = evaluate(bundle, data, format=format_, precision=precision, threads=threads, progress=status(quiet=quiet))
    rows = [{**artifact_row(a), "threads": threads, "score": score_record(score)} for a, score in found]
    emit(rows, as_json=as_json)
