"""edgewright export litertlm."""

from __future__ import annotations

from pathlib import Path

import click

from edgewright.cli._options import example, export_options, output_options
from edgewright.cli._progress import status
from edgewright.cli._tables import artifact_row, emit, wrote

__all__ = ["command"]


@click.command("litertlm", epilog=example("export litertlm chat --out chat.litertlm"))
@export_options("file")
@output_options
def command(bundle: str, *, out: str, precision: str | None, force: bool, as_json: bool, quiet: bool) -> None:
    """Write a .litertlm file for LiteRT-LM, with BUNDLE's model that writes, its tokenizer and its chat template."""
    from edgewright.exporting.litertlm import export_litertlm
    from edgewright.system.files import size_of

    artifact = export_litertlm(bundle, out=out, precision=precision, force=force, progress=status(quiet=quiet))
    size = size_of(Path(out))
    if size is None:
        wrote(out)
        return
    row = {**artifact_row(artifact), "size_bytes": size, "out": out}
    emit([row], as_json=as_json, client="litert-lm")
