"""edgewright pack."""

from __future__ import annotations

import click

from edgewright.cli._options import example, output_options
from edgewright.cli._tables import emit, wrote
from edgewright.system.words import human

__all__ = ["command"]


@click.command("pack", epilog=example("pack sentiment --out sentiment.tar"))
@click.argument("bundle", type=click.Path())
@click.option("-o", "--out", required=True, type=click.Path(), help="The file to write, a plain tar.")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@output_options
def command(bundle: str, *, out: str, force: bool, as_json: bool, quiet: bool) -> None:
    """Write BUNDLE as one file; `flash` takes it as it is, `unpack` makes the directory again.

    The same bundle gives the same bytes.
    """
    del quiet
    from edgewright.bundle.packing import pack
    from edgewright.system.files import sha256, size_of

    file = pack(bundle, out, force=force)
    size = size_of(file)
    if size is None:
        wrote(out)
        return
    digest = sha256(file)
    rows = [{"out": out, "size_bytes": size, "sha256": digest}] if as_json else []
    emit(rows, as_json=as_json, title=f"{out}, {human(size)}, SHA-256 {digest}")
