"""Batches through an engine, in a child: an engine may crash on a file, and its memory goes with it."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - msgspec reads annotations
from typing import TYPE_CHECKING

from msgspec import Struct

from edgewright import registry
from edgewright.bundle.manifest import TensorSpec  # noqa: TC001 - msgspec reads annotations
from edgewright.contracts.engine import check_outputs
from edgewright.system import arrays
from edgewright.system.child import Child
from edgewright.text.encoding import picked

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["RUN", "RunAnswer", "RunRequest", "run_engine"]


class RunRequest(Struct, frozen=True, kw_only=True):
    """An artifact to run on some batches.

    Attributes:
        name: what to call it in phrases of progress.
        feeds: the file of the batches.
        out: the file for the outputs, a group for each batch.
        plain: without the engine's own optimisations.
        outputs: what the task reads, which must be there; nothing is asked for none.
        per_token: whether each of them has something for each token.
    """

    name: str
    engine: str
    artifact: Path
    feeds: Path
    out: Path
    plain: bool = False
    outputs: tuple[str, ...] = ()
    per_token: bool = False


class RunAnswer(Struct, frozen=True):
    """The artifact's signature."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


RUN = Child("edgewright.inference.run_batches:run_engine", RunRequest, RunAnswer)


def run_engine(request: RunRequest, progress: Callable[[str], None]) -> RunAnswer:
    """Open an artifact in its engine, run the batches, and write the outputs.

    One thread, so that the same artifact gives the same numbers wherever the order of additions would matter.
    """
    batches = arrays.load(request.feeds)
    runtime = registry.load("runtimes", request.engine)()
    runtime.plain = request.plain
    session = runtime.open(request.artifact, threads=1)
    progress(f"{request.name}: gate, {len(batches)} calls")
    found = []
    for batch in batches:
        outputs = session.run(batch)
        check_outputs(request.outputs, outputs, batch, request.name, per_token=request.per_token)
        found.append(picked(outputs, batch))
    arrays.save(request.out, found)
    return RunAnswer(session.inputs, session.outputs)
