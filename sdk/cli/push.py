"""edgewright push."""

from __future__ import annotations

import click

from edgewright.cli._options import example, output_options
from edgewright.cli._progress import status
from edgewright.cli._tables import emit

__all__ = ["command"]


@click.command("push", epilog=example("push sentiment someone/sentiment --private"))
@click.argument("bundle", type=click.Path())
@click.argument("to", metavar="OWNER/NAME")
@click.option("--private", is_flag=True, help="Make the repository a private one, where it is made.")
@click.option("--revision", help="The branch; by default main.")
@output_options
def command(bundle: str, to: str, *, private: bool, revision: str | None, as_json: bool, quiet: bool) -> None:
    """Put BUNDLE into a repository of a model hub, with its model card; `pull` fetches it.

    The hub is the one at HF_ENDPOINT, by default huggingface.co, and the token that of HF_TOKEN or `hf auth login`.
    In the place of OWNER/NAME a directory may stand, one that is there or begins with / or ./: a share, or a stick.
    """
    from edgewright.exporting.hub import push

    where = push(bundle, to, private=private, revision=revision, progress=status(quiet=quiet))
    emit([{"to": to, "commit": where}] if as_json else [], as_json=as_json, title=f"{bundle} is at {where}")
