"""edgewright report."""

from __future__ import annotations

import json
from pathlib import Path

import click
from msgspec import to_builtins

from edgewright.cli._options import example
from edgewright.cli._tables import wrote

__all__ = ["command"]


@click.command("report", epilog=example("report run.json --html report.html"))
@click.argument("run", type=click.Path())
@click.argument("profiles", type=click.Path(), nargs=-1)
@click.option("--html", "page", type=click.Path(), help="Write one page that needs nothing else here.")
@click.option("--baseline", type=click.Path(), help="An earlier file of rows to compare with.")
@click.option("--json", "as_json", is_flag=True, help="Print the rows, samples and all, as one JSON object.")
def command(run: str, profiles: tuple[str, ...], *, page: str | None, baseline: str | None, as_json: bool) -> None:
    """Show RUN, a file that `edgewright bench --out` wrote, as a page; without --html, print Markdown.

    PROFILES are files of `edgewright profile --out`: bars of where the time of an artifact of the run goes.
    """
    from edgewright.reporting.report import report
    from edgewright.system.files import write_whole

    found = report(run, profiles, baseline=baseline)
    if page:
        write_whole(Path(page), found.html().encode())
        wrote(page)
    if as_json:
        click.echo(json.dumps({"rows": to_builtins(found.run.rows)}, ensure_ascii=False))
    elif not page:
        click.echo(found.markdown(), nl=False)
