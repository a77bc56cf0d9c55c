"""edgewright pull."""

from __future__ import annotations

import click

from edgewright.cli._options import example, output_options
from edgewright.cli._progress import status
from edgewright.cli._tables import artifact_row, emit

__all__ = ["command"]


@click.command("pull", epilog=example("pull someone/sentiment --out sentiment"))
@click.argument("repo", metavar="OWNER/NAME")
@click.option("-o", "--out", required=True, type=click.Path(), help="The directory to write.")
@click.option("--revision", help="A branch, a tag or a commit; by default main.")
@click.option("--force", is_flag=True, help="Replace a bundle that is there.")
@output_options
def command(repo: str, *, out: str, revision: str | None, force: bool, as_json: bool, quiet: bool) -> None:
    """Fetch a bundle from a model hub, or from a directory that `push` wrote; every hash is checked."""
    from edgewright.exporting.hub import pull

    bundle = pull(repo, out, revision=revision, force=force, progress=status(quiet=quiet))
    emit([artifact_row(artifact) for artifact in bundle.manifest.artifacts], as_json=as_json)
