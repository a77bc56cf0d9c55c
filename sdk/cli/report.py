"""edgewright report."""

from __future__ import annotations

import json
from pathlib import Path

import click
from msgspec import to_builtins

from edgewright.cli._tables import wrote

__all__ = ["command"]


@click.command("report")
@click.argument("run", type=click.Path())
@click.argument("profiles", type=click.Path(), nargs=-1)
@click.option("--html", "page", type=click.Path(), help="Write one page that needs nothing else here.")
@click.option("--baseline", type=click.Path(), help="An earlier file of rows to compare with.")
@click.option("--json", "as_json", is_flag=True, help="Print the rows, samples and all, as one JSON object.")
def command(run: str, profiles: tuple[str, ...], *, page: str | None, baseline: str | None, as_json: bool) -> None:
    """Show RUN, a file that `edgewright bench --out` wrote, as a page; without --html, print Markdown.

    PROFILES are files of `edgewright profile --out`: bars of where the time of an artifact of the run goes.
    """
    from edgewright.errors import DataError
    from edgewright.measure import profile, rows
    from edgewright.reporting import page as report
    from edgewright.system.files import write_whole

    found, before = rows.read(run), rows.read(baseline) if baseline else None
    if not found.rows:
        raise DataError(f"{run} has no rows", hint="; ".join(found.problems) or "measure again")
    timed = [profile.read(path) for path in profiles]
    if page:
        write_whole(Path(page), report.html(found, before, timed).encode())
        wrote(page)
    if as_json:
        click.echo(json.dumps({"rows": to_builtins(found.rows)}, ensure_ascii=False))
    elif not page:
        click.echo(report.markdown(found, before, timed), nl=False)
