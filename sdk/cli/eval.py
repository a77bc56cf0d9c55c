"""edgewright eval."""

from __future__ import annotations

from typing import Any

import click

from edgewright.cli._options import (
    Sectioned,
    answer_options,
    artifact_options,
    asked,
    column_options,
    device_options,
    example,
    listed,
    output_options,
    task_option,
)
from edgewright.cli._progress import status
from edgewright.cli._tables import emit

__all__ = ["command"]


@click.command("eval", cls=Sectioned, epilog=example("eval sentiment --data dev.tsv --metric accuracy,f1"))
@click.argument("model", type=click.Path())
@click.option("--data", required=True, type=click.Path(), help="Labelled rows: .tsv, .csv, .jsonl, Parquet, SQuAD.")
@click.option("--metric", default="", callback=listed, help="Names, comma-separated; by default the task's own.")
@click.option("--cost", is_flag=True, help="Measure latency on texts of the data, and peak memory.")
@task_option("The task of a source; by default the one of its architecture.")
@click.option("--threads", default=1, show_default=True, help="Engine threads.")
@answer_options
@artifact_options
@device_options
@output_options
@column_options
def command(model: str, *, as_json: bool, quiet: bool, **options: Any) -> None:
    """Score the artifacts of a bundle, or the eager model of a source, on labelled data.

    Each score comes with the ends of its 95 % interval, by a bootstrap over the rows.
    """
    from edgewright.proof.score import evaluate

    chosen = {name: options[name] for name in ("metric", "precision", "task", "threads", "cost")}
    show = status(quiet=quiet)
    if options["device"]:
        from edgewright.boards.place import refuse_emulated
        from edgewright.cli._on_device import ask

        if options["cost"]:
            refuse_emulated(options["device"])
        emit(ask().tree["rows"], as_json=as_json)
        return
    found = evaluate(model, options["data"], format=options["format_"], **chosen, progress=show, **asked(options))
    emit([row for one in found for row in one.rows(options["threads"])], as_json=as_json)
