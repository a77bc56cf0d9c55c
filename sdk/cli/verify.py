"""edgewright verify."""

from __future__ import annotations

import click

from edgewright.cli._show import artifact_row, emit, output_options, status

__all__ = ["command"]


@click.command("verify")
@click.argument("bundle", type=click.Path())
@click.option("--quick", is_flag=True, help="Only the artifact that `run` opens, and only the first golden case.")
@output_options
def command(bundle: str, *, quick: bool, as_json: bool, quiet: bool) -> None:
    """Check every hash of BUNDLE and replay its golden cases in every installed engine."""
    from edgewright.verification import verify

    rows = [
        {
            **artifact_row(r.artifact),
            "engine": r.engine or None,
            "golden": f"{r.cases} of {r.cases}" if r.engine else f"not replayed: {r.skipped}",
            "max_abs": r.max_abs if r.engine else None,
        }
        for r in verify(bundle, quick=quick, progress=status(quiet=quiet))
    ]
    emit(rows, as_json=as_json, title=f"{bundle}: {'answers' if quick else 'intact'}")
