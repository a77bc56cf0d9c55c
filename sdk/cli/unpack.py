"""edgewright unpack."""

from __future__ import annotations

import click

from edgewright.cli._options import example, output_options
from edgewright.cli._tables import artifact_row, emit

__all__ = ["command"]


@click.command("unpack", epilog=example("unpack sentiment.tar --out sentiment"))
@click.argument("packed", type=click.Path())
@click.option("-o", "--out", required=True, type=click.Path(), help="The directory to write.")
@click.option("--force", is_flag=True, help="Replace a bundle that is there.")
@output_options
def command(packed: str, *, out: str, force: bool, as_json: bool, quiet: bool) -> None:
    """Make a bundle's directory of what `pack` wrote; a file that differs from its manifest in anything is refused."""
    del quiet
    from edgewright.bundle.packing import unpack

    bundle = unpack(packed, out, force=force)
    emit([artifact_row(artifact) for artifact in bundle.manifest.artifacts], as_json=as_json)
