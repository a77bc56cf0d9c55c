"""edgewright export mediapipe."""

from __future__ import annotations

from pathlib import Path

import click

from edgewright.cli._options import example, export_options, output_options
from edgewright.cli._progress import status
from edgewright.cli._tables import artifact_row, emit, wrote

__all__ = ["command"]


@click.command("mediapipe", epilog=example("export mediapipe sentiment --precision int8 --out classifier.tflite"))
@export_options("file")
@output_options
def command(bundle: str, *, out: str, precision: str | None, force: bool, as_json: bool, quiet: bool) -> None:
    """Write a .tflite file for MediaPipe's text classifier, with BUNDLE's vocabulary and labels in it.

    It wants a lower-case WordPiece tokenizer and a model with token types, as BERT and ELECTRA have.
    """
    from edgewright.exporting.mediapipe import export_mediapipe
    from edgewright.system.files import size_of

    artifact = export_mediapipe(bundle, out=out, precision=precision, force=force, progress=status(quiet=quiet))
    size = size_of(Path(out))
    if size is None:
        wrote(out)
        return
    row = {**artifact_row(artifact), "size_bytes": size, "out": out}
    emit([row], as_json=as_json, client="mediapipe")
