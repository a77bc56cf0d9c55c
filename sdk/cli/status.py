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

_EVERY = 20
"""As many as a board tells."""


class _Command(click.Command):
    """`--journal` without a number means all that the board tells: click would take the word after it for its value."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        bare = [word == "--journal" and not after.isdigit() for word, after in zip(args, [*args, ""][1:], strict=True)]
        words = [f"--journal={_EVERY}" if alone else word for word, alone in zip(args, bare, strict=True)]
        return super().parse_args(ctx, words)


@click.command("status", cls=_Command, epilog=example("status ssh://pi@pi4.local"))
@click.argument("url")
@click.option("--journal", "lines", metavar="[N]", default=5, show_default=True, help="How many of its last events.")
@board_options
@output_options
def command(url: str, *, lines: int, root: str, python: str, as_json: bool, quiet: bool) -> None:
    """Show the releases on the board at URL, every file hashed, and the end of its journal, every line checked.

    Ends with 5 if the active release is damaged, or a line of the journal was altered or taken out.
    """
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
    if found.chain.problem:
        hint = f"find out who did it; {one_line(found.root)}/journal.* may then be removed there"
        raise DeviceError(f"the board's journal is not what was written: {found.chain.problem}", hint=hint)


def _title(url: str, found: Status, lines: int) -> str:
    free = "" if found.free_bytes is None else f", {human(found.free_bytes)} free"
    signed = f", signed bundles from version {found.newest} on only" if found.signed_only else ""
    fleets = f", of the fleet {', '.join(map(one_line, found.fleets))}" if found.fleets else ""
    signed += f", by root {found.keys} of keys" if found.keys else ""
    facts = [f"{one_line(url)}: {one_line(found.root)}{free}{signed}{fleets}"]
    if not found.releases:
        facts.append("nothing is installed")
    if found.service:
        facts.append(one_line(f"served at {found.service.socket}, {found.service.state}"))
    if found.trial:
        facts.append(f"{found.trial} was interrupted on trial; the next flash or rollback takes it back")
    events = found.journal[-lines:] if lines > 0 else ()
    if events and not found.chain.problem:
        facts.append(f"the journal is as it was written, to line {found.chain.lines}, {one_line(found.chain.head, 16)}")
    facts += [one_line(f"{event.what}: {event.why}") for event in events]
    return "\n".join(facts) + ("\n" if found.releases else "")
