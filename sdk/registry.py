"""Formats, engines, tasks, commands and transports by file name.

The name of a file is the key: `converters/onnx.py` is the format `onnx`, `tasks/text_classification.py` the task
`text-classification`. Such a file names exactly one object in `__all__`, and that object is what `load` gives. Files
that begin with an underscore are not keys. Nothing is registered by hand.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from functools import cache
from typing import Any

from edgewright.errors import MissingExtra, UsageError, did_you_mean

__all__ = ["load", "names", "require"]

_NOUNS = {
    "converters": "format",
    "runtimes": "engine",
    "devices": "transport",
    "tasks": "task",
    "cli": "command",
    "compression.steps": "step",
}


@cache
def names(room: str) -> tuple[str, ...]:
    """The keys of a room, sorted: `names("converters")` -> `("onnx", ...)`."""
    spec = importlib.util.find_spec(f"edgewright.{room}")  # its face, which may import much, is not needed for this
    found = (m.name for m in pkgutil.iter_modules(spec.submodule_search_locations if spec else ()))
    return tuple(sorted(name.replace("_", "-") for name in found if not name.startswith("_")))


def load(room: str, name: str) -> Any:
    """The object behind a key.

    Raises:
        UsageError: the room has no such key; the keys that it has are listed.
    """
    if name not in names(room):
        noun = _NOUNS.get(room, room)
        raise UsageError(
            f"unknown {noun} {name!r}{did_you_mean(name, names(room))}", hint=f"choose from {', '.join(names(room))}"
        )
    module = importlib.import_module(f"edgewright.{room}.{name.replace('-', '_')}")
    (public,) = module.__all__
    return getattr(module, public)


def require(modules: tuple[str, ...], extra: str) -> None:
    """Check, without importing them, that `modules` are installed.

    Raises:
        MissingExtra: one is not; the hint is the pip line.
    """
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        hint = f"run: pip install 'edgewright[{extra}]'"
        raise MissingExtra(f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed", hint=hint)
