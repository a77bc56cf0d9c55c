"""An artifact's first time on a machine: opened and run in a child, so that one that kills its engine kills no other.

A signature says who made a bundle, and a hash that it is whole; neither says that an engine survives it. What a child
survived, here or in `verify`, is remembered (`edgewright.inference.engines.survived`), and not looked at again.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path  # noqa: TC003 - read by msgspec
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from edgewright import registry
from edgewright.errors import ChildFailed, EdgewrightError
from edgewright.inference.engines import remember
from edgewright.system.child import Child, Limits, call

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgewright.bundle.bundle import Bundle
    from edgewright.bundle.manifest import Artifact
    from edgewright.contracts.engine import Runtime

__all__ = ["LOOK", "LookRequest", "first_look", "look_in_child"]

_LIMITS = Limits(timeout_s=600.0)
"""A choice: a slow card reads the largest model of a small board in minutes."""
_TOKENS = 8
"""A choice: long enough to reach every operator, and no time is lost."""


class LookRequest(Struct, frozen=True):
    """An artifact to open and run once: `reads` what is written token by token, after a source where it has one."""

    engine: str
    artifact: Path
    reads: Literal["texts", "tokens", "sources"] = "texts"
    context: int = 0


LOOK = Child("edgewright.inference.first_look:look_in_child", LookRequest, type(None))


def first_look(bundle: Bundle, artifact: Artifact, runtime: Runtime) -> None:
    """See that an engine survives an artifact, whose hash was checked, and remember it.

    Raises:
        ChildFailed: it does not.
        EngineError: it refuses the file.
    """
    task, path = bundle.task(), bundle.directory / artifact.path
    reads: Literal["texts", "tokens", "sources"] = (
        "sources" if task.reads_source else "tokens" if task.generates else "texts"
    )
    try:
        request = LookRequest(runtime.engine, path, reads, bundle.manifest.settings.max_length)
        call(LOOK, request, limits=_LIMITS)
    except ChildFailed as error:
        how = error.message.removeprefix(f"{LOOK.name} ")
        raise ChildFailed(f"{artifact.path} is not opened: {runtime.engine} {how}", hint=error.hint) from error
    remember(artifact, runtime)


def look_in_child(request: LookRequest, progress: Callable[[str], None]) -> None:
    """The child's side: open, and run a few tokens. What the engine merely refuses is refused again by whoever asks."""
    import numpy as np

    del progress
    runtime: Runtime = registry.load("runtimes", request.engine)()
    ones = np.ones((1, _TOKENS), dtype=np.int64)
    if request.reads == "tokens":
        decoder = runtime.open_decoder(request.artifact, threads=1, context=request.context)
        with suppress(EdgewrightError):
            decoder.read(ones[0, : request.context])
    elif request.reads == "sources":
        translator = runtime.open_encoder_decoder(request.artifact, threads=1, context=request.context)
        with suppress(EdgewrightError):
            translator.begin([ones[0, : request.context].tolist()])
            translator.step(ones[0, :1])
    else:
        session = runtime.open(request.artifact, threads=1)
        with suppress(EdgewrightError):
            session.run({"input_ids": ones, "attention_mask": ones, "token_type_ids": 0 * ones, "picked": ones})
