"""edgewright export c."""

from __future__ import annotations

from typing import Literal

import click

from edgewright.cli._options import example, export_options, output_options
from edgewright.cli._progress import status
from edgewright.cli._tables import artifact_row, emit

__all__ = ["command"]


@click.command("c", epilog=example("export c sentiment --precision int8 --out sentiment-c"))
@export_options(
    "project",
    ("onnx", "ort", "tflite"),
    which="the program maps an ort file, and its weights are in memory once; tflite runs on LiteRT",
)
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
    from edgewright.exporting.c import chat_notes, export_c

    artifact = export_c(bundle, out=out, format=format_, precision=precision, force=force, progress=status(quiet=quiet))
    emit([{**artifact_row(artifact), "out": out}], as_json=as_json, notes=chat_notes(out), client="c")
