"""edgewright devices estimate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from edgewright.cli._options import PROFILES, example, output_options, profiles_option
from edgewright.cli._tables import artifact_row, emit

if TYPE_CHECKING:
    from edgewright.boards.catalogue import Profile
    from edgewright.boards.estimate import Estimate

__all__ = ["command"]

_BOUND = (
    "bound_ms is the least time that the board's arithmetic and memory allow (roofline): a bound, not a measurement"
)


@click.command("estimate", epilog=example("devices estimate sentiment --device raspberry-pi-4"))
@click.argument("bundle", type=click.Path())
@click.option(
    "--device", required=True, metavar="PROFILE", type=PROFILES, help="The board; see edgewright devices list."
)
@click.option("--tokens", default=128, show_default=True, help="Length of the text.")
@click.option("--threads", type=int, help="Threads of the bound; by default the profile's.")
@profiles_option
@output_options
def command(
    bundle: str, *, device: str, tokens: int, threads: int | None, profiles: str | None, as_json: bool, quiet: bool
) -> None:
    """Sum up the memory that each artifact of BUNDLE takes on a board, and bound its latency, before it is there."""
    del quiet
    from edgewright.boards.catalogue import named
    from edgewright.boards.estimate import estimate
    from edgewright.bundle.bundle import Bundle

    opened, board = Bundle.open(bundle), named(device, profiles)
    opened.check_hashes()
    longest = opened.manifest.settings.max_length
    found = estimate(opened, board, tokens=min(tokens, longest), threads=threads)
    ram = " or ".join(map(str, board.memory.ram_mib)) or "an unknown number of"
    many = f"{found[0].threads} thread{'s' * (found[0].threads > 1)}"
    title = f"{board.name}, {ram} MiB; {min(tokens, longest)} tokens, {many}; memory in MiB\n"
    emit([_row(one, board) for one in found], as_json=as_json, title=title, notes=_notes(found))


def _row(one: Estimate, board: Profile) -> dict[str, Any]:
    parts = {name: round(size, 1) for name, size in one.parts_mib.items()}
    known = bool(board.memory.ram_mib)
    return {
        **artifact_row(one.artifact),
        "engine": one.engine,
        **{
            name: parts.get(name)
            for name in ("python", "tokenizer", "engine_own", "weights", "activations", "kv_cache")
        },
        "engine_own": parts["engine"],
        "sum_mib": round(one.sum_mib, 1),
        "fits": (f"{one.fits_mib} MiB" if one.fits_mib else "no") if known else None,
        "bound_ms": one.bound_ms,
    }


def _notes(found: list[Estimate]) -> list[str]:
    guessed = dict.fromkeys(one.engine for one in found if not one.measured)
    own = [f"the memory of {', '.join(guessed)} itself is a guess: it was not measured"] if guessed else []
    return [*([_BOUND] if any(one.bound_ms for one in found) else []), *own]
