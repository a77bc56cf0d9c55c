"""edgewright train."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from edgewright.cli._options import column_options, example, listed, output_options, recipe_options, task_option
from edgewright.cli._progress import status
from edgewright.cli._tables import emit

if TYPE_CHECKING:
    from edgewright.training import Trained

__all__ = ["command"]


@click.command("train", epilog=example("train path/to/model --data train.tsv --eval dev.tsv --out tuned --epochs 2"))
@click.argument("source")
@click.option("--data", "labelled", type=click.Path(), required=True, help="Labelled rows to train on.")
@click.option("--eval", "dev", type=click.Path(), required=True, help="Other labelled rows, which choose the model.")
@click.option("-o", "--out", type=click.Path(), required=True, help="The new model directory.")
@task_option("By default that of the saved architecture.")
@click.option("--labels", default="", help="Of a new head, in order: negative,positive. By default those in the data.")
@recipe_options
@click.option(
    "--report-to", default="", callback=listed, help="Losses and scores for tensorboard, wandb or mlflow too, by comma."
)
@click.option("--resume", is_flag=True, help="Go on with an interrupted run.")
@click.option("--force", is_flag=True, help="Replace OUT.")
@output_options
@column_options
def command(
    source: str,
    labelled: str,
    dev: str,
    out: str,
    task: str | None,
    labels: str,
    *,
    report_to: tuple[str, ...],
    resume: bool,
    force: bool,
    as_json: bool,
    quiet: bool,
    **settings: Any,
) -> None:
    """Fine-tune SOURCE, a model directory or hub id, on labelled rows; the best model is kept.

    SOURCE marian-4m, marian-8m or marian-11m is a new translator, for rows with the columns source and target.

    Several GPUs or machines: accelerate launch -m edgewright train ...
    Several processes on CPUs: torchrun --nproc_per_node 2 -m edgewright ...
    """
    from edgewright.training import Recipe, train

    trained = train(
        source,
        labelled,
        dev,
        out,
        task=task,
        labels=[name.strip() for name in labels.split(",") if name.strip()],
        recipe=Recipe(**settings),
        report_to=report_to,
        resume=resume,
        force=force,
        progress=status(quiet=quiet),
    )
    _show(trained, as_json=as_json)


def _show(trained: Trained, *, as_json: bool) -> None:
    from dataclasses import asdict

    from edgewright.training.unfinished import is_first

    if not is_first():
        return
    row = {**asdict(trained), "directory": str(trained.directory)}
    title = f"{trained.directory}: {trained.score:.2f} % {trained.metric}, curves in training/curves.html"
    title += f"; {trained.warning}" if trained.seen else ""
    emit([row], as_json=as_json, title=title)
