"""The eager model in a child of its own: what it is asked, and how arrays go there and back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from edgewright.model.source import SourceJob  # noqa: TC001 - msgspec reads annotations
from edgewright.system import arrays
from edgewright.system.child import Child
from edgewright.system.files import scratch
from edgewright.system.jobs import Jobs
from edgewright.system.progress import silent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from edgewright.system.child import Given

    Batch = dict[str, NDArray[Any]]

__all__ = ["FEEDS", "REFERENCE", "Look", "ReferenceAnswer", "ReferenceRequest", "ask", "ask_in"]

FEEDS = "feeds.npz"
"""The file in a scratch directory that the batches lie in; whoever asked may use it again."""


class Look(Struct, frozen=True, kw_only=True):
    """What every function takes that looks at an eager model; one that wants more has a struct made of this.

    Attributes:
        threads: of torch.
        feeds: the file of the batches, int64 (batch, length) arrays by name. `ask` sets it.
        out: the file for the arrays that it makes, a group for each batch or layer. `ask` sets it.
    """

    source: SourceJob
    threads: int
    feeds: Path = Path()
    out: Path = Path()


class ReferenceRequest(Look, frozen=True, kw_only=True):
    """Run the batches; then ask the source's own library, which this process has imported already.

    Attributes:
        asked: the file of an `edgewright.model.outside.Asked`, None for a source that has no library of its own.
        told: the file for its `Told`.
    """

    asked: Path | None = None
    told: Path = Path()


class ReferenceAnswer(Struct, frozen=True):
    """What the eager model says of itself: its number of weights, shared ones once, and whether it reads padding."""

    parameters: int
    reads_padding: bool = False


REFERENCE = Child("edgewright.converters._model.jobs:reference", ReferenceRequest, ReferenceAnswer)
"""Run the batches, and write the outputs."""

_Looking = TypeVar("_Looking", bound=Look)


def ask(
    child: Child[_Looking, Given],
    request: _Looking,
    batches: Sequence[Batch] = (),
    *,
    progress: Callable[[str], None] = silent,
) -> tuple[Given, list[Batch]]:
    """Ask the eager model of a source, in a child, about some batches: its answer, and the arrays that it wrote.

    Raises:
        SourceError: the model does not load.
        EdgewrightError: what else the function raises.
        ChildFailed: it crashed, was killed, or went over a limit.
    """
    with scratch() as work:
        return ask_in(Jobs(work, progress=progress), child, request, batches)


def ask_in(
    jobs: Jobs, child: Child[_Looking, Given], request: _Looking, batches: Sequence[Batch] = ()
) -> tuple[Given, list[Batch]]:
    """As `ask`, among the jobs of a build, whose scratch directory keeps the batches in `FEEDS`."""
    placed = replace(request, feeds=jobs.scratch / FEEDS, out=jobs.scratch / "eager.npz")
    arrays.save(placed.feeds, batches)
    answer = jobs.run(child, placed, preload=placed.source.preload)
    return answer, arrays.load(placed.out) if placed.out.exists() else []
