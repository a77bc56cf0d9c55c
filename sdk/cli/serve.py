"""edgewright serve."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgewright.cli._options import artifact_options
from edgewright.cli._tables import artifact_row, emit

if TYPE_CHECKING:
    import socket
    from contextlib import AbstractContextManager

    from edgewright.serving.model import Model

__all__ = ["command"]


@click.command("serve")
@click.argument("bundle", type=click.Path())
@click.option(
    "--socket", "path", type=click.Path(), help="Where to listen; without it on the socket that systemd gave."
)
@click.option("--engine", help="The engine, where a format has several.")
@click.option("--threads", type=int, help="Engine threads; by default what a race chose for this machine, or 1.")
@click.option("--max-connections", default=64, show_default=True, help="Clients at once.")
@click.option("--max-request-bytes", default=2**20, show_default=True, help="The longest line that is read.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object when it serves.")
@artifact_options
def command(
    bundle: str,
    *,
    path: str | None,
    engine: str | None,
    threads: int | None,
    max_connections: int,
    max_request_bytes: int,
    as_json: bool,
    format_: str | None,
    precision: str | None,
) -> None:
    """Serve BUNDLE, or what a link such as ROOT/current leads to, on a Unix socket.

    A request is a line of JSON, {"texts": ["...", ["question", "context"]]} or {"health": true}, and so is its answer.
    SIGHUP follows the link anew, SIGTERM ends. Under systemd it says when it is ready and feeds the watchdog.
    """
    from edgewright.serving.server import Bounds, serve
    from edgewright.serving.systemd import inherited
    from edgewright.serving.unix_socket import listening

    given = inherited()
    way: AbstractContextManager[socket.socket]
    if path and given is None:
        way = listening(Path(path))
    elif given and not path:
        way = nullcontext(given)
    else:
        raise click.UsageError("give --socket, or start it by systemd's socket activation, one of the two")
    options: dict[str, Any] = {"format": format_, "precision": precision, "engine": engine, "threads": threads}
    bounds = Bounds(request_bytes=max_request_bytes, connections=max_connections)

    def ready(model: Model) -> None:
        artifact, where = model.pipeline.artifact, path or "the socket that systemd gave"
        row = {"release": model.bundle.directory.name, **(artifact_row(artifact) if artifact else {})}
        emit([row], as_json=as_json, title=f"serving at {where}", socket=path)

    with way as sock:
        serve(bundle, sock, options=options, bounds=bounds, ready=ready)
