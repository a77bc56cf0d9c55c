"""edgewright report."""

from __future__ import annotations

import json
from pathlib import Path

import click
from msgspec import to_builtins

from edgewright.cli._options import Output, example, quiet_option
from edgewright.cli._tables import wrote

__all__ = ["command"]


@click.command("report", epilog=example("report run.json --html report.html"))
@click.argument("files", type=click.Path(), nargs=-1, required=True)
@click.option("--html", "page", type=Output(), help="Write one page that needs nothing else here.")
@click.option("--baseline", type=click.Path(), help="An earlier file of rows to compare with.")
@click.option("--json", "as_json", is_flag=True, help="Print the rows, samples and all, as one JSON object.")
@quiet_option
def command(files: tuple[str, ...], *, page: str | None, baseline: str | None, as_json: bool) -> None:
    """Show a run, or several beside each other, as a page; without --html, print Markdown.

    FILES are what `edgewright bench --out` wrote: one, or a history such as runs/*.json, the oldest first. Beside one
    run may stand files of `edgewright profile --out`: bars of where the time of its artifacts goes.
    """
    from edgewright.reporting.history import History
    from edgewright.reporting.report import report_files
    from edgewright.system.files import write_whole

    found = report_files(files, baseline)
    if page:
        write_whole(Path(page), found.html().encode())
        wrote(page)
    if as_json:
        runs = found.runs if isinstance(found, History) else (found.run,)
        rows = [row for run in runs for row in to_builtins(run.rows)]
        click.echo(json.dumps({"rows": rows}, ensure_ascii=False))
    elif not page:
        click.echo(found.markdown(), nl=False)
