"""edgewright list."""

from __future__ import annotations

from typing import Any

import click
from msgspec import to_builtins

from edgewright.cli._options import board_options, example, output_options
from edgewright.cli._tables import emit
from edgewright.errors import one_line

__all__ = ["command"]


@click.command("list", epilog=example("list ssh://pi@pi4.local"))
@click.argument("url")
@board_options
@output_options
def command(url: str, *, root: str, python: str, as_json: bool, quiet: bool) -> None:
    """List the releases on the board at URL, in an instant: no file is hashed. `status` looks at every one."""
    del quiet
    from edgewright.boards.connect import connect
    from edgewright.boards.flash import listing

    found = listing(connect(url), root=root, python=python)
    facts: dict[str, Any] = to_builtins(found)
    rows = facts.pop("releases")
    for row in rows:
        del row["problem"]
    own = f", with an environment for {', '.join(found.engines)}" if found.engines else ""
    none = "" if rows else "; nothing is installed"
    emit(
        rows, as_json=as_json, title=f"{one_line(url)}: {one_line(found.root)}{own}{none}", **(facts if as_json else {})
    )
