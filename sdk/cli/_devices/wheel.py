"""edgewright devices wheel."""

from __future__ import annotations

import click

from edgewright.cli._options import example, output_options
from edgewright.cli._tables import emit

__all__ = ["command"]


@click.command("wheel", epilog=example("devices wheel --out for-the-board"))
@click.option("-o", "--out", required=True, type=click.Path(), help="The directory for it.")
@output_options
def command(out: str, *, as_json: bool, quiet: bool) -> None:
    """Write the wheel of the board's part alone, for pip on a board: it runs, measures and installs bundles."""
    del quiet
    from edgewright.boards.own_wheel import board_wheel

    made = board_wheel(out)
    emit([{"wheel": str(made), "size_bytes": made.stat().st_size}], as_json=as_json)
