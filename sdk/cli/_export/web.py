"""edgewright export web."""

from __future__ import annotations

import click

from edgewright.cli._options import example, export_options, output_options
from edgewright.cli._progress import status
from edgewright.cli._tables import artifact_row, emit

__all__ = ["command"]


@click.command("web", epilog=example("export web sentiment --precision int8 --out sentiment-web"))
@export_options("directory", precision=", of a model that writes fp16 or fp32")
@click.option(
    "--engine",
    type=click.Path(exists=True, file_okay=False),
    help="A directory with the files of onnxruntime-web; by default npm gets them.",
)
@output_options
def command(
    bundle: str, *, out: str, precision: str | None, engine: str | None, force: bool, as_json: bool, quiet: bool
) -> None:
    """Write a directory for a static site that answers as BUNDLE does in the browser: an ES module, the model, a page.

    A page fetches nothing but its files. The engine is onnxruntime-web, of one version, from npm.
    """
    from edgewright.exporting.c import chat_notes
    from edgewright.exporting.web import export_web

    artifact = export_web(
        bundle, out=out, precision=precision, engine=engine, force=force, progress=status(quiet=quiet)
    )
    emit([{**artifact_row(artifact), "out": out}], as_json=as_json, notes=chat_notes(out), client="web")
