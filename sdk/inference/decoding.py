"""From a decoder's bundle to a generator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgewright.generation.defaults import Defaults
from edgewright.generation.generator import Generator
from edgewright.generation.session import CacheSession

if TYPE_CHECKING:
    from edgewright.bundle.bundle import Bundle
    from edgewright.bundle.manifest import Artifact
    from edgewright.contracts.engine import Runtime

__all__ = ["open_generator"]


def open_generator(
    bundle: Bundle, artifact: Artifact, runtime: Runtime, *, threads: int, context: int | None = None
) -> Generator:
    """A generator over an artifact whose files have been checked, with a cache of at most `context` tokens."""
    most = bundle.manifest.settings.max_length
    path = bundle.directory / artifact.path
    decoder = runtime.open_decoder(path, threads=threads, context=min(context or most, most))
    return Generator(
        bundle.tokenizer(),
        CacheSession(decoder, artifact.sha256),
        Defaults.of(bundle.directory),
        directory=bundle.directory,
        artifact=artifact,
        engine=runtime.engine,
        threads=threads,
    )
