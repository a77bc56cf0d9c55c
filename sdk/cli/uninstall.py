"""edgewright uninstall."""

from __future__ import annotations

import click

from edgewright.cli._options import board_options, example, output_options
from edgewright.cli._tables import emit
from edgewright.system.words import counted

__all__ = ["command"]


@click.command("uninstall", epilog=example("uninstall ssh://pi@pi4.local"))
@click.argument("url")
@board_options
@output_options
def command(url: str, *, root: str, python: str, as_json: bool, quiet: bool) -> None:
    """Remove every release from the board at URL. The keys of its owner stay."""
    del quiet
    from edgewright.boards.connect import board_behind, connect
    from edgewright.boards.flash import uninstall

    removed = uninstall(board_behind(connect(url), root=root, python=python))
    title = f"{url}: {counted(len(removed), 'release')} removed"
    emit([{"release": name} for name in removed], as_json=as_json, title=title)
