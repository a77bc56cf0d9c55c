"""edgewright devices check."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgewright.cli._options import example, output_options
from edgewright.cli._tables import emit
from edgewright.errors import UsageError

__all__ = ["command"]


@click.command("check", epilog=example("devices check my-board.toml"))
@click.argument("files", nargs=-1, required=True, type=click.Path())
@output_options
def command(files: tuple[str, ...], *, as_json: bool, quiet: bool) -> None:
    """Check profiles of your own: every field, its values, and whether the tables fit each other."""
    del quiet
    rows = [_row(file) for file in files]
    emit(rows, as_json=as_json)
    bad = [row["file"] for row in rows if row["problem"]]
    if bad:
        raise UsageError(f"{len(bad)} of {len(rows)} profiles are bad: {', '.join(bad)}", hint="see above")


def _row(file: str) -> dict[str, Any]:
    from edgewright.boards.catalogue import read_profile

    try:
        return {"file": file, "board": read_profile(Path(file)).name, "problem": None}
    except UsageError as error:
        return {"file": file, "board": None, "problem": str(error)}
