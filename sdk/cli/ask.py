"""edgewright ask."""

from __future__ import annotations

import json
from typing import Any

import click

from edgewright.cli._options import Sectioned, answer_options, asked, example, quiet_option
from edgewright.errors import DeviceError, EdgewrightError
from edgewright.serving.client import Client

__all__ = ["command"]


@click.command("ask", cls=Sectioned, epilog=example('ask /run/user/1000/edgewright.sock "a fine film"'))
@click.argument("socket", type=click.Path())
@click.argument("texts", nargs=-1, metavar="TEXT...")
@click.option("--pair", help="The second text of every TEXT, such as the context of a question.")
@click.option("--health", is_flag=True, help="Say what is served, and end with 0, or with 5 if it is not well.")
@click.option("--timeout", "timeout_s", default=60.0, show_default=True, help="The most seconds to wait.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a line per text.")
@answer_options
@quiet_option
def command(
    socket: str,
    texts: tuple[str, ...],
    *,
    pair: str | None,
    health: bool,
    timeout_s: float,
    as_json: bool,
    **options: Any,
) -> None:
    """Ask the model that is served at SOCKET."""
    if bool(texts) == health:
        raise click.UsageError("give texts or --health, one of the two")
    with Client(socket, timeout_s=timeout_s) as client:
        items = texts if pair is None else [{"text": text, "text_pair": pair} for text in texts]
        rows = [_health(client)] if health else client.rows(items, **asked(options))
    for line in [{"rows": rows}] if as_json else rows:
        click.echo(json.dumps(line, ensure_ascii=False))


def _health(client: Client) -> dict[str, object]:
    try:
        return client.health()
    except EdgewrightError as error:
        raise DeviceError(f"{client.path} is not well: {error.message}", hint=error.hint) from error
