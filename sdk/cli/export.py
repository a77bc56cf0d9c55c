"""edgewright export: one file per target in `_export`, and only the one that is asked for is imported."""

from __future__ import annotations

import click

from edgewright.cli._options import subcommands

__all__ = ["command"]


@click.group("export", cls=subcommands("cli._export"))
def command() -> None:
    """What others open or install, made of a bundle."""
