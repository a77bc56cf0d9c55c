"""edgewright eval."""

from __future__ import annotations

from typing import Any

import click

from edgewright.cli._options import artifact_options, device_options, listed, output_options
from edgewright.cli._progress import status
from edgewright.cli._tables import emit

__all__ = ["command"]


@click.command("eval")
@click.argument("model", type=click.Path())
@click.option("--data", required=True, type=click.Path(), help="Labelled rows: .tsv with a header, .jsonl, SQuAD.")
@click.option("--metric", default="", callback=listed, help="Names, comma-separated; by default the task's own.")
@click.option("--cost", is_flag=True, help="Measure latency on texts of the data, and peak memory.")
@click.option("--task", help="The task of a source; by default the one of its architecture.")
@click.option("--threads", default=1, show_default=True, help="Engine threads.")
@artifact_options
@device_options
@output_options
def command(model: str, *, as_json: bool, quiet: bool, **options: Any) -> None:
    """Score the artifacts of a bundle, or the eager model of a source, on labelled data.

    Each score comes with the ends of its 95 % interval, by a bootstrap over the rows.
    """
    from edgewright.proof.score import evaluate, evaluate_source, is_source

    chosen = {name: options[name] for name in ("metric", "threads", "cost")}
    show = status(quiet=quiet)
    if options["device"]:
        from edgewright.boards.place import refuse_emulated
        from edgewright.cli._on_device import ask

        if options["cost"]:
            refuse_emulated(options["device"])
        emit(ask().tree["rows"], as_json=as_json)
        return
    if is_source(model):
        found = [_of_source(model, options, chosen, show, evaluate_source)]
    else:
        narrowed = {"format": options["format_"], "precision": options["precision"]}
        found = evaluate(model, options["data"], **chosen, **narrowed, progress=show)
    emit([row for one in found for row in one.rows(options["threads"])], as_json=as_json)


def _of_source(model: str, options: dict[str, Any], chosen: dict[str, Any], show: Any, score: Any) -> Any:
    from edgewright.errors import UsageError
    from edgewright.model.source import open_source

    if options["format_"] or options["precision"]:
        raise UsageError(f"{model} is no bundle: it has no formats and precisions", hint="build one, or leave them out")
    return score(open_source(model, task=options["task"]), options["data"], **chosen, progress=show)
