"""edgewright tokenizer."""

from __future__ import annotations

from typing import Any

import click

from edgewright.cli._options import Parts, example, output_options
from edgewright.cli._progress import status
from edgewright.cli._tables import emit

__all__ = ["command"]


@click.group("tokenizer", cls=Parts)
def command() -> None:
    """Make tokenizers. Each part takes --json."""


@command.command("train", epilog=example("tokenizer train texts.txt --kind bpe --size 8000 --out tokenizer"))
@click.argument("corpus", nargs=-1, required=True, type=click.Path())
@click.option("--kind", required=True, type=click.Choice(["bpe", "wordpiece", "unigram"]), help="The algorithm.")
@click.option("--size", required=True, type=click.IntRange(min=1), help="Tokens, special ones included.")
@click.option("-o", "--out", required=True, type=click.Path(), help="The directory to make.")
@click.option("--lower-case", is_flag=True, help="Read every text in lower case.")
@click.option("--special", multiple=True, help="A token of your own that no text is cut through; again for more.")
@click.option(
    "--max-length", default=512, show_default=True, type=click.IntRange(min=1), help="Of the model, in tokens."
)
@click.option("--force", is_flag=True, help="Write into a directory that has files.")
@output_options
def _train(corpus: tuple[str, ...], *, as_json: bool, quiet: bool, **options: Any) -> None:
    """Train a tokenizer on CORPUS, files with a text a line or rows with texts, and save its tokenizer.json.

    bpe works on bytes and has no unknown token; wordpiece is BERT's; unigram is SentencePiece's.
    """
    from dataclasses import asdict

    from edgewright.training.tokenizers import train_tokenizer

    found = train_tokenizer(corpus, options.pop("out"), **options, progress=status(quiet=quiet))
    emit([{**asdict(found), "directory": str(found.directory)}], as_json=as_json)
