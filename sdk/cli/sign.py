"""edgewright sign."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import click

from edgewright.cli._options import example, output_options
from edgewright.cli._tables import emit

__all__ = ["command"]


@click.command("sign", epilog=example("sign sentiment --key ~/.ssh/id_ed25519"))
@click.argument("bundle", type=click.Path())
@click.option("--key", required=True, type=click.Path(), help="An SSH private key, or a public one in ssh-agent.")
@output_options
def command(bundle: str, *, key: str, as_json: bool, quiet: bool) -> None:
    """Sign BUNDLE with an SSH key; `verify --signers` and boards with an owner's key ask for it."""
    del quiet
    from edgewright.bundle.signing import sign

    with suppress(RuntimeError):  # a user without a home
        key = str(Path(key).expanduser())
    out = sign(bundle, key)
    emit([{"signature": str(out)}] if as_json else [], as_json=as_json, title=f"{bundle}: signed, {out.name}")
