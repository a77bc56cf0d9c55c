"""What `edgewright run` does with a decoder: a conversation at a terminal, or one answer as it is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from edgewright.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from edgewright.generation.answer import Written
    from edgewright.generation.generator import Generator

__all__ = ["answer", "converse"]

_HELP = "Ctrl-C ends an answer, /reset begins anew, /exit or Ctrl-D ends."


def converse(generator: Generator, options: dict[str, Any], *, system: str | None, stats: bool) -> None:
    """Talk, turn by turn, until the person has enough."""
    if generator.has_template:
        click.echo(f"{generator!r}\n{_HELP}", err=True)
    else:
        raise UsageError("the model has no chat template", hint="give a prompt to continue: edgewright run BUNDLE TEXT")
    beginning = [{"role": "system", "content": system}] if system else []
    messages = list(beginning)
    while (words := _asked()) is not None:
        if words == "/reset":
            messages = list(beginning)
            continue
        if not words:
            continue
        messages.append({"role": "user", "content": words})
        said = "".join(_shown(generator.stream(messages, **options)))
        messages.append({"role": "assistant", "content": said})
        if stats:
            click.echo(_stats(generator.last), err=True)


def _asked() -> str | None:
    """What the person says next, None where there is nothing more."""
    try:
        words = click.prompt(">", prompt_suffix=" ", default="", show_default=False).strip()
    except (click.Abort, EOFError):
        click.echo(err=True)
        return None
    return None if words == "/exit" else str(words)


def _shown(pieces: Iterator[str]) -> Iterator[str]:
    """Print pieces as they come; Ctrl-C ends the answer, and what was said stays."""
    try:
        for piece in pieces:
            click.echo(piece, nl=False)
            yield piece
    except KeyboardInterrupt:
        pieces.close()  # type: ignore[attr-defined]
    click.echo()


def answer(
    generator: Generator, prompt: str | Sequence[Mapping[str, Any]], options: dict[str, Any], *, stats: bool
) -> None:
    """Print the answer to a prompt as it is written."""
    for _ in _shown(generator.stream(prompt, **options)):
        pass
    if stats:
        click.echo(_stats(generator.last), err=True)


def _stats(written: Written) -> str:
    new = written.prompt_tokens - written.reused
    return (
        f"[{new} of {written.prompt_tokens} prompt tokens read, first token after {written.first_s * 1000:.0f} ms; "
        f"{len(written.tokens)} tokens at {written.tokens_per_s:.1f} a second; ended by: {written.reason}]"
    )
