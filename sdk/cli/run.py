"""edgewright run."""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from edgewright.cli._options import (
    Sectioned,
    answer_options,
    artifact_options,
    asked,
    column_options,
    device_options,
    example,
    generation_options,
    quiet_option,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from edgewright.generation.generator import Generator
    from edgewright.generation.translator import Translator

__all__ = ["command"]

_open: list[object] = []
"""What answered, kept to the end of the process: the system takes its memory back at once, an engine piece by piece."""


@click.command("run", cls=Sectioned, epilog=example('run sentiment "a fine film" "the second half drags"'))
@click.argument("bundle", type=click.Path())
@click.argument("texts", nargs=-1, metavar="[TEXT]...")
@click.option(
    "--input",
    "input_",
    type=click.Path(),
    help="A file of texts or rows; - reads lines from standard input.",
)
@click.option("--pair", help="The second text of every TEXT, such as the context of a question.")
@click.option("--query", help="What the TEXTs are ranked by, all together: text-ranking.")
@click.option("--engine", help="The engine, where a format has several.")
@click.option("--threads", type=int, help="Engine threads; by default what a race chose for this machine, or 1.")
@click.option("--workers", type=int, default=1, show_default=True, help="Texts that are answered at once.")
@click.option("--context", type=int, help="A decoder: the most tokens of a conversation; memory goes with them.")
@click.option("--system", help="A decoder: what the system says before the conversation.")
@click.option("--raw", is_flag=True, help="A decoder: continue the text as it is, without the chat template.")
@click.option("--stats", is_flag=True, help="A decoder: say how many tokens came, and how fast.")
@generation_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a line per text.")
@answer_options
@artifact_options
@device_options
@column_options
@quiet_option
def command(
    bundle: str,
    texts: tuple[str, ...],
    *,
    input_: str | None,
    pair: str | None,
    query: str | None,
    engine: str | None,
    threads: int | None,
    workers: int,
    context: int | None,
    system: str | None,
    raw: bool,
    stats: bool,
    generation: dict[str, Any],
    as_json: bool,
    format_: str | None,
    precision: str | None,
    device: str | None,
    **options: Any,
) -> None:
    """Answer texts, one JSON line each, as they come; talk with a decoder."""
    from edgewright.bundle.bundle import Bundle
    from edgewright.inference.pipeline import load
    from edgewright.tasks import check_asked

    if texts and input_:
        raise click.UsageError("give texts or --input, one of the two")
    opened = bundle if device else Bundle.open(bundle)
    task = None if isinstance(opened, str) else opened.task()
    writes = task is not None and task.generates
    talks = writes and sys.stdin is not None and sys.stdin.isatty()
    if not (talks or texts or input_):
        input_ = _piped()
    if device:
        from edgewright.cli._on_device import ask

        _print(ask(generation=generation).tree["rows"], as_json=as_json)
        return
    if task:
        check_asked(task, written=(generation, system, raw, stats, context is not None), paired=(pair, query))
    chosen: dict[str, Any] = {"format": format_, "precision": precision, "engine": engine, "threads": threads}
    chosen["workers"] = workers
    if task is not None and task.reads_source:
        refused = [name for name, value in (("--system", system), ("--raw", raw), ("--stats", stats)) if value]
        if refused:
            raise click.UsageError(f"{refused[0]} is of a decoder: a translator has no conversation")
        translator = load(opened, **chosen, context=context)
        _open[:] = [translator]
        _translate(translator, texts, input_, {**generation, **asked(options)}, as_json=as_json)
        return
    if writes:
        generator = load(opened, **chosen, context=context)
        _open[:] = [generator]
        given = {**generation, **asked(options)}
        _generate(generator, texts, input_, given, system=system, raw=raw, stats=stats, as_json=as_json)
        return
    pipeline = load(opened, **chosen, **asked(options))
    _open[:] = [pipeline]
    items = iter(texts) if texts else _items(str(input_))
    every: Any = items if pair is None else ({"text": item, "text_pair": pair} for item in items)
    if query is not None:
        every = iter([{"query": query, "texts": list(items)}])
    _print(pipeline.rows(every), as_json=as_json)


def _piped() -> str:
    """What `--input` would be where texts come through a pipe. Raises click.UsageError: there is none."""
    if sys.stdin is None or sys.stdin.isatty() or stat.S_ISCHR(os.fstat(0).st_mode):
        raise click.UsageError("give texts, --input, or texts on standard input; what begins with - comes behind --")
    context = click.get_current_context()
    context.params["input_"] = "-"
    context.set_parameter_source("input_", ParameterSource.COMMANDLINE)  # a board is asked about them
    return "-"


def _generate(
    generator: Generator,
    texts: tuple[str, ...],
    input_: str | None,
    options: dict[str, Any],
    *,
    system: str | None,
    raw: bool,
    stats: bool,
    as_json: bool,
) -> None:
    """One prompt is answered as it is written, several by JSON lines; without any a conversation begins."""
    from edgewright.cli._chat import answer, converse

    if not texts and not input_ and sys.stdin.isatty():
        converse(generator, options, system=system, stats=stats)
        return
    asking: dict[str, Any] = {"system": system, "raw": raw}
    prompt = generator.asked(texts[0] if texts else "", **asking)  # what is refused is before anything is read
    if len(texts) == 1 and not as_json:
        answer(generator, prompt, options, stats=stats)
        return
    prompts = texts or _items(input_ or "-")
    _print(generator.rows(prompts, **asking, stats=stats, **options), as_json=as_json)


def _translate(
    translator: Translator, texts: tuple[str, ...], input_: str | None, given: dict[str, Any], *, as_json: bool
) -> None:
    """One text is printed as its translation, sentence by sentence as they come, several as JSON lines."""
    options = translator.options(**given)
    if len(texts) == 1 and not as_json and not options.details:
        for piece in translator.stream(texts[0], **given):
            click.echo(piece, nl=False)
            sys.stdout.flush()
        click.echo()
        return
    _print(translator.rows(texts or _items(input_ or "-"), options), as_json=as_json)


def _print(rows: Iterable[dict[str, Any]], *, as_json: bool) -> None:
    """Rows of answers as they come, a line of JSON each, or as one object."""
    if as_json:
        click.echo(json.dumps({"rows": list(rows)}, ensure_ascii=False))
        return
    for row in rows:
        click.echo(json.dumps(row, ensure_ascii=False))


def _items(path: str) -> Iterator[Any]:
    from edgewright.data.rows import items

    return items(None if path == "-" else Path(path))
