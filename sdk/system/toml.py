"""TOML files of the user's, read into records: an error names the file, the place in it, and what is allowed there."""

from __future__ import annotations

import importlib
import sys
import types
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct

from edgewright.errors import UsageError, did_you_mean
from edgewright.system.files import read_capped

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read_toml", "record"]

_MAX_BYTES = 2**20
"""A choice: what people write by hand has some kilobytes, and no wrong file is read into memory whole."""


def read_toml(path: Path) -> tuple[str, dict[str, Any]]:
    """The text of a TOML file and its tables.

    Raises:
        UsageError: it cannot be read, is larger than a MiB, or is not TOML.
    """
    library = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    try:
        text = read_capped(path, _MAX_BYTES, UsageError, hint="is it a TOML file?").decode()
        return text, library.loads(text)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not TOML: {error}") from error


def record(tree: Any, kind: type[Any], name: str) -> Any:
    """The tables of the file called `name` as a record of `kind`, a msgspec struct. Law: `record(to_builtins(r)) == r`.

    Raises:
        UsageError: the first thing that is wrong: its path, such as `cpu.cluster[1].count`, and what is allowed.
    """
    _check(tree, kind, name, "")
    try:
        return msgspec.convert(tree, kind, strict=True)
    except msgspec.ValidationError as error:
        raise UsageError(f"{name}: {error}") from error


def _check(value: Any, kind: Any, name: str, path: str) -> None:
    """Raise UsageError for what is wrong in `value`, from the outside in."""
    if get_origin(kind) in (Union, types.UnionType):
        if value is None:  # of a record; TOML has no null
            return
        kind = next(one for one in get_args(kind) if one is not type(None))
    inner = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    if get_origin(inner) is tuple and isinstance(value, list | tuple):
        for at, item in enumerate(value):
            _check(item, get_args(inner)[0], name, f"{path}[{at}]")
    if get_origin(inner) is Literal and value not in get_args(inner):
        hint = f"allowed: {', '.join(get_args(inner))}"
        raise UsageError(f"{name}: {path} is {value!r}{did_you_mean(str(value), get_args(inner))}", hint=hint)
    if isinstance(inner, type) and issubclass(inner, Struct) and isinstance(value, dict):
        _check_table(value, inner, name, path)
        return
    try:
        msgspec.convert(value, kind, strict=True)
    except msgspec.ValidationError as error:
        raise UsageError(f"{name}: {path or 'the file'} is {value!r}: {_lower(str(error))}") from error


def _check_table(value: dict[str, Any], kind: type[Struct], name: str, path: str) -> None:
    hints = get_type_hints(kind, include_extras=True)
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    hint = f"{path or 'the file'} may have {', '.join(fields)}"
    for key in value.keys() - fields.keys():
        raise UsageError(f"{name}: unknown field {_joined(path, key)}{did_you_mean(key, fields)}", hint=hint)
    for key, field in fields.items():
        if key in value:
            _check(value[key], hints[field.name], name, _joined(path, key))
        elif field.required:
            raise UsageError(f"{name}: {_joined(path, key)} is missing", hint=hint)


def _joined(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _lower(words: str) -> str:
    return words[:1].lower() + words[1:].partition(" - at ")[0]
