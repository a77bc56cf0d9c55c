"""edgewright devices probe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from msgspec import to_builtins

from edgewright.cli._options import board_options, example, output_options, profiles_option
from edgewright.cli._tables import emit
from edgewright.errors import one_line

if TYPE_CHECKING:
    from edgewright.boards.facts import Match
    from edgewright.contracts.board_answers import Facts
from edgewright.system.words import human

__all__ = ["command"]

_EMULATED = "emulated: memory, disk, heat, clock and governor are this machine's"


@click.command("probe", epilog=example("devices probe ssh://pi@pi4.local"))
@click.argument("url")
@profiles_option
@board_options
@output_options
def command(url: str, *, profiles: str | None, root: str, python: str, as_json: bool, quiet: bool) -> None:
    """Say what the board at URL is and how it is: model, cores, memory, heat, engines, and its profile.

    It needs a Python there (3.9 or newer) and nothing else. Each engine is imported in a process of its own.
    """
    del quiet
    from edgewright.boards.connect import connect
    from edgewright.boards.facts import probe_board

    probed = probe_board(connect(url), root=root, python=python, profiles=profiles)
    facts, found = probed.facts, probed.match
    lines = {**_board(facts, found), **_state(facts)} | ({"note": _EMULATED} if probed.emulated else {})
    title = "\n".join(f"{name:<13}{one_line(str(value))}" for name, value in lines.items() if value not in (None, ""))
    record: dict[str, Any] = (
        {"url": url, "emulated": probed.emulated, "match": found, "facts": facts} if as_json else {}
    )
    emit([_row(row) for row in to_builtins(facts.packages)], as_json=as_json, title=f"{title}\n", **record)


def _row(row: dict[str, str]) -> dict[str, Any]:
    return {"package": row["module"], "version": row["version"] or None, "state": row["state"]}


def _board(facts: Facts, found: Match) -> dict[str, Any]:
    """The lines of what does not change."""
    cores = [f"{len(one.numbers)} x {one.kind}" for one in facts.cores]
    clocks = [f" at up to {one.clock_mhz:.0f} MHz" if one.clock_mhz else "" for one in facts.cores]
    alike = f", as {', '.join(found.alike)}" if found.alike else ""
    return {
        "board": facts.model,
        "product": facts.product,
        "profile": f"{found.profile}, by its {found.by}{alike}" if found.profile else "none of those that are known",
        "cores": " + ".join(map("".join, zip(cores, clocks, strict=True))),
        "instructions": ", ".join(facts.instructions),
        "system": f"{facts.os}, {facts.kernel}, {facts.architecture}",
        "python": f"{facts.python} ({facts.executable})" if facts.python else f"{facts.executable}: {facts.problem}",
    }


def _state(facts: Facts) -> dict[str, Any]:
    """The lines of what does."""
    from edgewright.boards.facts import throttling

    free = "" if facts.free_ram_mib is None else f", {facts.free_ram_mib:.0f} MiB free"
    bits = facts.throttled
    return {
        "memory": f"{facts.ram_mib} MiB{free}",
        "disk": None if facts.disk_free_bytes is None else f"{human(facts.disk_free_bytes)} free",
        "temperature": None if facts.temperature_c is None else f"{facts.temperature_c:.1f} °C",
        "clock": None
        if facts.clock_mhz is None
        else f"{facts.clock_mhz:.0f} MHz, governor {facts.governor or 'unknown'}",
        "throttled": None if bits is None else f"{', '.join(throttling(bits)) or 'no'} ({bits:#x})",
    }
