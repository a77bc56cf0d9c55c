"""edgewright serve."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgewright.cli._options import artifact_options, example, quiet_option
from edgewright.cli._tables import artifact_row, emit

if TYPE_CHECKING:
    import socket
    from contextlib import AbstractContextManager

    from edgewright.serving.model import Model
    from edgewright.serving.openai import Served

__all__ = ["command"]


@click.command("serve", epilog=example("serve sentiment --socket /run/user/1000/edgewright.sock"))
@click.argument("bundle", type=click.Path())
@click.option(
    "--socket", "path", type=click.Path(), help="Where to listen; without it on the socket that systemd gave."
)
@click.option(
    "--http",
    metavar="HOST:PORT",
    help="Speak OpenAI's HTTP interface there instead; a port alone is one of the loopback, 0 a free one.",
)
@click.option("--model-name", help="With --http: the model's name in requests; by default the bundle's directory.")
@click.option("--context", type=int, help="With --http: the most tokens of a conversation; memory goes with them.")
@click.option(
    "--max-waiting",
    type=click.IntRange(1),
    help="With --http: requests that wait for the model at once.  [default: 32]",
)
@click.option(
    "--batch-size", type=click.IntRange(1), help="With --http: answers that are written at once.  [default: 4]"
)
@click.option("--engine", help="The engine, where a format has several.")
@click.option("--threads", type=int, help="Engine threads; by default what a race chose for this machine, or 1.")
@click.option(
    "--workers", type=int, help="Texts that are answered at once; by default as the cores and the engine allow."
)
@click.option(
    "--spin", is_flag=True, help="Engine threads wait awake between requests: quicker, and busy all the time."
)
@click.option("--max-connections", type=click.IntRange(1), default=64, show_default=True, help="Clients at once.")
@click.option(
    "--max-request-bytes",
    type=click.IntRange(1),
    default=2**20,
    show_default=True,
    help="The longest line or body that is read.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object when it serves.")
@artifact_options
@quiet_option
def command(
    bundle: str,
    *,
    path: str | None,
    http: str | None,
    model_name: str | None,
    context: int | None,
    max_waiting: int | None,
    batch_size: int | None,
    engine: str | None,
    threads: int | None,
    workers: int | None,
    spin: bool,
    max_connections: int,
    max_request_bytes: int,
    as_json: bool,
    format_: str | None,
    precision: str | None,
) -> None:
    """Serve BUNDLE, or what a link such as ROOT/current leads to, on a Unix socket or by HTTP.

    On a socket a request is a line of JSON, {"texts": ["...", ["question", "context"]]} or {"health": true}, and so is
    its answer. SIGHUP follows the link anew, SIGTERM ends. Under systemd it says when it is ready and feeds the
    watchdog. By HTTP a decoder answers /v1/chat/completions and /v1/completions, a feature-extraction model
    /v1/embeddings, as OpenAI's interface has them; SIGTERM lets what was accepted end.
    """
    options: dict[str, Any] = {"format": format_, "precision": precision, "engine": engine, "threads": threads}
    options["spin"] = spin
    if http is not None:
        if workers is not None:
            raise click.UsageError("--workers goes with --socket")
        if path:
            raise click.UsageError("give --socket or --http, one of the two")
        of_http = {"connections": max_connections, "request_bytes": max_request_bytes, "waiting": max_waiting}
        options["context"] = context
        _by_http(bundle, http, options, of_http, name=model_name or "", batch_size=batch_size, as_json=as_json)
        return
    if model_name or any(value is not None for value in (context, max_waiting, batch_size)):
        raise click.UsageError("--model-name, --context, --max-waiting and --batch-size go with --http")
    options["workers"] = workers
    bounds = {"request_bytes": max_request_bytes, "connections": max_connections}
    _at_a_socket(bundle, path, options, bounds, as_json=as_json)


def _at_a_socket(
    bundle: str, path: str | None, options: dict[str, Any], bounds: dict[str, int], *, as_json: bool
) -> None:
    from edgewright.serving.clients import Bounds
    from edgewright.serving.server import serve
    from edgewright.serving.systemd import inherited
    from edgewright.serving.unix_socket import listening

    given = inherited()
    way: AbstractContextManager[socket.socket]
    if path and given is None:
        way = listening(Path(path))
    elif given and not path:
        way = nullcontext(given)
    else:
        raise click.UsageError("give --socket or --http, or start it by systemd's socket activation, one of the three")

    def ready(model: Model) -> None:
        artifact, where = model.pipeline.artifact, path or "the socket that systemd gave"
        row = {"release": model.bundle.directory.name, **(artifact_row(artifact) if artifact else {})}
        emit([row], as_json=as_json, title=f"serving at {where}", socket=path)

    with way as sock:
        serve(bundle, sock, options=options, bounds=Bounds(**bounds), ready=ready)


def _by_http(
    bundle: str,
    place: str,
    options: dict[str, Any],
    bounds: dict[str, int | None],
    *,
    name: str,
    batch_size: int | None,
    as_json: bool,
) -> None:
    from edgewright.serving.http_server import HttpBounds, bound
    from edgewright.serving.openai import serve_http

    def ready(served: Served) -> None:
        row = {"model": served.name, **(artifact_row(served.artifact) if served.artifact else {})}
        row["batch_size"] = served.batch_size
        notes = () if served.local else ("whoever reaches this address may use the model: there is no password",)
        emit([row], as_json=as_json, title=f"serving at {served.url}", notes=notes, url=served.url)

    wanted = {name: most for name, most in bounds.items() if most is not None}
    with bound(place) as sock:
        limits = HttpBounds(**wanted)
        serve_http(bundle, sock, name=name, options=options, bounds=limits, batch_size=batch_size, ready=ready)
