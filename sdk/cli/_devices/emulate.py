"""edgewright devices emulate."""

from __future__ import annotations

from typing import Any

import click

from edgewright.cli._options import example, output_options
from edgewright.cli._progress import status
from edgewright.cli._tables import emit

__all__ = ["command"]


@click.command("emulate", epilog=example("devices emulate cortex-a72"))
@click.argument("cpu")
@click.option("--mirror", default="", help="A mirror of Debian; by default the one that apt uses here.")
@click.option("--wheel", type=click.Path(), help="A wheel of edgewright for the board; by default this edgewright.")
@output_options
def command(cpu: str, *, mirror: str, wheel: str | None, as_json: bool, quiet: bool) -> None:
    """Prepare an emulated aarch64 board with a CPU: cortex-a53 (Pi 3), cortex-a72 (Pi 4) or cortex-a76 (Pi 5).

    Debian's packages and the engines' wheels are fetched once and kept in the cache directory; nothing is installed on
    this machine. Run it again after an upgrade of edgewright.
    """
    from edgewright.boards.emulated import emulate

    board: Any = emulate(cpu, mirror=mirror, wheel=wheel, progress=status(quiet=quiet))
    url = f"qemu://{cpu}"
    title = f"{url} is ready; run: edgewright flash BUNDLE {url}\nhome      {board.home}\npython    {board.python}"
    emit([], as_json=as_json, title=title, url=url, home=str(board.home), python=board.python)
