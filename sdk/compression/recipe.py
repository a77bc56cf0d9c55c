"""Recipes: TOML files that name the steps of a compression, in order.

[[step]]
use = "trim-vocabulary"
size = 8400

[[step]]
use = "distill"
epochs = 2
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from edgewright import registry
from edgewright.errors import UsageError, did_you_mean
from edgewright.system.toml import read_toml
from edgewright.tasks import check_at_once

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edgewright.compression.steps import Step
    from edgewright.model.source import Source
    from edgewright.tasks import Task

__all__ = ["Document", "Named", "check_task", "read"]


class Named(msgspec.Struct, frozen=True):
    """A step of a recipe, and the name that it goes by."""

    name: str
    step: Any


@dataclass(frozen=True)
class Document:
    """A TOML file of steps and its text, so that what is wrong is told with its line.

    Attributes:
        path: of the file.
        text: what it holds.
        tree: the same, parsed.
    """

    path: Path
    text: str
    tree: dict[str, Any]

    @classmethod
    def read(cls, path: Path, tables: Sequence[str] = ("step",)) -> Document:
        """Parse a file with `[[step]]` tables, and no other tables than `tables`. Raises UsageError."""
        text, tree = read_toml(path)
        found = cls(path, text, tree)
        strange = sorted(set(tree) - set(tables))
        if strange:
            raise found.unknown(found.line(0, strange[0]), "table", strange[0], tables)
        steps = tree.get("step")
        if not isinstance(steps, list) or not steps or not all(isinstance(step, dict) for step in steps):
            raise UsageError(f"{path} has no steps", hint='begin each with [[step]] and use = "NAME"')
        return found

    @property
    def steps(self) -> list[dict[str, Any]]:
        """The steps' tables, in order."""
        return [dict(table) for table in self.tree["step"]]

    def step(self, number: int, table: dict[str, Any]) -> Named:
        """The step that a table names, the `number`-th of the file, counted from 1. Raises UsageError."""
        options = {key: value for key, value in table.items() if key != "use"}
        name, known = table.get("use"), registry.names("compression.steps")
        if name not in known:
            raise self.unknown(self.line(number, "use"), "step", str(name), known)
        kind: type[Step] = registry.load("compression.steps", name)
        return Named(name, self.convert(number, name, options, kind))

    def convert(self, number: int, name: str, options: dict[str, Any], kind: Any) -> Any:
        """Options as a struct of a kind; `name` is what they are options of. Raises UsageError."""
        fields = [field.name for field in msgspec.structs.fields(kind)]
        for key in options:
            if key not in fields:
                raise self.unknown(self.line(number, key), f"option of {name}", key, fields)
        try:
            return msgspec.convert(options, kind, strict=True)
        except msgspec.ValidationError as error:
            key = str(error).partition("`$.")[2].partition("`")[0].partition("[")[0]
            missing = re.search(r"missing required field `(\w+)`", str(error))
            place = f"{self.path}, line {self.line(number, key or 'use')}"
            what = f"{name} needs {missing[1]}" if missing else f"{key} of {name} is {options.get(key)!r}"
            said = "" if missing else f": {str(error).partition(' - ')[0].lower()}"
            raise UsageError(f"{place}: {what}{said}", hint=f"options: {', '.join(fields)}") from error

    def unknown(self, line: int, noun: str, name: str, known: Sequence[str]) -> UsageError:
        """An error about a name: what was meant, and what is allowed."""
        what = f"{self.path}, line {line}: unknown {noun} {name!r}{did_you_mean(name, known)}"
        return UsageError(what, hint=f"allowed: {', '.join(known)}")

    def line(self, number: int, key: str) -> int:
        """The line of a key in the n-th step; that of the step's header where it has none; 0 is outside of steps."""
        at, steps, header = 0, 0, 1
        for line, words in enumerate(self.text.splitlines(), start=1):
            if re.match(r"\s*\[\[\s*step\s*\]\]", words):
                at = steps = steps + 1
                header = line if at == number else header
            elif re.match(r"\s*\[+\s*[\w.-]+\s*\]+\s*(#.*)?$", words):
                at = 0
            if at == number and re.match(rf"\s*\[*\s*[\"']?{re.escape(key)}[\"']?\s*[=\]]", words):
                return line
        return header


def read(path: Path) -> tuple[Named, ...]:
    """The steps of a recipe.

    Raises:
        UsageError: not TOML, no steps, or an unknown step, option or value: the line, what was meant, what is allowed.
    """
    document = Document.read(path)
    return tuple(document.step(at, table) for at, table in enumerate(document.steps, start=1))


def check_task(source: Source, steps: Sequence[Named], doing: str) -> None:
    """Raise UsageError where a model writes, and a step is not for one that does; `doing` is what is done with it."""
    task: Task = registry.load("tasks", source.task)(source.settings)
    if not task.reads_source:
        check_at_once(task, doing)
        return
    stranger = next((named.name for named in steps if not named.step.translates), None)
    if stranger:
        kinds = ((name, registry.load("compression.steps", name)) for name in registry.names("compression.steps"))
        known = ", ".join(name for name, kind in kinds if kind.translates)
        raise UsageError(f"{stranger} is not for {source.task}", hint=f"these are: {known}")
