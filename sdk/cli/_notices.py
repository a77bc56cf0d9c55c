"""How the command line shows what is said beside an answer."""

from __future__ import annotations

import logging

import click

from edgewright.errors import one_line

__all__ = ["Notices", "show"]


class Notices(logging.Handler):
    """What a data file was read as, and the like, as lines on standard error, unless --quiet was given."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record's message as one line."""
        context = click.get_current_context(silent=True)
        if not (context and context.params.get("quiet")):
            click.echo(f"edgewright: {one_line(record.getMessage())}", err=True)


def show(*, verbose: bool) -> None:
    """Have notices printed, those for debugging too where more is to be shown."""
    notices = logging.getLogger("edgewright")
    notices.addHandler(Notices())
    notices.setLevel(logging.DEBUG if verbose else logging.INFO)
    notices.propagate = False
