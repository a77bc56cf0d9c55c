"""edgewright doctor."""

from __future__ import annotations

import click

from edgewright.cli._show import emit

__all__ = ["command"]


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(*, as_json: bool) -> None:
    """Say which converters and engines work here, and the pip line that mends what does not."""
    from edgewright.doctor import examine, machine

    facts = machine()
    title = "\n".join(f"{name:<12}{value}" for name, value in facts.items()) + "\n"
    emit(examine(), as_json=as_json, title="" if as_json else title, machine=facts)
