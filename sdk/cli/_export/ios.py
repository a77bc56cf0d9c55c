"""edgewright export ios."""

from __future__ import annotations

from typing import Literal

import click

from edgewright.cli._options import example, export_options, output_options
from edgewright.cli._progress import status
from edgewright.cli._tables import artifact_row, emit

__all__ = ["command"]


@click.command("ios", epilog=example("export ios sentiment --precision int8 --out sentiment-ios"))
@export_options("package", ("onnx", "ort"), which="of an ort file the weights are in memory once")
@output_options
def command(
    bundle: str,
    *,
    out: str,
    format_: Literal["onnx", "ort"],
    precision: str | None,
    force: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Write a Swift package that answers as BUNDLE does: the C core, a Swift module, the model as its resource.

    The engine is ONNX Runtime's own Swift package. It was compiled and run on Linux, not on a Mac or a phone.
    """
    from edgewright.exporting.c import chat_notes
    from edgewright.exporting.ios import export_ios

    artifact = export_ios(
        bundle, out=out, format=format_, precision=precision, force=force, progress=status(quiet=quiet)
    )
    emit([{**artifact_row(artifact), "out": out}], as_json=as_json, notes=chat_notes(out), client="ios")
