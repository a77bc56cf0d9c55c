"""What commands share: options, tables and JSON for results, a status line for progress."""

from __future__ import annotations

import json
import shutil
import sys
import time
from typing import TYPE_CHECKING, Any

import click
from msgspec import to_builtins

from edgewright.errors import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from edgewright.manifest import Artifact, Score

__all__ = [
    "artifact_options",
    "artifact_row",
    "board_options",
    "device_options",
    "emit",
    "fleet_options",
    "human",
    "listed",
    "output_options",
    "profiles_option",
    "recipe_options",
    "score_record",
    "status",
    "subcommands",
    "wrote",
]

_BYTES = ("B", "kB", "MB", "GB")


def output_options(command: Any) -> Any:
    """`--json` and `-q`."""
    command = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")(command)
    return click.option("-q", "--quiet", is_flag=True, help="Print no progress.")(command)


def profiles_option(command: Any) -> Any:
    """`--profiles`: a directory of the user's own."""
    what = "A directory of profiles of your own, NAME.toml; beside those in ~/.config/edgewright/profiles."
    return click.option("--profiles", metavar="DIR", type=click.Path(), help=what)(command)


def recipe_options(command: Any) -> Any:
    """An option for each setting of a training recipe, such as `--learning-rate`."""
    from dataclasses import fields

    from edgewright.train.recipe import Recipe

    words = (Recipe.__doc__ or "").partition("Attributes:")[2].splitlines()
    said = {name.strip(): text.strip() for name, _, text in (line.partition(": ") for line in words)}
    for field in reversed(fields(Recipe)):
        kind = click.Choice(["fp32", "bf16", "fp16"]) if field.name == "precision" else type(field.default)
        option = click.option(
            f"--{field.name.replace('_', '-')}",
            field.name,
            type=kind,
            default=field.default,
            show_default=True,
            help=said[field.name][:1].upper() + said[field.name][1:],
        )
        command = option(command)
    return command


def artifact_options(command: Any) -> Any:
    """`--format` and `--precision`, each to narrow the choice of artifacts."""
    command = click.option("--precision", help="Only this precision.")(command)
    return click.option("--format", "format_", help="Only this format.")(command)


def board_options(command: Any) -> Any:
    """`--root` and `--python`: where on a board."""
    command = click.option("--python", default="", help="The board's Python; by default the one that it finds.")(
        command
    )
    where = "Where on the board the releases are; by default ~/.local/share/edgewright there."
    return click.option("--root", default="", help=where)(command)


def device_options(command: Any) -> Any:
    """`--device`, with `--root` and `--python` there: the command runs on a board, on its active release."""
    what = "Run on the board at this URL; BUNDLE must be active there, - is whatever is."
    return click.option("--device", metavar="URL", help=what)(board_options(command))


def fleet_options(command: Any) -> Any:
    """Of `export rauc` and `export mender`: the file, and how the board installs."""
    command = click.option("--service", is_flag=True, help="Let a service of systemd serve it there.")(command)
    where = "Where on the board the releases are."
    command = click.option("--root", default="/var/lib/edgewright", show_default=True, help=where)(command)
    command = click.option("--force", is_flag=True, help="Replace a file that is there.")(command)
    return click.option("--out", required=True, type=click.Path(), help="The file to write.")(output_options(command))


def subcommands(room: str) -> type[click.Group]:
    """The class of a group whose commands are the files of a room, such as `cli._devices`."""
    from edgewright import registry

    class Commands(click.Group):
        def list_commands(self, ctx: click.Context) -> list[str]:
            del ctx
            return list(registry.names(room))

        def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
            del ctx
            command: click.Command | None = registry.load(room, cmd_name) if cmd_name in registry.names(room) else None
            return command

    return Commands


