"""The space of a search: a recipe with several values to try for some of its options.

[[step]]
use = "student"
layers = { try = [2, 3, 4] }
feed_forward = { try = [256, 512, 1024] }

[[step]]
use = "distill"
epochs = { search = 0.5, full = 3.0 }     # a short run to compare by, a long one for the winner

[artifact]
format = "onnx"
precision = { try = ["int8", "int4"] }
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta, Struct

from edgewright import registry
from edgewright.builder.support import gap
from edgewright.compression.recipe import Document, check_task
from edgewright.contracts.precision import PRECISIONS, Precision
from edgewright.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from edgewright.compression.recipe import Named
    from edgewright.compression.steps import Setting
    from edgewright.model.source import Source

__all__ = ["Choice", "Measure", "Point", "Space"]

Point = tuple[int, ...]
"""Which value of each choice, counted from 0."""

_MOST_POINTS = 100_000
"""A choice: every point is held and checked; no search comes near so many trials."""


class Measure(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The artifact that every student becomes, and how it is measured.

    Attributes:
        format: of the artifact.
        precision: of the artifact.
        tokens: the length at which it is timed; a translator is timed by sentences that score.
        threads: of the engine.
        processes: fresh ones in which it is timed.
    """

    format: str = "onnx"
    precision: Precision = "int8"
    tokens: Annotated[int, Meta(ge=1)] = 32
    threads: Annotated[int, Meta(ge=1)] = 1
    processes: Annotated[int, Meta(ge=1)] = 3


@dataclass(frozen=True)
class Choice:
    """An option with several values.

    Attributes:
        name: such as `student.layers`.
        step: the number of its step, 0 for the artifact's table.
        key: of the option.
        values: what it may be.
    """

    name: str
    step: int
    key: str
    values: tuple[Any, ...]

    @property
    def ordered(self) -> bool:
        """Whether the values are numbers in ascending order."""
        numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in self.values)
        return numbers and list(self.values) == sorted(self.values)


@dataclass(frozen=True)
class Space:
    """A space as its file gives it.

    Attributes:
        document: the file.
        choices: options with several values, in the file's order.
        infeasible: how many combinations are left out, and why, by reason.
        points: those that are left.
    """

    document: Document
    choices: tuple[Choice, ...]
    infeasible: dict[str, int]
    points: tuple[Point, ...]

    @classmethod
    def read(cls, path: Path, source: Source, setting: Setting) -> Space:
        """Read a file, and leave out what is known not to work before anything is trained.

        Raises:
            UsageError: as `edgewright.compression.recipe.read`; an option with fewer than two values to try, or one
                twice; nothing to choose; a step that is not for the model's task; no combination that works.
        """
        document = Document.read(path, ("step", "artifact"))
        choices = tuple(_choices(document))
        count = math.prod(len(choice.values) for choice in choices)
        if not choices:
            raise UsageError(f"{path} has nothing to choose", hint="give an option as { try = [1, 2, 3] }")
        if count > _MOST_POINTS:
            raise UsageError(f"{path} has {count} combinations, at most {_MOST_POINTS} are searched", hint="try fewer")
        _check_each(document, choices)
        check_task(source, _steps(document, choices, (0,) * len(choices)), "searched")
        infeasible: dict[str, int] = {}
        points, reason_of = [], _reasons(document, choices, source, setting)
        for point in itertools.product(*(range(len(choice.values)) for choice in choices)):
            reason = reason_of(point)
            points += [] if reason else [point]
            if reason:
                infeasible[reason] = infeasible.get(reason, 0) + 1
        if not points:
            raise UsageError(f"{path}: none of {count} combinations works: {next(iter(infeasible))}")
        return cls(document, choices, infeasible, tuple(points))

    @cached_property
    def sha256(self) -> str:
        """A hash over what is searched; comments and order of keys do not matter."""
        return hashlib.sha256(json.dumps(self.document.tree, sort_keys=True, default=str).encode()).hexdigest()

    def values(self, point: Point) -> dict[str, Any]:
        """What a point chooses, by the names of the choices."""
        return {choice.name: choice.values[at] for choice, at in zip(self.choices, point, strict=True)}

    def recipe(self, point: Point) -> tuple[Named, ...]:
        """The steps of a point, as the search takes them."""
        return _steps(self.document, self.choices, point)

    def measure(self, point: Point) -> Measure:
        """The artifact of a point."""
        return _measure(self.document, self.choices, point)

    def toml(self, point: Point) -> str:
        """The recipe of a point for `edgewright compress`, with the values of the full run."""
        lines = []
        for table in _tables(self.document, self.choices, point, full=True):
            lines += ["[[step]]", *(f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in table.items())]
            lines.append("")
        return "\n".join(lines)


