"""Which engine runs which format, and which artifacts it survived here."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from edgewright import registry
from edgewright.errors import MissingExtra, StorageError, UsageError
from edgewright.system.files import home
from edgewright.system.machine import model

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgewright.bundle.bundle import Bundle
    from edgewright.bundle.manifest import Artifact
    from edgewright.contracts.engine import Runtime

__all__ = ["engine_for", "engines_of", "formats", "remember", "runnable", "survived"]

_OWN_CHILD = ("tensorrt",)
"""Engines that open an artifact in a child of their own."""


def formats() -> tuple[str, ...]:
    """The formats: those that are converted to; on a board, which converts to none, those that its engines open."""
    if made := registry.names("converters"):
        return made
    engines = (registry.load("runtimes", name) for name in registry.names("runtimes"))
    return tuple(sorted({opened for engine in engines for opened in engine.formats}))


def engines_of(format: str) -> list[Runtime]:  # noqa: A002
    """Every engine that opens a format, installed or not."""
    return list(_opening(format))


def _opening(format: str) -> Iterator[Runtime]:  # noqa: A002
    """The same one by one: who has found one need not import the next."""
    every = (registry.load("runtimes", name)() for name in registry.names("runtimes"))
    return (engine for engine in every if format in engine.formats)


def engine_for(format: str, name: str | None = None) -> Runtime:  # noqa: A002
    """The installed engine for a format, or the one called `name`.

    Raises:
        UsageError: no such engine, or it does not open this format.
        MissingExtra: none that fits is installed.
    """
    for engine in _opening(format):
        if name in (None, engine.engine) and engine.installed():
            return engine
    fits = engines_of(format)
    if not fits:
        raise UsageError(f"no engine opens {format}", hint=f"engines: {', '.join(registry.names('runtimes'))}")
    if name and name not in [engine.engine for engine in fits]:
        registry.load("runtimes", name)
        raise UsageError(
            f"engine {name} does not open {format}", hint=f"{format} runs on {', '.join(e.engine for e in fits)}"
        )
    hint = f"run: {registry.install_line(fits[0].extra)}"
    raise MissingExtra(f"no engine for {format} is installed", hint=hint)


def runnable(bundle: Bundle) -> list[str]:
    """The formats of a bundle that an installed engine opens."""
    formats = dict.fromkeys(artifact.format for artifact in bundle.manifest.artifacts)
    return [name for name in formats if any(engine.installed() for engine in _opening(name))]


def survived(artifact: Artifact, runtime: Runtime) -> bool:
    """Whether an engine of this version, on this machine, has run an artifact of this hash and did not die of it."""
    mark = _mark(artifact, runtime)
    return runtime.engine in _OWN_CHILD or (mark is not None and mark.is_file())


def remember(artifact: Artifact, runtime: Runtime) -> None:
    """Note that it has; where there is no place for a note, the next time looks again."""
    mark = _mark(artifact, runtime)
    if mark:
        with suppress(OSError):
            mark.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            mark.touch()


def _mark(artifact: Artifact, runtime: Runtime) -> Path | None:
    """The note, a file in the user's cache; None where there is no place for it."""
    given = os.environ.get("CACHE_DIRECTORY")  # a service's own (systemd.exec(5))
    try:
        cache = Path(given) if given else home("XDG_CACHE_HOME", ".cache") / "edgewright"
    except StorageError:
        return None
    known = f"{artifact.sha256} {runtime.engine} {runtime.version()} {model()}"
    return cache / "opened" / hashlib.sha256(known.encode()).hexdigest()
