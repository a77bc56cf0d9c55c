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

__all__ = ["install_line", "load", "names", "require"]

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
        what = f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed"
        raise MissingExtra(what, hint=f"run: {install_line(extra)}")


def install_line(extra: str) -> str:
    """The pip line that brings an extra; of a checkout, where edgewright was installed from one."""
    import shlex

    words = _checkout() or ["edgewright"]
    return shlex.join(["pip", "install", *words[:-1], f"{words[-1]}[{extra}]"])


def _checkout() -> list[str]:
    """What pip was given to install this edgewright, if it was a directory that is still there (PEP 610)."""
    import json
    from importlib import metadata
    from pathlib import Path
    from urllib.parse import unquote, urlsplit

    try:
        told = json.loads(metadata.distribution("edgewright").read_text("direct_url.json") or "{}")
        directory, editable = Path(unquote(urlsplit(told["url"]).path)), told["dir_info"].get("editable", False)
    except (metadata.PackageNotFoundError, ValueError, LookupError):
        return []
    return [*(["-e"] if editable else []), str(directory)] if (directory / "pyproject.toml").is_file() else []
