"""edgewright export c."""

from __future__ import annotations

from typing import Literal

import click

from edgewright.cli._options import PRECISIONS, Listing, example, output_options
from edgewright.cli._progress import status
from edgewright.cli._tables import artifact_row, emit

__all__ = ["command"]


@click.command("c", epilog=example("export c sentiment --precision int8 --out sentiment-c"))
@click.argument("bundle", type=click.Path())
@click.option("-o", "--out", required=True, type=click.Path(), help="The directory to write.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["onnx", "ort", "tflite"]),
    default="onnx",
    show_default=True,
    help="Which artifact; the program maps an ort file, and its weights are in memory once; tflite runs on LiteRT.",
)
@click.option(
    "--precision", cls=Listing, type=PRECISIONS, help="Which artifact; by default the smallest that passed its gates."
)
@click.option("--force", is_flag=True, help="Replace a project that is there.")
@output_options
def command(
    bundle: str,
    *,
    out: str,
    format_: Literal["onnx", "ort", "tflite"],
    precision: str | None,
    force: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Write a CMake project in C99 that answers as BUNDLE does: tokenizer, task and a sample program.

    It loads ONNX Runtime, or LiteRT, when it opens the model, and needs nothing else.
    """
    from edgewright.exporting.c import chat_refused, export_c

    artifact = export_c(bundle, out=out, format=format_, precision=precision, force=force, progress=status(quiet=quiet))
    why = chat_refused(out)
    notes = [f"the program takes prompts and no messages: {why}"] if why else []
    emit([{**artifact_row(artifact), "out": out}], as_json=as_json, notes=notes, client="c")
