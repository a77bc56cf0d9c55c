"""edgewright pretrain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from edgewright.cli._options import example, output_options, pretraining_options
from edgewright.cli._progress import status
from edgewright.cli._tables import emit

if TYPE_CHECKING:
    from edgewright.training import DecoderShape, Pretrained

__all__ = ["command"]

_SIZES = ("vocabulary", "width", "layers", "heads", "kv_heads", "feed_forward", "context", "window")
_REST = (
    *("tokenizer", "separator", "column", "token_files", "prompt", "teacher", "alpha", "temperature"),
    *("resume", "force"),
)


@click.command("pretrain", epilog=example("pretrain stories.txt --preset 10m --out model"))
@click.argument("text", nargs=-1, required=True, type=click.Path())
@click.option("-o", "--out", type=click.Path(), required=True, help="The new model directory.")
@click.option("--preset", default="10m", show_default=True, help="Its size: 1m, 10m, 60m or 135m parameters.")
@click.option("--shape", type=click.Choice(["llama", "gpt2", "lfm2"]), help="Its architecture, by default llama.")
@click.option("--vocabulary", type=int, help="Tokens. What follows changes the preset.")
@click.option("--width", type=int, help="Of the hidden states.")
@click.option("--layers", type=int, help="Their number.")
@click.option("--heads", type=int, help="Of attention.")
@click.option("--kv-heads", type=int, help="Of keys and values: fewer than --heads share them, 1 for all.")
@click.option("--feed-forward", type=int, help="Neurons of a layer.")
@click.option("--context", type=int, help="Tokens that it reads at most.")
@click.option("--window", type=int, help="Tokens that each one sees before it; by default all.")
@click.option("--tokenizer", default="bpe", show_default=True, help="bpe or unigram, trained on TEXT; or a directory.")
@click.option("--separator", default="", help="Between documents; by default <|endoftext|> where a file has it.")
@click.option("--column", default="text", show_default=True, help="Of texts, in tables.")
@click.option("--token-files", type=click.Path(), help="Where token files are kept for further runs.")
@click.option("--prompt", default="", help="What samples begin with.")
@click.option("--teacher", help="A bigger model, whose probabilities are learnt too; its tokenizer is taken.")
@click.option("--alpha", default=0.5, show_default=True, help="Weight of the text; the rest is the teacher's.")
@click.option("--temperature", default=1.0, show_default=True, help="Softens both sides' probabilities.")
@pretraining_options
@click.option("--resume", is_flag=True, help="Go on with an interrupted run.")
@click.option("--force", is_flag=True, help="Replace OUT.")
@output_options
def command(text: tuple[str, ...], out: str, *, as_json: bool, quiet: bool, **settings: Any) -> None:
    """Train a language model from nothing on TEXT: files, Parquet and tables among them, and directories of such.

    A tokenizer is trained, then the model; the best one is kept, as a directory that `edgewright build` takes.
    Several processes, GPUs or machines: accelerate launch -m edgewright pretrain ...
    """
    from edgewright.training import PretrainingRecipe, pretrain

    shape = _shape(settings)
    rest = {name: settings.pop(name) for name in _REST}
    recipe = PretrainingRecipe(**settings)
    _show(pretrain(text, out, shape=shape, recipe=recipe, progress=status(quiet=quiet), **rest), as_json=as_json)


def _shape(settings: dict[str, Any]) -> DecoderShape:
    """Take the shape out of the options."""
    from edgewright.training.decoder_shape import named

    sizes = {name: settings.pop(name) for name in _SIZES}
    return named(settings.pop("preset")).changed(family=settings.pop("shape"), **sizes)


def _show(done: Pretrained, *, as_json: bool) -> None:
    from dataclasses import asdict

    from edgewright.training.unfinished import is_first

    if not is_first():
        return
    row = {**asdict(done), "directory": str(done.directory)}
    sample = row.pop("sample")
    title = f"{done.directory}: validation loss {done.loss:.4f}, curves in training/curves.html"
    emit([row], as_json=as_json, title=title)
    if not as_json:
        click.echo(f"\n{sample}")
