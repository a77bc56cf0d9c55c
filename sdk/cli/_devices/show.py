"""edgewright devices show."""

from __future__ import annotations

from typing import Any

import click
from msgspec import to_builtins

from edgewright.cli._options import example, output_options, profiles_option
from edgewright.cli._tables import emit

__all__ = ["command"]


@click.command("show", epilog=example("devices show raspberry-pi-4"))
@click.argument("name")
@profiles_option
@output_options
def command(name: str, *, profiles: str | None, as_json: bool, quiet: bool) -> None:
    """Show the profile called NAME: what is known of the board, where from, and what follows."""
    del quiet
    from edgewright.boards.catalogue import named

    profile = to_builtins(named(name, profiles))
    emit(list(_facts("", profile)), as_json=as_json, profile=profile)


def _facts(path: str, tree: Any) -> Any:
    """A row for each value, the sources of a table after its values; what is not known has none."""
    if isinstance(tree, dict):
        for key, value in sorted(tree.items(), key=lambda item: item[0] == "sources"):
            yield from _facts(f"{path}.{key}" if path else key, value)
    elif isinstance(tree, list | tuple) and tree and (isinstance(tree[0], dict) or path.endswith("sources")):
        for at, value in enumerate(tree):
            name = path.removesuffix("s") if path.endswith("sources") else f"{path}[{at}]"
            yield from _facts(name, value)
    elif tree not in (None, [], ()):
        yield {"fact": path, "value": ", ".join(map(str, tree)) if isinstance(tree, list | tuple) else str(tree)}
