"""edgewright keys rotate."""

from __future__ import annotations

import click

from edgewright.cli._options import example, output_options
from edgewright.cli._tables import emit

__all__ = ["command"]


def _named(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    pairs = [word.partition("=") for word in given]
    if not all(name and path for name, _, path in pairs):
        raise click.BadParameter("give NAME=KEY.pub, such as alice@example.org=alice.pub")
    return {name: path for name, _, path in pairs}


@click.command(
    "rotate", epilog=example("keys rotate root.json --key ~/.ssh/id_ed25519 --add alice@example.org=alice.pub")
)
@click.argument("file", type=click.Path())
@click.option("--key", "keys", multiple=True, required=True, type=click.Path(), help="A private key that signs it.")
@click.option("--add", multiple=True, metavar="NAME=KEY.pub", callback=_named, help="Whose key counts from now on.")
@click.option("--remove", multiple=True, metavar="NAME", help="Whose key counts no more.")
@click.option("--threshold", type=click.IntRange(1), help="Of how many keys a signature is needed; 1 at first.")
@output_options
def command(
    file: str,
    *,
    keys: tuple[str, ...],
    add: dict[str, str],
    remove: tuple[str, ...],
    threshold: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Write the next root of keys into FILE, signed by keys of the last one and its own; the first where there is none.

    Without a change it still counts one up, so that bundles which were signed until an earlier one are installed no
    more. Boards have the first root from their owner, as ROOT/keys/root.json, and the others by `keys send`.
    """
    del quiet
    from edgewright.bundle.rotation import rotate, standing

    rotate(file, keys, add=add, remove=remove, threshold=threshold)
    root, problem = standing(file)
    emit(
        [{**root.record(), "problem": problem or None}] if as_json else [],
        as_json=as_json,
        title=f"{file}: root {root.version}, {problem or 'signed'}",
    )
