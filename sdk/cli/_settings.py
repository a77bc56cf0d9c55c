"""Options that a project writes down once: edgewright.toml in the working directory, for `build` and `bench`.

    [build]
    format = ["onnx", "tflite"]
    data = "dev.tsv"

A typed option counts more, and so does one in the environment, such as EDGEWRIGHT_BUILD_DATA. What lets a failed gate
pass, or replaces what is there, is typed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgewright.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

    import click

__all__ = ["read_settings"]


_FILE = "edgewright.toml"
_TABLES = ("build", "bench")
_TYPED = ("allow-divergence", "force")
"""What lets a failed gate pass, or replaces what is there: a directory of a stranger's may hold such a file."""


def read_settings(command: click.Command) -> dict[str, Any]:
    """The options that the file gives to a command, by the names of its parameters.

    Raises:
        UsageError: it cannot be read, is no TOML, or has a table or an option that is none.
    """
    path = Path(_FILE)
    from edgewright.system.toml import read_toml

    _, tree = read_toml(path)
    for name in tree.keys() - set(_TABLES):
        raise UsageError(
            f"{_FILE}: no table {name!r}{did_you_mean(name, _TABLES)}", hint=f"it has {', '.join(_TABLES)}"
        )
    table = tree.get(str(command.name), {})
    if not isinstance(table, dict):
        raise UsageError(f"{_FILE}: {command.name} is no table", hint=f"write [{command.name}] and its options below")
    return _by_parameter(command, table)


def _by_parameter(command: click.Command, table: Mapping[str, Any]) -> dict[str, Any]:
    options = {word[2:]: parameter for parameter in command.params for word in parameter.opts if word.startswith("--")}
    found = {}
    for key, value in table.items():
        name = key.replace("_", "-")
        if name not in options:
            what = f"{_FILE}: {command.name} has no option {key!r}{did_you_mean(name, options)}"
            raise UsageError(what, hint=f"see edgewright {command.name} --help")
        if name in _TYPED:
            raise UsageError(f"{_FILE}: {command.name}.{key} is given by no file", hint=f"type --{name}")
        found[str(options[name].name)] = _value(f"{command.name}.{key}", value)
    return found


def _value(where: str, value: Any) -> Any:
    """A value as it would be typed: a list by comma. Raises UsageError for what cannot be typed."""
    if isinstance(value, list) and all(isinstance(one, str | int) and not isinstance(one, bool) for one in value):
        return ",".join(map(str, value))
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int | float):
        return str(value)
    raise UsageError(
        f"{_FILE}: {where} is {value!r}", hint="give a text, a number, true or false, or a list of texts or numbers"
    )
