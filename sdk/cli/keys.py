"""edgewright keys: one file per subcommand in `_keys`, and only the one that runs is imported."""

from __future__ import annotations

import click

from edgewright.cli._options import subcommands

__all__ = ["command"]


@click.group("keys", cls=subcommands("cli._keys"))
def command() -> None:
    """Who may sign for boards: a root of keys, and how the next one follows it."""
