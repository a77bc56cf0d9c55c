"""edgewright distill."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from edgewright.cli._options import column_options, example, listed, output_options, recipe_options
from edgewright.cli._progress import status
from edgewright.cli._tables import emit

if TYPE_CHECKING:
    from edgewright.training import Distillation

__all__ = ["command"]

_SHAPE = ("take", "layers", "width", "heads", "feed_forward", "embedding")


@click.command("distill", epilog=example("distill tuned --take 0,2 --data train.tsv --eval dev.tsv --out student"))
@click.argument("teacher")
@click.option("--data", "train", type=click.Path(), required=True, help="Labelled rows to train on.")
@click.option("--eval", "dev", type=click.Path(), required=True, help="Other labelled rows, which choose the model.")
@click.option("-o", "--out", type=click.Path(), required=True, help="The student's directory.")
@click.option("--student", help="Where its weights and tokenizer come from, by default TEACHER; or marian-4m.")
@click.option("--take", callback=listed, default="", help="Layers to take over: 0,2,5. By default all.")
@click.option("--layers", default=0, help="Their number, for a student that begins at random.")
@click.option("--width", default=0, help="Of its hidden states.")
@click.option("--heads", default=0, help="Of its attention.")
@click.option("--feed-forward", default=0, help="Neurons of a layer.")
@click.option("--embedding", default=0, help="Width of a factorised embedding.")
@click.option("--temperature", default=2.0, show_default=True, help="Softens both sides' probabilities.")
@click.option("--alpha", default=0.5, show_default=True, help="Weight of the labels; the rest is the teacher's.")
@click.option("--hidden", default=0.0, show_default=True, help="Weight of the hidden states.")
@click.option("--copies", default=0, show_default=True, help="Variations of each row that the teacher answers too.")
@click.option("--cache", type=click.Path(), help="Where the teacher's answers are kept.")
@recipe_options
@click.option("--resume", is_flag=True, help="Go on with an interrupted run.")
@click.option("--force", is_flag=True, help="Replace OUT.")
@output_options
@column_options
def command(teacher: str, train: str, dev: str, out: str, *, as_json: bool, quiet: bool, **settings: Any) -> None:
    """Train a student on the outputs of TEACHER, a fine-tuned model directory or hub id.

    A translator's student is trained on its translations; it may be a new one: marian-4m, marian-8m or marian-11m.
    """
    from edgewright.training import Recipe, distill

    how = _distillation(settings)
    places = {name: settings.pop(name) for name in ("student", "cache", "resume", "force")}
    trained = distill(
        teacher, train, dev, out, how=how, recipe=Recipe(**settings), progress=status(quiet=quiet), **places
    )
    row = {**asdict(trained), "directory": str(trained.directory)}
    title = f"{trained.directory}: {trained.score:.2f} % {trained.metric}, curves in training/curves.html"
    title += f"; {trained.warning}" if trained.seen else ""
    emit([row], as_json=as_json, title=title)


def _distillation(settings: dict[str, Any]) -> Distillation:
    """Take what distillation needs out of the options."""
    from edgewright.training import Distillation, Shape

    sizes = {name: settings.pop(name) for name in _SHAPE}
    if not all(word.isdecimal() for word in sizes["take"]):
        raise click.BadParameter(f"{','.join(sizes['take'])} are no layer numbers: write 0,2,5", param_hint="--take")
    shape = Shape(**{**sizes, "take": tuple(map(int, sizes["take"]))})
    names = ("temperature", "alpha", "hidden", "copies")
    return Distillation(**{name: settings.pop(name) for name in names}, shape=shape)
