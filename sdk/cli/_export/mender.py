"""edgewright export mender."""

from __future__ import annotations

import click

from edgewright.cli._options import example, fleet_options
from edgewright.cli._progress import status
from edgewright.cli._tables import emit
from edgewright.system.words import human

__all__ = ["command"]


@click.command("mender", epilog=example("export mender sentiment --device-type raspberrypi4 --out update.mender"))
@click.argument("bundle", type=click.Path())
@click.option("--device-type", "device_types", required=True, multiple=True, help="For which boards; may stand again.")
@click.option("--name", default="", help="The artifact's name; by default edgewright-, its version and hash.")
@click.option("--key", type=click.Path(), help="A private key to sign with.")
@fleet_options
def command(
    bundle: str,
    *,
    device_types: tuple[str, ...],
    name: str,
    key: str | None,
    out: str,
    root: str,
    service: bool,
    force: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Write BUNDLE as an artifact for Mender, and beside it the update module that installs it.

    The module, FILE.module, belongs on the board as /usr/share/mender/modules/v3/edgewright; it runs `edgewright flash
    FILE local` there, and `edgewright rollback local` where Mender takes an update back. It needs mender-artifact here.
    """
    from edgewright.exporting._updater import Install
    from edgewright.exporting.mender import export_mender

    install = Install(root, service=service)
    progress = status(quiet=quiet)
    file, module = export_mender(
        bundle, out=out, device_types=device_types, name=name, key=key, install=install, force=force, progress=progress
    )
    size = file.stat().st_size
    rows = [{"out": out, "size_bytes": size, "module": str(module)}] if as_json else []
    emit(rows, as_json=as_json, title=f"{out}, {human(size)}\n{module}, its update module")
