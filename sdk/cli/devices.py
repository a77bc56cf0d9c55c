"""edgewright devices: one file per subcommand in `_devices`, and only the one that runs is imported."""

from __future__ import annotations

import click

from edgewright import registry

__all__ = ["command"]

_ROOM = "cli._devices"


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(registry.names(_ROOM))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in registry.names(_ROOM):
            return None
        command: click.Command = registry.load(_ROOM, cmd_name)
        return command


@click.group("devices", cls=_Commands)
def command() -> None:
    """What is known of boards, and boards that are emulated here."""
