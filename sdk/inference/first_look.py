"""An artifact's first time on a machine: opened and run in a child, so that one that kills its engine kills no other.

A signature says who made a bundle, and a hash that it is whole; neither says that an engine survives it. What a child
survived, here or in `verify`, is remembered (`edgewright.inference.engines.survived`), and not looked at again.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path  # noqa: TC003 - read by msgspec
from typing import TYPE_CHECKING

from msgspec import Struct

from edgewright import registry
from edgewright.errors import ChildFailed, EdgewrightError
from edgewright.inference.engines import remember
from edgewright.system.child import Child, Limits, call

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from numpy.typing import NDArray

    from edgewright.bundle.bundle import Bundle
    from edgewright.bundle.manifest import Artifact, TensorSpec
    from edgewright.contracts.engine import Runtime

__all__ = ["LOOK", "LookRequest", "first_look", "look_in_child"]

_LIMITS = Limits(timeout_s=600.0)
"""A choice: a slow card reads the largest model of a small board in minutes."""
_NUMBERS = ("int32", "int64", "float32")
"""Of caches and what else a step reads; an engine refuses to run without the others, which is no death."""
_TOKENS = 8
"""A choice: long enough to reach every operator, and no time is lost."""


class LookRequest(Struct, frozen=True):
    """An artifact to open and run once."""

    engine: str
    artifact: Path


LOOK = Child("edgewright.inference.first_look:look_in_child", LookRequest, type(None))


def first_look(bundle: Bundle, artifact: Artifact, runtime: Runtime) -> None:
    """See that an engine survives an artifact, whose hash was checked, and remember it.

    Raises:
        ChildFailed: it does not.
        EngineError: it refuses the file.
    """
    try:
        call(LOOK, LookRequest(runtime.engine, bundle.directory / artifact.path), limits=_LIMITS)
    except ChildFailed as error:
        how = error.message.removeprefix(f"{LOOK.name} ")
        raise ChildFailed(f"{artifact.path} is not opened: {runtime.engine} {how}", hint=error.hint) from error
    remember(artifact, runtime)


def look_in_child(request: LookRequest, progress: Callable[[str], None]) -> None:
    """The child's side: open, and run a few tokens. What the engine merely refuses is refused again by whoever asks."""
    del progress
    session = registry.load("runtimes", request.engine)().open(request.artifact, threads=1)
    with suppress(EdgewrightError):
        session.run(_feeds(session.inputs))


def _feeds(inputs: Sequence[TensorSpec]) -> dict[str, NDArray[Any]]:
    """A text of a few tokens; of what reads more than texts, such as caches, ones in each of its inputs' shapes."""
    import numpy as np

    ones = np.ones((1, _TOKENS), dtype=np.int64)
    texts: dict[str, NDArray[Any]] = dict.fromkeys(("input_ids", "attention_mask", "picked"), ones)
    texts["token_type_ids"] = 0 * ones
    if texts.keys() >= {one.name for one in inputs}:
        return texts
    shapes = {one.name: [size if isinstance(size, int) else _TOKENS for size in one.shape] for one in inputs}
    return {one.name: np.ones(shapes[one.name], one.dtype) for one in inputs if one.dtype in _NUMBERS}
