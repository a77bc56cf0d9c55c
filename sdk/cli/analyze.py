"""edgewright analyze."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgewright.cli._options import Output, Parts, example, output_options, task_option
from edgewright.cli._progress import status
from edgewright.cli._tables import emit

__all__ = ["command"]

_TASK_HELP = "The task of the source; by default the one of its architecture."


@click.group("analyze", cls=Parts)
def command() -> None:
    """Look inside a model: what its heads attend to, what its layers know. Each part takes --json."""


@command.command("attention", epilog=example('analyze attention tuned "a fine film" --out heads.html'))
@click.argument("source", type=click.Path())
@click.argument("text")
@click.argument("second", required=False)
@click.option("-o", "--out", type=Output(dir_okay=False), help="Where to draw it: FILE.html, or FILE.png (matplotlib).")
@click.option("--tokens", default=64, show_default=True, help="Cut the text at so many tokens.")
@click.option("--threads", default=1, show_default=True, help="Threads of torch.")
@task_option(_TASK_HELP)
@output_options
def _attention(source: str, text: str, *, second: str | None, as_json: bool, quiet: bool, **options: Any) -> None:
    """Show where each head of SOURCE looks in TEXT, or in a pair of texts, and draw the maps.

    A head that looks at one place whatever the text says is one to prune first.
    """
    from dataclasses import asdict

    from edgewright.analysis.attention import attend, draw, heads, page
    from edgewright.errors import UsageError
    from edgewright.model.source import open_source
    from edgewright.system.files import write_whole

    out = Path(options["out"]) if options["out"] else None
    if out and out.suffix not in (".html", ".png"):
        raise UsageError(f"cannot draw into {out.name}", hint="name the file .html or .png")
    given = (text, second) if second is not None else text
    asked = {"tokens": options["tokens"], "threads": options["threads"]}
    found = attend(open_source(source, task=options["task"]), given, **asked, progress=status(quiet=quiet))
    title = f"Attention of {Path(source).name}"
    if out and out.suffix == ".html":
        write_whole(out, page(found, title).encode())
    elif out:
        draw(found, title, out)
    emit([asdict(head) for head in heads(found)], as_json=as_json, tokens=list(found.tokens))


@command.command("probe", epilog=example("analyze probe tuned --data dev.tsv --out probe.html"))
@click.argument("source", type=click.Path())
@click.option("--data", required=True, type=click.Path(), help="Rows with a text and a label, or with tokens and tags.")
@click.option("--rows", default=2000, show_default=True, help="Texts to take, evenly over the file.")
@click.option("--seed", default=0, show_default=True, help="Of the control task.")
@click.option("-o", "--out", type=Output(dir_okay=False), help="Draw the accuracies over the layers: FILE.html.")
@click.option("--threads", default=1, show_default=True, help="Threads of torch.")
@task_option(_TASK_HELP)
@output_options
def _probe(source: str, *, as_json: bool, quiet: bool, **options: Any) -> None:
    """Show what a linear probe reads off each layer of SOURCE, beside a control task of random labels.

    The labels need not be those that the model was trained for.
    """
    from dataclasses import asdict

    from edgewright.analysis.probe import page, probe
    from edgewright.errors import UsageError
    from edgewright.model.source import open_source
    from edgewright.system.files import write_whole

    out, path = Path(options["out"]) if options["out"] else None, options["data"]
    if out and out.suffix != ".html":
        raise UsageError(f"cannot draw into {out.name}", hint="name the file .html")
    opened = open_source(source, task=options["task"])
    given = {"most": options["rows"], "seed": options["seed"], "threads": options["threads"]}
    found = probe(opened, path, **given, progress=status(quiet=quiet))
    if out:
        write_whole(out, page(found, f"What the layers of {Path(source).name} know of {Path(path).name}").encode())
    facts = {name: value for name, value in asdict(found).items() if name != "layers"}
    words = f"{found.learned} {found.unit} learned, {found.tested} tested; the commonest label has {found.majority:g} %"
    emit([asdict(layer) for layer in found.layers], as_json=as_json, notes=[] if as_json else [words], **facts)
