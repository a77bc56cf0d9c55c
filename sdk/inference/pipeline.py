"""A loaded bundle that answers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from edgewright import registry
from edgewright.bundle.bundle import Bundle
from edgewright.inference.engines import engine_for, runnable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from edgewright.bundle.manifest import Artifact, Choice
    from edgewright.contracts.converter import Session
    from edgewright.tasks import Task
    from edgewright.text.tokenizer import Tokenizer

__all__ = ["Pipeline", "load", "preferred", "printable"]


class Pipeline:
    """Tokenizer, task and an opened artifact, or the eager model in its place.

    Call it with one item for one answer, or with a list for a list. Each item is a run of its own: nothing is padded,
    and an answer never depends on its neighbours, which in a batch share the scales of dynamic quantization.
    """

    def __init__(self, artifact: Artifact | None, task: Task, tokenizer: Tokenizer, session: Session) -> None:
        self.artifact, self.task, self.tokenizer, self.session = artifact, task, tokenizer, session

    def __call__(self, items: Any) -> Any:
        """One item (a text, or what the task takes) -> its answer; a list of items -> a list of answers."""
        if isinstance(items, list):
            return list(self.stream(items))
        return self._answer(items)

    def stream(self, items: Iterable[Any]) -> Iterator[Any]:
        """Answer items as they come."""
        return map(self._answer, items)

    def _answer(self, item: Any) -> Any:
        return self.task.answer(self.session.run, self.tokenizer, [item])[0]

    def row(self, item: Any) -> dict[str, Any]:
        """An item and its answer as plain JSON values: what `edgewright run` and `edgewright serve` print."""
        return {"text": printable(item), "answer": self.task.record(self(item))}


def printable(item: Any) -> Any:
    """An item as it was understood: a lone surrogate cannot be printed, and counts as U+FFFD."""
    if isinstance(item, tuple):
        return [printable(part) for part in item]
    return item.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def load(
    bundle: Bundle | str | Path,
    *,
    format: str | None = None,  # noqa: A002
    precision: str | None = None,
    engine: str | None = None,
    threads: int | None = None,
    buckets: tuple[int, ...] | None = None,
) -> Pipeline:
    """Open a bundle's artifact: what `edgewright race` chose for this kind of machine, else the smallest that opens.

    Args:
        bundle: a bundle or its directory.
        format: only artifacts of this format.
        precision: only artifacts of this precision.
        engine: the engine's key, where a format has several.
        threads: how many threads the engine may use; by default what was chosen in the race, else 1.
        buckets: for an engine that pads, the lengths of the artifact to pad to; by default those that were chosen in
            the race, else all.

    Raises:
        BundleError: the bundle is not what its manifest says, or has no such artifact.
        MissingExtra: no engine for the format is installed.
    """
    bundle = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
    free = format is None and precision is None and engine is None
    artifact, chosen = _chosen(bundle) if free else (None, None)
    if artifact is None:
        artifact = bundle.choose(format=format, precision=precision, among=() if format else runnable(bundle))
    intact = bundle.checking([*bundle.parts(artifact), *bundle.tokenizer_files()])
    try:
        runtime = engine_for(artifact.format, engine)
        runtime.import_engine()
        task = registry.load("tasks", bundle.manifest.task)(bundle.manifest.settings)
    finally:
        intact()
    if threads is None:
        threads = min(chosen.threads, os.cpu_count() or 1) if chosen else 1
    runtime.buckets = buckets if buckets is not None else chosen.buckets if chosen else ()
    session = runtime.open(bundle.directory / artifact.path, threads=threads)
    session.begin(lambda faster: _prove(bundle, Pipeline(artifact, task, bundle.tokenizer(), faster)))
    return Pipeline(artifact, task, bundle.tokenizer(), session)


def _prove(bundle: Bundle, pipeline: Pipeline) -> None:
    """Replay the golden cases through a session that shall take over, with a tokenizer of its own."""
    from edgewright.proof.verify import prove

    prove(bundle, pipeline)


def preferred(bundle: Bundle) -> Artifact:
    """The artifact that `load` opens where nothing is asked."""
    artifact, _ = _chosen(bundle)
    return artifact or bundle.choose(among=runnable(bundle))


def _chosen(bundle: Bundle) -> tuple[Artifact | None, Choice | None]:
    """The artifact that was chosen for this kind of machine, where an engine for it is installed, and the choice."""
    choice = bundle.choice()
    if choice is None:
        return None, None
    artifact = next(a for a in bundle.manifest.artifacts if a.path == choice.path)
    return (artifact, choice) if artifact.format in runnable(bundle) else (None, None)
