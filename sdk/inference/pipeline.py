"""A loaded bundle that answers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from edgewright.bundle.bundle import Bundle
from edgewright.inference.choice import chosen
from edgewright.inference.engines import engine_for, runnable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from edgewright.bundle.manifest import Artifact
    from edgewright.contracts.engine import Session
    from edgewright.tasks import Task
    from edgewright.text.tokenizer import Tokenizer

__all__ = ["Pipeline", "load", "printable"]


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

    def prove(self, bundle: Bundle, *, most: int | None = None) -> int:
        """Replay golden cases of its bundle through it, see `edgewright.inference.golden.prove`."""
        from edgewright.inference.golden import prove

        return prove(bundle, self.artifact, self.task, self.tokenizer, self.session, most=most)


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
    bundle = Bundle.of(bundle)
    free = format is None and precision is None and engine is None
    artifact, choice = chosen(bundle) if free else (None, None)
    if artifact is None:
        artifact = bundle.choose(format=format, precision=precision, among=() if format else runnable(bundle))
    intact = bundle.checking([*bundle.parts(artifact), *bundle.tokenizer_files()])
    try:
        runtime = engine_for(artifact.format, engine)
        runtime.import_engine()
        task = bundle.task()
    finally:
        intact()
    if threads is None:
        threads = min(choice.threads, os.cpu_count() or 1) if choice else 1
    runtime.buckets = buckets if buckets is not None else choice.buckets if choice else ()
    session = runtime.open(bundle.directory / artifact.path, threads=threads)
    # A session that takes over is proven in a thread of its own, with a tokenizer of its own
    session.begin(lambda faster: Pipeline(artifact, task, bundle.tokenizer(), faster).prove(bundle))
    return Pipeline(artifact, task, bundle.tokenizer(), session)
