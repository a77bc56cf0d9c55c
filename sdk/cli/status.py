"""edgewright status."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from msgspec import to_builtins

from edgewright.cli._options import board_options, example, output_options
from edgewright.cli._tables import emit
from edgewright.errors import DeviceError, one_line
from edgewright.system.words import human

if TYPE_CHECKING:
    from edgewright.contracts.board_answers import Status

__all__ = ["command"]


@click.command("status", epilog=example("status ssh://pi@pi4.local"))
@click.argument("url")
@click.option("--journal", "lines", default=5, show_default=True, help="How many of the last events to show.")
@board_options
@output_options
def command(url: str, *, lines: int, root: str, python: str, as_json: bool, quiet: bool) -> None:
    """Show the releases on the board at URL, every file hashed. Ends with 5 if the active one is damaged."""
    del quiet
    from edgewright.boards.connect import board_behind, connect
    from edgewright.boards.flash import status

    found = status(board_behind(connect(url), root=root, python=python))
    facts: dict[str, Any] = to_builtins(found)
    rows = facts.pop("releases")
    for row in rows:
        row["problem"] = row["problem"] or None
    emit(rows, as_json=as_json, title=_title(url, found, lines), **(facts if as_json else {}))
    bad = next((row for row in found.releases if row.problem and row.name == found.current), None)
    if bad:
        hint = f"run: edgewright rollback {url}{f' --root {root}' if root else ''}, or flash a bundle again"
        raise DeviceError(f"the active release {bad.name} is not whole: {bad.problem}", hint=hint)


def _title(url: str, found: Status, lines: int) -> str:
    free = "" if found.free_bytes is None else f", {human(found.free_bytes)} free"
    signed = f", signed bundles from version {found.newest} on only" if found.signed_only else ""
    facts = [f"{one_line(url)}: {one_line(found.root)}{free}{signed}"]
    if not found.releases:
        facts.append("nothing is installed")
    if found.service:
        facts.append(one_line(f"served at {found.service.socket}, {found.service.state}"))
    if found.trial:
        facts.append(f"{found.trial} was interrupted on trial; the next flash or rollback takes it back")
    events = found.journal[-lines:] if lines > 0 else ()
    facts += [one_line(f"{event.what}: {event.why}") for event in events]
    return "\n".join(facts) + ("\n" if found.releases else "")
