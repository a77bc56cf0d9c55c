"""edgewright flash."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from edgewright.cli._show import board_options, emit, output_options, status

if TYPE_CHECKING:
    from edgewright.flash import Flashed

__all__ = ["command"]

_KEYS = ("format", "precision", "size_bytes", "engine", "golden", "max_abs")


@click.command("flash")
@click.argument("bundle", type=click.Path())
@click.argument("url")
@click.option("--allow-downgrade", is_flag=True, help="Install a version below the active one.")
@click.option(
    "--service/--no-service",
    default=None,
    help="Serve the active release by systemd, or remove that; by default left as it is.",
)
@click.option("--timeout", "timeout_s", default=600.0, show_default=True, help="Most seconds of a check on the board.")
@board_options
@output_options
def command(
    bundle: str,
    url: str,
    *,
    allow_downgrade: bool,
    service: bool | None,
    timeout_s: float,
    root: str,
    python: str,
    as_json: bool,
    quiet: bool,
) -> None:
    """Install BUNDLE, a directory or what `pack` wrote, on the board at URL, such as local.

    Only files that the board lacks are sent. The bundle is proven there by its golden cases before it becomes active,
    and is taken back when it is not healthy after that. A plug pulled at any moment leaves the old release or the new.
    """
    from edgewright.device import connect
    from edgewright.flash import flash
    from edgewright.packing import opened

    with opened(bundle) as found:
        done = flash(
            found,
            connect(url),
            root=root,
            python=python,
            allow_downgrade=allow_downgrade,
            service=service,
            timeout_s=timeout_s,
            progress=status(quiet=quiet),
        )
    rows = [{key: row.get(key) for key in _KEYS} for row in done.rows]
    facts: dict[str, Any] = {
        "release": done.release,
        "version": done.version,
        "changed": done.changed,
        "signer": done.signer or None,
    }
    facts |= {
        "sent": done.sent,
        "sent_bytes": done.sent_bytes,
        "left": done.left or None,
        "socket": done.socket or None,
    }
    emit(rows, as_json=as_json, title=_title(url, done), flash=facts)


def _title(url: str, done: Flashed) -> str:
    signed = f", signed by {done.signer}" if done.signer else ""
    what = f"{url}: {done.release}, version {done.version}{signed}, is active"
    what += f", served at {done.socket}" if done.socket else ""
    if not done.changed:
        return f"{what}, as it was before"
    left = f"\n{done.left}" if done.left else ""
    return f"{what}; sent {len(done.sent)} files, {done.sent_bytes / 1e6:.1f} MB{left}"
