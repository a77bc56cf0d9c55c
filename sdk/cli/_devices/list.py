"""edgewright devices list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from edgewright.cli._options import example, output_options, profiles_option
from edgewright.cli._tables import emit

if TYPE_CHECKING:
    from edgewright.boards.catalogue import Profile

__all__ = ["command"]


@click.command("list", epilog=example("devices list"))
@profiles_option
@output_options
def command(*, profiles: str | None, as_json: bool, quiet: bool) -> None:
    """List the boards that have a profile: the project's, and your own."""
    del quiet
    from edgewright.boards.catalogue import board_profiles

    emit([_row(name, profile) for name, profile in board_profiles(profiles).items()], as_json=as_json)


def _row(name: str, profile: Profile) -> dict[str, Any]:
    """One line of the table: the sizes of memory go by GiB, as shops give them."""
    ram = "/".join(f"{size / 1024:g}" for size in profile.memory.ram_mib)
    first, _, _ = profile.vendor.partition(" ")
    vendor = "" if profile.vendor == "any" or profile.name.startswith(first) else profile.vendor
    return {
        "profile": name,
        "board": f"{vendor} {profile.name}".strip(),
        "cores": " + ".join(f"{one.count} {one.core}" for one in profile.cpu.clusters) or None,
        "instructions": ", ".join(profile.cpu.instructions),
        "ram_gib": ram or None,
        "prefer": profile.run.prefer[0],
        "threads": profile.run.threads,
    }
