"""edgewright keys sign."""

from __future__ import annotations

import click

from edgewright.cli._options import example, output_options
from edgewright.cli._tables import emit

__all__ = ["command"]


@click.command("sign", epilog=example("keys sign root.json --key ~/.ssh/id_ed25519"))
@click.argument("file", type=click.Path())
@click.option("--key", "keys", multiple=True, required=True, type=click.Path(), help="A private key that signs it.")
@output_options
def command(file: str, *, keys: tuple[str, ...], as_json: bool, quiet: bool) -> None:
    """Sign the newest root of keys in FILE too, where it needs more than one signature."""
    del quiet
    from edgewright.bundle.rotation import countersign, standing

    countersign(file, keys)
    root, problem = standing(file)
    emit(
        [{**root.record(), "problem": problem or None}] if as_json else [],
        as_json=as_json,
        title=f"{file}: root {root.version}, {problem or 'signed'}",
    )
