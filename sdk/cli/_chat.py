"""What `edgewright run` does with a decoder: a conversation at a terminal, or an answer to each prompt."""

from __future__ import annotations

import json
import sys
from collections import deque
from typing import TYPE_CHECKING, Any

import click

from edgewright.errors import SourceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

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
    generator: Generator,
    prompts: Iterable[Any],
    options: dict[str, Any],
    *,
    system: str | None,
    raw: bool,
    stats: bool,
    as_json: bool,
    rows: bool,
) -> None:
    """Answer prompts: one alone as it is written, several as JSON lines, with `as_json` as one object."""
    chat = generator.has_template and not raw
    if system and not chat:
        raise SourceError("there is nowhere to put --system", hint="the model has no chat template, or --raw was given")
    beginning = [{"role": "system", "content": system}] if system else []

    def asked(prompt: Any) -> Any:
        return [*beginning, {"role": "user", "content": prompt}] if chat else prompt

    if not rows and not as_json:
        for prompt in prompts:
            for _ in _shown(generator.stream(asked(prompt), **options)):
                pass
            if stats:
                click.echo(_stats(generator.last), err=True)
        return
    made = _rows(generator, prompts, asked, options, chat=chat, stats=stats)
    if as_json:
        click.echo(json.dumps({"rows": list(made)}, ensure_ascii=False))
        return
    for row in made:
        click.echo(json.dumps(row, ensure_ascii=False))
        sys.stdout.flush()


def _rows(
    generator: Generator,
    prompts: Iterable[Any],
    asked: Callable[[Any], Any],
    options: dict[str, Any],
    *,
    chat: bool,
    stats: bool,
) -> Iterator[dict[str, Any]]:
    """Each prompt with its answer, in their order."""
    begun: deque[Any] = deque()

    def begins() -> Iterator[Any]:
        for prompt in prompts:
            begun.append(prompt)
            yield asked(prompt)

    for text in generator.answers(begins(), **options):
        prompt = begun.popleft()
        row = {"text": prompt, "answer": [{"generated_text": text if chat else prompt + text}]}
        yield {**row, "stats": _record(generator.last)} if stats else row


def _record(written: Written) -> dict[str, Any]:
    """What came of an answer, for machines."""
    return {
        "prompt_tokens": written.prompt_tokens,
        "cached_tokens": written.reused,
        "new_tokens": len(written.tokens),
        "first_token_ms": round(written.first_s * 1000, 1),
        "tokens_per_s": round(written.tokens_per_s, 1),
        "reason": written.reason,
    }


def _stats(written: Written) -> str:
    new = written.prompt_tokens - written.reused
    return (
        f"[{new} of {written.prompt_tokens} prompt tokens read, first token after {written.first_s * 1000:.0f} ms; "
        f"{len(written.tokens)} tokens at {written.tokens_per_s:.1f} a second; ended by: {written.reason}]"
    )
