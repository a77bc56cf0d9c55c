"""edgewright rollback."""

from __future__ import annotations

import click

from edgewright.cli._options import board_options, example, output_options
from edgewright.cli._progress import status
from edgewright.cli._tables import emit

__all__ = ["command"]


@click.command("rollback", epilog=example("rollback ssh://pi@pi4.local"))
@click.argument("url")
@click.option("--heal", is_flag=True, help="Only if a file of the active release is damaged.")
@board_options
@output_options
def command(url: str, *, heal: bool, root: str, python: str, as_json: bool, quiet: bool) -> None:
    """Make the previous release of the board at URL the active one, after its golden cases. Twice leads back."""
    from edgewright.boards.connect import board_behind, connect
    from edgewright.boards.flash import rollback

    board = board_behind(connect(url), root=root, python=python)
    status(quiet=quiet)("prove, switch, look at its health")
    done = rollback(board, heal=heal)
    changed = done.active != done.before
    title = f"{url}: {done.active} is active" + (f", {done.before} was" if changed else " and whole; nothing was done")
    row = {"release": done.active, "before": done.before, "left": done.left or None}
    emit([row] if as_json else [], as_json=as_json, title="\n".join(filter(None, (title, done.left))))
