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
from typing import TYPE_CHECKING, Any

import msgspec

from edgewright import registry
from edgewright.errors import UsageError
from edgewright.toml import did_you_mean, read_toml

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edgewright.compress import Step

__all__ = ["Named", "read"]


class Named(msgspec.Struct, frozen=True):
    """A step of a recipe, and the name that it goes by."""

    name: str
    step: Any


def read(path: Path) -> tuple[Named, ...]:
    """The steps of a recipe.

    Raises:
        UsageError: not TOML, no steps, or an unknown step, option or value: the line, what was meant, what is allowed.
    """
    text, tree = read_toml(path)
    strange = sorted(set(tree) - {"step"})
    if strange:
        raise _unknown(path, _line(text, 0, strange[0]), "table", strange[0], ["step"])
    steps = tree.get("step")
    if not isinstance(steps, list) or not steps:
        raise UsageError(f"{path} has no steps", hint='begin each with [[step]] and use = "NAME"')
    return tuple(_step(path, text, at, dict(table)) for at, table in enumerate(steps, start=1))


def _step(path: Path, text: str, number: int, table: dict[str, Any]) -> Named:
    name = table.pop("use", None)
    known = registry.names("compress")
    if name not in known:
        raise _unknown(path, _line(text, number, "use"), "step", str(name), known)
    kind: type[Step] = registry.load("compress", name)
    fields = [field.name for field in msgspec.structs.fields(kind)]
    for key in table:
        if key not in fields:
            raise _unknown(path, _line(text, number, key), f"option of {name}", key, fields)
    try:
        return Named(name, msgspec.convert(table, kind, strict=True))
    except msgspec.ValidationError as error:
        key = str(error).partition("`$.")[2].partition("`")[0].partition("[")[0]
        missing = re.search(r"missing required field `(\w+)`", str(error))
        line = _line(text, number, key or "use")
        what = f"{path}, line {line}: {name} needs {missing[1]}" if missing else f"{path}, line {line}: {key} of {name}"
        said = "" if missing else f" is {table.get(key)!r}: {str(error).partition(' - ')[0].lower()}"
        raise UsageError(f"{what}{said}", hint=f"options: {', '.join(fields)}") from error


def _unknown(path: Path, line: int, noun: str, name: str, known: Sequence[str]) -> UsageError:
    what = f"{path}, line {line}: unknown {noun} {name!r}{did_you_mean(name, known)}"
    return UsageError(what, hint=f"allowed: {', '.join(known)}")


def _line(text: str, number: int, key: str) -> int:
    """The line of a key in the n-th step; the line of the step's header where the key has none; 0 is before them."""
    at, header = 0, 1
    for line, words in enumerate(text.splitlines(), start=1):
        if re.match(r"\s*\[\[\s*step\s*\]\]", words):
            at, header = at + 1, line if at + 1 == number else header
        if at == number and re.match(rf"\s*\[*\s*[\"']?{re.escape(key)}[\"']?\s*[=\]]", words):
            return line
    return header