def _choices(document: Document) -> list[Choice]:
    found = []
    steps = document.steps
    names = [str(table.get("use")) for table in steps]
    tables = [("artifact", 0, document.tree.get("artifact", {}))]
    tables += [
        (name if names.count(name) == 1 else f"{name}#{at}", at, table)
        for at, (name, table) in enumerate(zip(names, steps, strict=True), start=1)
    ]
    for name, at, table in [*tables[1:], tables[0]]:
        for key, value in table.items():
            if isinstance(value, dict) and _kind(document, at, name, key, value) == "try":
                found.append(Choice(f"{name}.{key}", at, key, tuple(map(_frozen, value["try"]))))
    return found


def _kind(document: Document, number: int, name: str, key: str, value: dict[str, Any]) -> str:
    """Whether an option has values to `try`, or one for the `search` and one for the winner. Raises UsageError."""
    place, what = f"{document.path}, line {document.line(number, key)}", f"{key} of {name}"
    if set(value) == {"search", "full"}:
        return "search"
    if set(value) != {"try"}:
        hint = "write { try = [1, 2] }, or { search = 0.5, full = 3 }"
        raise UsageError(f"{place}: {what} has {', '.join(sorted(value)) or 'nothing'}", hint=hint)
    tried = value["try"]
    if not isinstance(tried, list) or len(tried) < 2:
        raise UsageError(f"{place}: {what} tries {tried!r}", hint="give at least two values: { try = [1, 2] }")
    twice = [one for at, one in enumerate(tried) if one in tried[:at]]
    if twice:
        raise UsageError(f"{place}: {what} tries {twice[0]!r} twice", hint="leave one out")
    return "try"


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def _steps(document: Document, choices: tuple[Choice, ...], point: Point) -> tuple[Named, ...]:
    numbered = enumerate(_tables(document, choices, point), start=1)
    return tuple(document.step(at, table) for at, table in numbered)


def _tables(
    document: Document, choices: tuple[Choice, ...], point: Point, *, full: bool = False
) -> list[dict[str, Any]]:
    """The tables of the steps, with the values of a point."""
    return [_filled(table, at, choices, point, full=full) for at, table in enumerate(document.steps, start=1)]


def _filled(
    table: dict[str, Any], number: int, choices: tuple[Choice, ...], point: Point, *, full: bool = False
) -> dict[str, Any]:
    chosen = {c.key: c.values[at] for c, at in zip(choices, point, strict=True) if c.step == number}
    side = "full" if full else "search"
    return {
        key: chosen[key] if key in chosen else value[side] if isinstance(value, dict) else value
        for key, value in table.items()
    }


def _measure(document: Document, choices: tuple[Choice, ...], point: Point) -> Measure:
    table = _filled(document.tree.get("artifact", {}), 0, choices, point)
    precision = table.get("precision", "fp32")
    if isinstance(precision, str) and precision not in PRECISIONS:
        raise document.unknown(document.line(0, "precision"), "precision", precision, PRECISIONS)
    found: Measure = document.convert(0, "artifact", table, Measure)
    if found.format not in registry.names("converters"):
        line = document.line(0, "format")
        raise document.unknown(line, "format", found.format, registry.names("converters"))
    return found


def _check_each(document: Document, choices: tuple[Choice, ...]) -> None:
    """Every value by itself: names, kinds and ranges. Raises UsageError with the line."""
    first = (0,) * len(choices)
    points = [first, *((*first[:i], at, *first[i + 1 :]) for i, c in enumerate(choices) for at in range(len(c.values)))]
    for point in points:
        for full in (False, True):
            for at, table in enumerate(_tables(document, choices, point, full=full), start=1):
                document.step(at, table)
        _measure(document, choices, point)


def _reasons(document: Document, choices: tuple[Choice, ...], source: Source, setting: Setting) -> Any:
    """A function: a point -> why it cannot work, empty where nothing is known against it."""
    steps = document.steps

    @cache
    def of_step(number: int, own: Point) -> str:
        try:
            document.step(number, _filled(steps[number - 1], number, choices, own)).step.check(source, setting)
        except UsageError as error:
            return str(error)
        return ""

    @cache
    def of_artifact(own: Point) -> str:
        asked = _measure(document, choices, own)
        if asked.precision not in registry.load("converters", asked.format).precisions:
            return f"{asked.format} has no precision {asked.precision}"
        found = gap(asked.format, asked.precision, model_type=source.model_type, task=source.task)
        return f"{asked.format} at {asked.precision}: {found.reason}" if found else ""

    def reason(point: Point) -> str:
        # what other steps choose is the same for this one, so that each kind of it is looked at once
        def own(number: int) -> Point:
            return tuple(at if c.step == number else 0 for c, at in zip(choices, point, strict=True))

        found = (of_step(number, own(number)) for number in range(1, len(steps) + 1))
        return next(filter(None, found), "") or of_artifact(own(0))

    return reason
