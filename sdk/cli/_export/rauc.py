"""edgewright export rauc."""

from __future__ import annotations

import click

from edgewright.cli._options import example, fleet_options
from edgewright.cli._progress import status
from edgewright.cli._tables import emit, wrote
from edgewright.system.words import human

__all__ = ["command"]


@click.command(
    "rauc",
    epilog=example("export rauc sentiment --compatible my-board --cert cert.pem --key key.pem --out update.raucb"),
)
@click.argument("bundle", type=click.Path())
@click.option("--compatible", required=True, help="The board's `compatible`, as its system.conf has it.")
@click.option("--cert", required=True, type=click.Path(), help="The certificate to sign with.")
@click.option("--key", required=True, type=click.Path(), help="Its private key, or a PKCS#11 URL.")
@fleet_options
def command(
    bundle: str,
    *,
    compatible: str,
    cert: str,
    key: str,
    out: str,
    root: str,
    service: bool,
    force: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Write BUNDLE as a bundle for RAUC, which installs it on the board by `edgewright flash FILE local`.

    It needs rauc and mksquashfs here, and edgewright with an engine on the board. RAUC's slots stay as they are.
    """
    from edgewright.exporting._updater import Install
    from edgewright.exporting.rauc import export_rauc
    from edgewright.system.files import size_of

    install = Install(root, service=service)
    progress = status(quiet=quiet)
    file = export_rauc(
        bundle, out=out, compatible=compatible, cert=cert, key=key, install=install, force=force, progress=progress
    )
    size = size_of(file)
    if size is None:
        wrote(out)
        return
    emit([{"out": out, "size_bytes": size}] if as_json else [], as_json=as_json, title=f"{out}, {human(size)}")