def listed(_: click.Context, __: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    """Callback of an option with a comma-separated value; None where it was not given and has no default."""
    return None if value is None else tuple(word.strip() for word in value.split(",") if word.strip())


def status(*, quiet: bool, stages: int = 0) -> Callable[[str], None]:
    """A progress callback: a line that overwrites itself on a terminal, plain lines elsewhere, nothing if quiet.

    With the expected number of `stages` the line begins with a bar.
    """
    if quiet:
        return lambda _: None
    begin, done, live = time.monotonic(), 0, sys.stderr.isatty()

    def show(phrase: str) -> None:
        nonlocal done
        line = f"{time.monotonic() - begin:6.1f} s  {phrase}"
        if live:
            line = f"\r\x1b[2K{_bar(done, stages)}{line}"[: shutil.get_terminal_size().columns + 4]
        click.echo(line, err=True, nl=not live)
        done += 1

    click.get_current_context().call_on_close(_clear)
    return show


def _clear() -> None:
    """Take the status line off the terminal, so that what follows begins on an empty one."""
    if sys.stderr.isatty():
        click.echo("\r\x1b[2K", err=True, nl=False)


def _bar(done: int, stages: int, width: int = 24) -> str:
    filled = min(width * done // stages, width) if stages else 0
    return f"[{'#' * filled}{'-' * (width - filled)}] " if stages else ""


def emit(
    rows: Sequence[Mapping[str, Any]],
    *,
    as_json: bool,
    title: str = "",
    form: str = "table",
    notes: Sequence[str] = (),
    **extra: Any,
) -> None:
    """Print rows as `{"rows": [...], ...extra}`, or as a table, CSV or Markdown of the columns that hold anything.

    `notes` go below a table, and to standard error beside the other forms.
    """
    _clear()
    for note in notes if as_json or form != "table" else ():
        click.echo(note, err=True)
    if as_json:
        click.echo(json.dumps({**extra, "rows": [dict(row) for row in rows]}, ensure_ascii=False, default=to_builtins))
        return
    if title:
        click.echo(title)
    if title and not rows:
        return
    kept = [key for key in (rows[0] if rows else ()) if any(row[key] is not None for row in rows)]
    if form == "csv":
        click.echo(_csv([{key: row[key] for key in kept} for row in rows]), nl=False)
        return
    table = _markdown if form == "markdown" else _table
    click.echo("\n".join(table([{key: _cell(key, row[key]) for key in kept} for row in rows])))
    if notes and form == "table":
        click.echo("\n" + "\n".join(notes))


def wrote(out: str) -> None:
    """Say that an output was written, on standard error: it may be standard output itself."""
    click.echo(f"wrote {out}", err=True)


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """RFC 4180; a score is its value."""
    import csv
    import io

    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(rows[0] if rows else ())
    for row in rows:
        writer.writerow([value["value"] if isinstance(value, dict) else value for value in row.values()])
    return text.getvalue()


def _markdown(rows: Sequence[Mapping[str, str]]) -> list[str]:
    heads = [name.removesuffix("_bytes") for name in (rows[0] if rows else ())]
    lines = [heads, ["---"] * len(heads), *([cell.replace("|", r"\|") for cell in row.values()] for row in rows)]
    return [f"| {' | '.join(line)} |" for line in lines]


def artifact_row(artifact: Artifact) -> dict[str, Any]:
    """The columns that every table of artifacts begins with."""
    return {"format": artifact.format, "precision": artifact.precision, "size_bytes": artifact.size_bytes}


def score_record(score: Score | None) -> dict[str, Any] | None:
    """A score as rows carry it: metric, value, n, data."""
    return None if score is None else {name: getattr(score, name) for name in ("metric", "value", "n", "data")}


def _table(rows: Sequence[Mapping[str, str]]) -> list[str]:
    names = list(rows[0]) if rows else []
    heads = [name.removesuffix("_bytes") for name in names]
    widths = [max(len(head), *(len(row[name]) for row in rows)) for head, name in zip(heads, names, strict=True)]
    lines = [heads, ["-" * width for width in widths], *([row[name] for name in names] for row in rows)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if name.endswith("_bytes"):
        return human(value)
    if isinstance(value, dict):
        unit = "" if value["metric"] == "perplexity" else " %"
        return f"{value['value']:.2f}{unit} {value['metric']} (n {value['n']}, {value['data']})"
    return f"{value:.4g}" if isinstance(value, float) else one_line(str(value))


def human(size: float) -> str:
    """A number of bytes with three digits and a unit."""
    for unit in _BYTES:
        if size < 1000 or unit == _BYTES[-1]:
            return f"{size:.3g} {unit}" if unit != "B" else f"{size} B"
        size /= 1000
    raise AssertionError
