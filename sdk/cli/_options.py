"""Options that commands share."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "answer_options",
    "artifact_options",
    "asked",
    "board_options",
    "column_options",
    "device_options",
    "fleet_options",
    "generation_options",
    "listed",
    "output_options",
    "profiles_option",
    "recipe_options",
    "subcommands",
]


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

    from edgewright.training.recipe import Recipe

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
            help=said.get(field.name, "")[:1].upper() + said.get(field.name, "")[1:],  # -OO leaves no docstring
        )
        command = option(command)
    return command


_ANSWERS = {
    "--top-k": (int, "So many answers to each text, the best first; 0 is all."),
    "--aggregation-strategy": (
        click.Choice(["none", "simple", "first", "average", "max"]),
        "How tokens become entities, as transformers defines it.",
    ),
    "--handle-impossible-answer": (None, "A question may have no answer."),
    "--null-threshold": (float, "By how much no answer must be rated above the best one, in logits."),
    "--max-answer-len": (int, "The most tokens of an answer to a question."),
    "--candidate-labels": (str, "Labels to choose from, by comma: zero-shot-classification."),
    "--hypothesis-template": (str, "The sentence that a text shall entail, with {} for a label."),
    "--multi-label": (None, "Several labels may be right."),
    "--truncate-dim": (int, "So many numbers of an embedding, the first."),
    "--quantize": (click.Choice(["int8", "binary", "ubinary"]), "Numbers of an embedding as 8 bits, or as one."),
}
"""Options of tasks: the kind of their values, None of a flag, and what they do."""


def answer_options(command: Any) -> Any:
    """How answers shall be: options of tasks, under the names that they have in a call. See `asked`."""
    for name, (kind, what) in reversed(_ANSWERS.items()):
        given = {"is_flag": True, "default": None} if kind is None else {"type": kind}
        command = click.option(name, help=what, **given)(command)
    return command


def asked(options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the `answer_options` that were given, by their names in a call."""
    names = [name.removeprefix("--").replace("-", "_") for name in _ANSWERS]
    return {name: options[name] for name in names if options.get(name) is not None}


def artifact_options(command: Any) -> Any:
    """`--format` and `--precision`, each to narrow the choice of artifacts."""
    command = click.option("--precision", help="Only this precision.")(command)
    return click.option("--format", "format_", help="Only this format.")(command)


def column_options(command: Any) -> Any:
    """`--text-column` and `--label-column`: what the columns of a command's data files are called."""

    @wraps(command)
    def naming(*given: Any, text_column: str, label_column: str, **options: Any) -> Any:
        if not (text_column or label_column):
            return command(*given, **options)
        from edgewright.data.rows import called

        with called(text_column, label_column):
            return command(*given, **options)

    labels = click.option("--label-column", default="", help="What the column of labels is called.")(naming)
    return click.option("--text-column", default="", help="What the column of texts is called.")(labels)


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


_GENERATION: tuple[tuple[str, Any, str], ...] = (
    ("--max-new-tokens", int, "A decoder: the most tokens of an answer."),
    ("--temperature", float, "A decoder: 0 always takes the likeliest token."),
    ("--top-p", float, "A decoder: draw from the likeliest tokens that together have this probability."),
    ("--min-p", float, "A decoder: draw from tokens with this share of the likeliest one's probability."),
    ("--repetition-penalty", float, "A decoder: above 1, tokens that were there already are less likely."),
    ("--seed", int, "A decoder: the same draws again."),
    ("--lookup", int, "A decoder: guess so many tokens at once from the text before; the answer is the same."),
    ("--choices", str, "A decoder: the answer is one of these, separated by commas."),
    ("--regex", str, "A decoder: the answer is a text that this regular expression matches as a whole."),
    ("--json-schema", click.Path(), "A decoder: the answer is JSON that the schema in this file allows."),
)


def generation_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a decoder, which arrive as one dictionary of those given, `generation`."""

    def wrapped(**given: Any) -> Any:
        names = [name.removeprefix("--").replace("-", "_") for name, _, _ in _GENERATION]
        generation = {name: value for name in names if (value := given.pop(name)) is not None}
        if "choices" in generation:
            generation["choices"] = [word.strip() for word in generation["choices"].split(",") if word.strip()]
        if "json_schema" in generation:
            from pathlib import Path

            from edgewright.errors import DataError
            from edgewright.system.files import read_capped
            from edgewright.system.untrusted import MAX_JSON_BYTES

            read = read_capped(Path(generation["json_schema"]), MAX_JSON_BYTES, DataError)
            generation["json_schema"] = read.decode("utf-8", "replace")
        return command(**given, generation=generation)

    wrapped.__doc__ = command.__doc__
    wrapped.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined]
    for name, kind, words in reversed(_GENERATION):
        wrapped = click.option(name, type=kind, help=words)(wrapped)
    return wrapped
