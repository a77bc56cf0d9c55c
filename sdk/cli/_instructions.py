"""`bench` on an emulated board: instructions instead of times."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from edgewright.cli._options import GIVEN
from edgewright.cli._progress import status
from edgewright.cli._tables import emit, score_record

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["counts"]

_TAKEN = {"bundle", "tokens", "format_", "precision", "device", "root", "python", "as_json", "quiet", "form"}


def counts(bundle: str, tokens: Sequence[int]) -> bool:
    """Print the counts of the command at hand where its `--device` is emulated; whether it is.

    Raises:
        UsageError: an option was typed that is about times.
    """
    from edgewright.boards.connect import connect

    context = click.get_current_context()
    given = context.params
    transport = connect(given["device"])
    if not transport.emulated:
        return False
    for parameter in context.command.params:
        name = str(parameter.name)
        if name not in _TAKEN and context.get_parameter_source(name) in GIVEN:
            what = f"{given['device']} is emulated, its instructions are counted"
            raise click.UsageError(f"{what}: {parameter.opts[0]} is for times")
    from edgewright.boards.instructions import count_active

    where = {"root": given["root"], "python": given["python"], "tokens": tokens}
    narrowed = {"format": given["format_"], "precision": given["precision"]}
    found = count_active(bundle, transport, **where, **narrowed, progress=status(quiet=given["quiet"]))
    rows = [{**one.row(), "score": score_record(one.artifact.score)} for one in found]
    words = f"{given['device']} is emulated: instructions of an inference, or of a token that is written"
    title = words if given["form"] == "table" else ""
    emit(rows, as_json=given["as_json"], form=given["form"], title=title)
    return True
