"""edgewright devices: one file per subcommand in `_devices`, and only the one that runs is imported."""

from __future__ import annotations

import click

from edgewright.cli._options import subcommands

__all__ = ["command"]


@click.group("devices", cls=subcommands("cli._devices"))
def command() -> None:
    """What is known of boards, and boards that are emulated here."""
