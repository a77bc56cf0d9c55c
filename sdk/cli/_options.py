"""Options that commands share."""

from __future__ import annotations

import os
import re
import sys
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from edgewright.errors import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from click.shell_completion import CompletionItem

    _Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

__all__ = [
    "DEVICES",
    "FORMATS",
    "GIVEN",
    "PRECISIONS",
    "PROFILES",
    "TASKS",
    "Keys",
    "Listing",
    "Output",
    "Parts",
    "Room",
    "Sectioned",
    "answer_options",
    "artifact_options",
    "asked",
    "board_options",
    "column_options",
    "device_options",
    "example",
    "export_options",
    "fleet_options",
    "generation_options",
    "listed",
    "output_options",
    "pretraining_options",
    "profiles_option",
    "quiet_option",
    "recipe_options",
    "subcommands",
    "task_option",
    "typed",
]


def output_options(command: Any) -> Any:
    """`--json` and `-q`."""
    command = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")(command)
    return click.option("-q", "--quiet", is_flag=True, help="Print no progress.")(command)


def export_options(noun: str, formats: Sequence[str] = (), *, which: str = "", precision: str = "") -> _Decorator:
    """BUNDLE, `--out`, `--format` where there is a choice, `--precision` and `--force`, of a command that exports.

    Args:
        noun: what is written, such as a project.
        formats: of the artifacts that can be in it, the default first.
        which: what they are chosen by.
        precision: what is said of `--precision` beside its usual default.
    """
    where = "file" if noun == "file" else "directory"
    default = f"Which artifact; by default the smallest that passed its gates{precision}."
    options = [
        click.argument("bundle", type=click.Path()),
        click.option("-o", "--out", required=True, type=click.Path(), help=f"The {where} to write."),
        *(
            [
                click.option(
                    "--format",
                    "format_",
                    type=click.Choice(formats),
                    default=formats[0],
                    show_default=True,
                    help=f"Which artifact; {which}.",
                )
            ]
            if formats
            else []
        ),
        click.option("--precision", cls=Listing, type=PRECISIONS, help=default),
        click.option("--force", is_flag=True, help=f"Replace a {noun} that is there."),
    ]

    def given(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return given


def quiet_option(command: Any) -> Any:
    """`-q` of a command that shows no progress: scripts give it to every one."""

    @wraps(command)
    def hushed(*given: Any, quiet: bool, **options: Any) -> Any:
        del quiet  # whoever prints a notice looks for it in the context
        return command(*given, **options)

    return click.option("-q", "--quiet", is_flag=True, help="Print no notices, such as how a file was read.")(hushed)


def profiles_option(command: Any) -> Any:
    """`--profiles`: a directory of the user's own."""
    what = "A directory of profiles of your own, NAME.toml; beside those in ~/.config/edgewright/profiles."
    return click.option("--profiles", metavar="DIR", type=click.Path(), help=what)(command)


def recipe_options(command: Any) -> Any:
    """An option for each setting of a training recipe, such as `--learning-rate`."""
    from edgewright.training.recipe import Recipe

    return _setting_options(Recipe, command)


def pretraining_options(command: Any) -> Any:
    """The same for a training from nothing."""
    from edgewright.training.pretraining_recipe import PretrainingRecipe

    return _setting_options(PretrainingRecipe, command)


def _setting_options(settings: Any, command: Any) -> Any:
    """An option for each field of a dataclass of settings, with what its docstring says of it."""
    from dataclasses import fields
    from typing import get_args, get_type_hints

    words = " ".join((settings.__doc__ or "").partition("Attributes:")[2].split("\n            "))
    said = {name.strip(): text.strip() for name, _, text in (line.partition(": ") for line in words.splitlines())}
    kinds = get_type_hints(settings)
    for field in reversed(fields(settings)):
        choices = get_args(kinds[field.name])
        kind = click.Choice(choices) if choices else type(field.default)
        flag = {"is_flag": True} if kind is bool else {"type": kind, "show_default": True}
        option = click.option(
            f"--{field.name.replace('_', '-')}",
            field.name,
            default=field.default,
            help=said.get(field.name, "")[:1].upper() + said.get(field.name, "")[1:],  # -OO leaves no docstring
            **flag,
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
        command = click.option(name, help=f"An encoder: {what[:1].lower()}{what[1:]}", **given)(command)
    return command


def asked(options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the `answer_options` that were given, by their names in a call."""
    names = [name.removeprefix("--").replace("-", "_") for name in _ANSWERS]
    return {name: options[name] for name in names if options.get(name) is not None}


GIVEN = (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT, ParameterSource.DEFAULT_MAP)
"""Where a value comes from that somebody gave: typed, in the environment, or in edgewright.toml."""


class Keys(click.types.StringParamType):
    """A key, or several by comma, which a shell completes; what is none of them is refused where it is used."""

    name = "text"

    def __init__(self, keys: Callable[[], Sequence[str]]) -> None:
        self.keys = keys

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The keys that go on as the last word does."""
        from click.shell_completion import CompletionItem

        del ctx, param
        before, comma, last = incomplete.rpartition(",")
        return [CompletionItem(f"{before}{comma}{key}") for key in self.keys() if key.startswith(last)]


def _of(room: str) -> Callable[[], Sequence[str]]:
    def keys() -> Sequence[str]:
        from edgewright import registry

        return registry.names(room)

    return keys


def _formats() -> Sequence[str]:
    from edgewright import registry

    if made := registry.names("converters"):
        return made
    from edgewright.inference.engines import formats

    return formats()


def _precisions() -> Sequence[str]:
    from edgewright.contracts.precision import PRECISIONS

    return PRECISIONS


def _profiles() -> Sequence[str]:
    from edgewright.boards.catalogue import written_profiles

    return sorted(written_profiles(None))


FORMATS, PRECISIONS, TASKS, PROFILES = Keys(_formats), Keys(_precisions), Keys(_of("tasks")), Keys(_profiles)
DEVICES = Keys(lambda: [name if name == "local" else f"{name}://" for name in _of("devices")()])


class Output(click.Path):
    """A file to write: that it can be is known before an hour of work is done for it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path. Raises StorageError."""
        from edgewright.system.files import check_place

        path = os.fspath(super().convert(value, param, ctx))
        check_place(Path(os.fsdecode(path)))
        return path


class Listing(click.Option):
    """An option whose help ends with the keys that it takes, which are looked up when help is asked."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """What click shows, with the keys behind it."""
        found = super().get_help_record(ctx)
        if found is None or not isinstance(self.type, Keys):
            return found
        return found[0], f"{found[1]} [{', '.join(self.type.keys())}]"


def task_option(what: str) -> Callable[[Any], Any]:
    """`--task`; `what` says when it is to be given."""
    return click.option("--task", cls=Listing, type=TASKS, help=what)


def artifact_options(command: Any) -> Any:
    """`--format` and `--precision`, each to narrow the choice of artifacts."""
    command = click.option("--precision", cls=Listing, type=PRECISIONS, help="Only this precision.")(command)
    return click.option("--format", "format_", cls=Listing, type=FORMATS, help="Only this format.")(command)


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
    return click.option("--device", metavar="URL", type=DEVICES, callback=_named, help=what)(board_options(command))


def _named(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    """A board that was named: what an unset variable of a shell leaves would be answered by this machine."""
    if value is not None and not value.strip():
        raise click.BadParameter("it is empty; give the URL of a board, such as ssh://pi, or leave it out")
    return value


def fleet_options(command: Any) -> Any:
    """Of `export rauc` and `export mender`: the file, and how the board installs."""
    command = click.option("--service", is_flag=True, help="Let a service of systemd serve it there.")(command)
    where = "Where on the board the releases are."
    command = click.option("--root", default="/var/lib/edgewright", show_default=True, help=where)(command)
    command = click.option("--force", is_flag=True, help="Replace a file that is there.")(command)
    return click.option("-o", "--out", required=True, type=click.Path(), help="The file to write.")(
        output_options(command)
    )


class Parts(click.Group):
    """A group whose help shows its commands by `sections`, each with its whole sentence."""

    sections: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click's; the nearest name where there is no such command, variables named as options are typed."""
        name = args[0]
        if not name.startswith("-") and name not in self.list_commands(ctx):
            near = did_you_mean(name, self.list_commands(ctx))
            ctx.fail(f"no command {name!r}{near or f'; see {ctx.command_path} --help'}")
        found = super().resolve_command(ctx, args)
        for option in found[1].params if found[1] else ():
            _called_as_typed(option, f"{ctx.auto_envvar_prefix}_{name}")
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands by sections."""
        names = self.list_commands(ctx)
        placed = {name for _, section in self.sections for name in section}
        rest = tuple(name for name in names if name not in placed)
        for title, section in (*self.sections, ("Commands", rest)):
            found = [(name, self.get_command(ctx, name)) for name in section]
            rows = [(name, command.get_short_help_str(_MOST_SUMMARY)) for name, command in found if command]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


class Room(Parts):
    """The same whose commands are the files of a room."""

    room = ""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of the files."""
        from edgewright import registry

        del ctx
        return [*registry.names(self.room)]  # `list` is the command of that name, once it was imported

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a file, which is imported now; of what a board's part of edgewright lacks only the name."""
        from edgewright import registry

        if cmd_name not in self.list_commands(ctx):
            return None
        try:
            command: click.Command = registry.load(self.room, cmd_name)
        except ModuleNotFoundError as error:
            if not str(error.name).startswith("edgewright."):
                raise
            return _Elsewhere(cmd_name, error)
        return command


def _called_as_typed(option: click.Parameter, prefix: str) -> None:
    """Name an option's variable after what is typed: click takes the name in Python, such as FORMAT_ of --format."""
    if isinstance(option, click.Option) and not option.envvar:
        flag = max(option.opts, key=len).lstrip("-")
        option.envvar = re.sub("[^A-Z0-9]", "_", f"{prefix}_{flag}".upper())


class _Elsewhere(click.Command):
    """A command whose room is not here: help and completion name it, and who gives it is told why it cannot be."""

    def __init__(self, name: str, why: ModuleNotFoundError) -> None:
        super().__init__(name, help="On a workstation: it is not in a board's part of edgewright.")
        self._why = why

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Raise why, but for a shell that completes."""
        if not ctx.resilient_parsing:
            raise self._why
        return super().parse_args(ctx, args)


class Sectioned(click.Command):
    """A command with many options: help shows those of a kind of model in a section of their own.

    The kind stands before a colon in what the option says of itself, as in "A decoder: the same draws again."
    """

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The options without a kind first."""
        sections: dict[str, list[tuple[str, str]]] = {"Options": []}
        for parameter in self.get_params(ctx):
            if isinstance(parameter, click.Option) and (record := parameter.get_help_record(ctx)):
                kind, colon, words = record[1].partition(": ")
                kind, words = (kind, words[:1].upper() + words[1:]) if colon and kind in _KINDS else ("", record[1])
                sections.setdefault(kind or "Options", []).append((record[0], words))
        for title, rows in sections.items():
            with formatter.section(title):
                formatter.write_dl(rows)


_KINDS = ("An encoder", "A decoder", "A translator")
"""What an option may be of."""

_MOST_SUMMARY = 300
"""Characters of a command's first sentence: all of it."""


def subcommands(room: str) -> type[Room]:
    """The class of a group whose commands are the files of a room, such as `cli._devices`."""
    return type("Commands", (Room,), {"room": room})


def example(words: str) -> str:
    """What a command's help ends with; click leaves a paragraph behind this mark as it is."""
    return f"\b\nExample:\n  edgewright {words}"


def typed() -> str:
    """The command as it was typed, with the options that the environment and edgewright.toml gave to it."""
    import shlex

    context = click.get_current_context()
    more = []
    for parameter in context.command.params:
        name, value = str(parameter.name), context.params.get(str(parameter.name))
        if context.get_parameter_source(name) in GIVEN[1:] and isinstance(parameter, click.Option):
            option = max(parameter.opts, key=len)
            given = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
            more += [option] if value is True else [f"{option}={given}"] if value is not False else []
    return shlex.join(["edgewright", *sys.argv[1:], *more])


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
    ("--num-beams", int, "A translator: texts that are followed at once; 1 is greedy."),
    ("--length-penalty", float, "A translator: above 0 favours long texts, below 0 short ones."),
    (
        "--batch-size",
        int,
        "So many prompts, or sentences of a translator, are written at once, one by default.",
    ),
    ("--glossary", click.Path(), "A translator: a file of terms that it keeps to, with the columns source and target."),
)
_GENERATION_FLAGS = (
    ("--keep-tags", "A translator: markup, placeholders and addresses stay where they are."),
    ("--details", "A translator: score and flags of each sentence, what looks wrong or left out."),
)


def generation_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a decoder, which arrive as one dictionary of those given, `generation`."""

    def wrapped(**given: Any) -> Any:
        names = [option[0].removeprefix("--").replace("-", "_") for option in (*_GENERATION, *_GENERATION_FLAGS)]
        generation = {name: value for name in names if (value := given.pop(name)) is not None}
        if "glossary" in generation:
            from edgewright.bundle.manifest import Settings
            from edgewright.data.rows import examples
            from edgewright.generation.glossary import agreed
            from edgewright.tasks.translation import Translation

            rows = examples(Path(generation["glossary"]), Translation(Settings(max_length=1)))
            generation["glossary"] = agreed((row.item, row.label) for row in rows)
        if "choices" in generation:
            generation["choices"] = [word.strip() for word in generation["choices"].split(",") if word.strip()]
        if "json_schema" in generation:
            from edgewright.errors import DataError
            from edgewright.system.files import read_capped
            from edgewright.system.untrusted import MAX_JSON_BYTES

            path = generation["json_schema"]
            try:
                read = read_capped(Path("/dev/stdin" if path == "-" else path), MAX_JSON_BYTES, DataError)
                generation["json_schema"] = read.decode("utf-8-sig")
            except (OSError, UnicodeDecodeError) as error:
                words = error.strerror if isinstance(error, OSError) else f"it is not UTF-8 at byte {error.start}"
                raise DataError(f"cannot read {path}: {words}", hint="give a file with a JSON Schema") from error
        return command(**given, generation=generation)

    wrapped.__doc__ = command.__doc__
    wrapped.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined]
    for name, kind, words in reversed(_GENERATION):
        wrapped = click.option(name, type=kind, help=words)(wrapped)
    for name, words in reversed(_GENERATION_FLAGS):
        wrapped = click.option(name, is_flag=True, default=None, help=words)(wrapped)
    return wrapped
