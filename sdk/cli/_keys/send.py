"""edgewright keys send."""

from __future__ import annotations

import click
from msgspec import to_builtins

from edgewright.cli._options import board_options, example, output_options
from edgewright.cli._tables import emit
from edgewright.errors import one_line

__all__ = ["command"]


@click.command("send", epilog=example("keys send root.json ssh://pi@pi4.local"))
@click.argument("file", type=click.Path())
@click.argument("url")
@board_options
@output_options
def command(file: str, url: str, *, root: str, python: str, as_json: bool, quiet: bool) -> None:
    """Give the board at URL the newest root of keys in FILE, which the ones before it signed step by step."""
    del quiet
    from edgewright.boards.connect import board_behind, connect
    from edgewright.boards.flash import rekey

    done = rekey(board_behind(connect(url), root=root, python=python), file)
    changed = f"root {done.now}, {done.before} was" if done.now != done.before else f"root {done.now}, as it was before"
    title = f"{url}: {changed}; {done.threshold} of {len(done.names)} keys sign: {', '.join(map(one_line, done.names))}"
    if done.refused:
        title += f"\nthese keys did not sign {', '.join(map(one_line, done.refused))}: sign and flash it again"
    emit([to_builtins(done)] if as_json else [], as_json=as_json, title=title)
