"""edgewright verify."""

from __future__ import annotations

from typing import Any

import click

from edgewright.cli._options import device_options, example, output_options
from edgewright.cli._progress import status
from edgewright.cli._tables import emit

__all__ = ["command"]


@click.command("verify", epilog=example("verify sentiment --signers keys"))
@click.argument("bundle", type=click.Path())
@click.option("--quick", is_flag=True, help="Only the artifact that `run` opens, and only the first golden case.")
@click.option("--signers", type=click.Path(), help="Ask for a signature by one of these keys (allowed signers).")
@click.option("--revoked", type=click.Path(), help="Keys that count no more: a revocation list, or public keys.")
@device_options
@output_options
def command(
    bundle: str,
    *,
    quick: bool,
    signers: str | None,
    revoked: str | None,
    device: str | None,
    as_json: bool,
    quiet: bool,
    **_: Any,
) -> None:
    """Check every hash of BUNDLE and replay its golden cases in every installed engine."""
    from edgewright.bundle.signing import check_signature
    from edgewright.proof.verify import verify

    if revoked and not signers:
        raise click.UsageError("--revoked goes with --signers")
    signer = check_signature(bundle, signers, revoked=revoked) if signers else None
    if device:
        from edgewright.cli._on_device import ask

        rows = ask(keep=("signers", "revoked")).tree["rows"]
    else:
        rows = [replayed.record() for replayed in verify(bundle, quick=quick, progress=status(quiet=quiet))]
    place = f" on {device}" if device else ""
    title = f"{bundle}{place}: {'answers' if quick else 'intact'}{f', signed by {signer}' if signer else ''}"
    emit(rows, as_json=as_json, title=title, signer=signer)
