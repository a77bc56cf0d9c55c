"""Which engine runs which format."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgewright import registry
from edgewright.errors import MissingExtra, UsageError

if TYPE_CHECKING:
    from edgewright.bundle.bundle import Bundle
    from edgewright.contracts.engine import Runtime

__all__ = ["engine_for", "engines_of", "runnable"]


def engines_of(format: str) -> list[Runtime]:  # noqa: A002
    """Every engine that opens a format, installed or not."""
    every = (registry.load("runtimes", name)() for name in registry.names("runtimes"))
    return [engine for engine in every if format in engine.formats]


def engine_for(format: str, name: str | None = None) -> Runtime:  # noqa: A002
    """The installed engine for a format, or the one called `name`.

    Raises:
        UsageError: no such engine, or it does not open this format.
        MissingExtra: none that fits is installed.
    """
    fits = engines_of(format)
    if not fits:
        raise UsageError(f"no engine opens {format}", hint=f"engines: {', '.join(registry.names('runtimes'))}")
    if name and name not in [engine.engine for engine in fits]:
        registry.load("runtimes", name)
        raise UsageError(
            f"engine {name} does not open {format}", hint=f"{format} runs on {', '.join(e.engine for e in fits)}"
        )
    for engine in fits:
        if name in (None, engine.engine) and engine.installed():
            return engine
    raise MissingExtra(f"no engine for {format} is installed", hint=f"run: pip install 'edgewright[{fits[0].extra}]'")


def runnable(bundle: Bundle) -> list[str]:
    """The formats of a bundle that an installed engine opens."""
    formats = dict.fromkeys(artifact.format for artifact in bundle.manifest.artifacts)
    return [name for name in formats if any(engine.installed() for engine in engines_of(name))]
