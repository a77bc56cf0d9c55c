"""A loaded bundle that answers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from edgewright.bundle.bundle import Bundle
from edgewright.contracts.engine import Session
from edgewright.errors import DataError, UsageError, quoted
from edgewright.inference.choice import chosen
from edgewright.inference.engines import engine_for, runnable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from edgewright.bundle.manifest import Artifact
    from edgewright.tasks import Task
    from edgewright.text.tokenizer import Tokenizer

__all__ = ["Pipeline", "load", "printable"]


_LISTS = ("tolist", "to_list", "to_pylist")
"""What gives the values of a column as a list: of NumPy and pandas, of Polars, of Arrow."""


class Pipeline:
    """Tokenizer, task and an opened artifact, or the eager model in its place.

    Call it with one item for one answer, or with a list for a list. Each item is a run of its own: nothing is padded,
    and an answer never depends on its neighbours, which in a batch share the scales of dynamic quantization.

    As the context of a `with` block it is closed at its end.

    Attributes:
        engine: the key of the engine, "" for the eager model.
        threads: those of the engine; 0 where they are not known.
    """

    def __init__(
        self,
        artifact: Artifact | None,
        task: Task,
        tokenizer: Tokenizer,
        session: Session,
        *,
        engine: str = "",
        threads: int = 0,
    ) -> None:
        self.artifact, self.task, self.tokenizer, self.session = artifact, task, tokenizer, session
        self.engine, self.threads = engine, threads

    def __repr__(self) -> str:
        from edgewright.system.shown import brief

        threads = f"{self.threads} thread{'s' * (self.threads > 1)}" if self.threads else ""
        state = "closed" if isinstance(self.session, _Closed) else ""
        return brief(self, self.task.name, self.artifact.key if self.artifact else "eager", self.engine, threads, state)

    def __call__(self, items: Any) -> Any:
        """One item (a text, or a pair of texts as a tuple) -> its answer; several items -> a list of their answers.

        Several are a list, a generator or another iterable, or a column of texts: an array of NumPy, a Series of pandas
        or Polars, an array of Arrow.

        Raises:
            DataError: an array that is no column, or a row that holds no text; names the row, the first being 0.
            UsageError: the pipeline is closed.
        """
        several = _several(items)
        if several is None:
            return self._answer(items)
        if isinstance(several, list):
            several = list(_checked(several))  # before the first is answered
        return list(self.stream(several))

    def stream(self, items: Iterable[Any]) -> Iterator[Any]:
        """Answer items as they come. Raises what a call raises."""
        return map(self._answer, _checked(items))

    def close(self) -> None:
        """Give the engine's session back; whoever asks again gets a UsageError."""
        closed = _Closed(self.session)
        self.session.close()
        self.session = closed

    def __enter__(self) -> Pipeline:  # noqa: PYI034 - typing has Self from Python 3.11 on
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _answer(self, item: Any) -> Any:
        return self.task.answer(self.session.run, self.tokenizer, [item])[0]

    def row(self, item: Any) -> dict[str, Any]:
        """An item and its answer as plain JSON values: what `edgewright run` and `edgewright serve` print."""
        return {"text": printable(item), "answer": self.task.record(self(item))}

    def prove(self, bundle: Bundle, *, most: int | None = None) -> int:
        """Replay golden cases of its bundle through it, see `edgewright.inference.golden.prove`."""
        from edgewright.inference.golden import prove

        return prove(bundle, self.artifact, self.task, self.tokenizer, self.session, most=most)


class _Closed(Session):
    """Stands for a session that was given back."""

    def __init__(self, before: Session) -> None:
        self.inputs, self.outputs = before.inputs, before.outputs

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Raise UsageError."""
        del feeds
        raise UsageError("the pipeline is closed", hint="load the bundle again, or ask inside of the `with` block")


def _several(items: Any) -> Iterable[Any] | None:
    """What gives items one by one, None where `items` is itself one. No library is imported to tell its arrays."""
    if isinstance(items, (str, bytes, tuple, dict, set, frozenset)) or not hasattr(items, "__iter__"):
        return None
    shape = getattr(items, "shape", (0,))
    if len(shape) != 1:
        what = f"a {type(items).__name__} of the shape {tuple(shape)} is no column of texts"
        raise DataError(what, hint="give one column; pairs as zip(questions, contexts)")
    way = next((name for name in _LISTS if hasattr(items, name)), None)
    return getattr(items, way)() if way else items  # type: ignore[no-any-return]


def _checked(items: Iterable[Any]) -> Iterator[Any]:
    """Items as they come. Raises DataError for the first that is neither a text nor made of texts."""
    for row, item in enumerate(items):
        parts = item if isinstance(item, (tuple, list)) else (item,)
        for part in parts:
            if not isinstance(part, str):
                what = f"row {row} has {quoted(str(part))}, a {type(part).__name__}, where a text should be"
                raise DataError(what, hint="the first row is 0; leave the row out, or put a text in its place")
        yield item


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
    prompt: str | None = None,
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
        prompt: the name of one of the source's prompts, to stand before every text; by default the source's own choice.

    Raises:
        UsageError: the source has no such prompt.
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
        task = bundle.task() if prompt is None else bundle.task().prompted(prompt)
    finally:
        intact()
    if threads is None:
        threads = min(choice.threads, os.cpu_count() or 1) if choice else 1
    runtime.buckets = buckets if buckets is not None else choice.buckets if choice else ()
    session = runtime.open(bundle.directory / artifact.path, threads=threads)
    # A session that takes over is proven in a thread of its own, with a tokenizer of its own
    session.begin(lambda faster: Pipeline(artifact, task, bundle.tokenizer(), faster).prove(bundle))
    return Pipeline(artifact, task, bundle.tokenizer(), session, engine=runtime.engine, threads=threads)
