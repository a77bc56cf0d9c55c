"""edgewright compress."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from edgewright.cli._options import example, output_options, task_option
from edgewright.cli._progress import status
from edgewright.cli._tables import emit
from edgewright.system.words import counted

__all__ = ["command"]


@click.command(
    "compress", epilog=example("compress tuned --recipe recipe.toml --data train.tsv --eval dev.tsv --out small")
)
@click.argument("source")
@click.option("--recipe", type=click.Path(), required=True, help="A TOML file that names the steps.")
@click.option("-o", "--out", type=click.Path(), required=True, help="The new model directory.")
@task_option("By default that of the saved architecture.")
@click.option("--data", "train", type=click.Path(), help="Labelled rows for the steps that need some.")
@click.option("--eval", "dev", type=click.Path(), help="Other labelled rows, which choose and score.")
@click.option("--measure", default="", help="Build this artifact at every stage and time it, such as onnx/int8.")
@click.option("--seed", default=0, show_default=True, help="Of everything random.")
@click.option("--threads", default=0, help="Of torch; by default its own choice.")
@click.option("--cache", type=click.Path(), help="Where a teacher's answers are kept.")
@click.option("--resume", is_flag=True, help="Go on after the last finished step.")
@click.option("--force", is_flag=True, help="Replace OUT.")
@output_options
def command(source: str, recipe: str, out: str, *, as_json: bool, quiet: bool, **options: Any) -> None:
    """Make SOURCE smaller by the steps of a recipe, with score and size after each.

    Unstructured zeros make a file that compresses better; they make no dense engine faster.
    """
    from edgewright.compression.chain import compress

    stages = compress(source, recipe, out, progress=status(quiet=quiet), **options)
    rows = []
    for stage in stages:
        sparsity = round(100 * (1 - stage.nonzero / stage.parameters), 1)
        rows.append({**asdict(stage), "sparsity_percent": sparsity})
        rows[-1].pop("nonzero") if not as_json else None
    emit(rows, as_json=as_json, title=f"{out}: {counted(len(stages) - 1, 'step')}")
