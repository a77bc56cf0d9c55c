"""A loaded bundle that answers."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any

from edgewright.bundle.bundle import Bundle
from edgewright.contracts.engine import Session, held
from edgewright.errors import DataError, UsageError
from edgewright.inference.choice import chosen
from edgewright.inference.engines import engine_for, runnable, survived
from edgewright.system.limits import allowed

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

    Call it with one item for one answer, or with a list for a list, as a pipeline of transformers. Each item is a run
    of its own: nothing is padded, and an answer never depends on its neighbours, which in a batch share the scales of
    dynamic quantization.

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

    def __call__(self, *given: Any, **options: Any) -> Any:
        """One item -> its answer; several items -> their answers, in the form of transformers' pipeline of the task.

        An item is a text, a pair as {"text", "text_pair"}, or what else the task takes, such as {"question",
        "context"}; its parts can be given by name too. Several are a list, a generator or another iterable, or a column
        of texts: an array of NumPy, a Series of pandas or Polars, an array of Arrow.

        Args:
            given: the item or the items; what a second argument is, the task says.
            options: of the task for this call, such as `top_k`.

        Raises:
            DataError: an array that is no column, or a row that is no item; names the row, the first being 0.
            UsageError: the pipeline is closed, or an option that the task has not.
        """
        items, rest = self.task.called(given, options)
        asking = self.asking(**rest)
        several = _several(items)
        if several is None:
            item = asking.task.taken(items)
            return asking.task.alone(item, asking.answered([item])[0])
        if isinstance(several, list):
            several = list(asking.checked(several))  # before the first is answered
            return asking.task.together(asking.answered(several))
        return asking.task.together(list(asking.stream(several)))

    def asking(self, **options: Any) -> Pipeline:
        """The same engine with options of the task, such as `top_k`, for every call. Raises UsageError."""
        if not options:
            return self
        found = copy(self)
        found.task = self.task.asking(**options)
        return found

    def stream(self, items: Iterable[Any], **options: Any) -> Iterator[Any]:
        """Answer items as they come. Raises what a call raises."""
        asking = self.asking(**options)
        return (asking.answered([item])[0] for item in asking.checked(items))

    def answered(self, items: Iterable[Any]) -> list[Any]:
        """Answers to items as the task itself has them, see `Task.taken`."""
        return self.task.answers(self.run, self.tokenizer, list(items))

    def checked(self, items: Iterable[Any]) -> Iterator[Any]:
        """Items as they come, as the task has them. Raises DataError for the first that is none."""
        for row, item in enumerate(items):
            yield self.task.taken(item, f"row {row}")

    def close(self) -> None:
        """Give the engine's session back; whoever asks again gets a UsageError."""
        closed = _Closed(self.session)
        self.session.close()
        self.session = closed

    def __enter__(self) -> Pipeline:  # noqa: PYI034 - typing has Self from Python 3.11 on
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """One inference, see `Session.run`. Raises EngineError where the outputs are not those of the task."""
        name = self.artifact.key if self.artifact else "the model"
        return held(self.session.run, self.task.outputs, name, per_token=self.task.per_token)(feeds)

    def row(self, given: Any) -> dict[str, Any]:
        """An item and its answer as plain JSON values: what `edgewright run` and `edgewright serve` print."""
        item = self.task.taken(given)
        return {"text": printable(self.task.shown(item)), "answer": self.task.record(self.answered([item])[0])}

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
    if isinstance(items, (str, bytes, dict, tuple, set, frozenset)) or not hasattr(items, "__iter__"):
        return None
    shape = getattr(items, "shape", (0,))
    if len(shape) != 1:
        what = f"a {type(items).__name__} of the shape {tuple(shape)} is no column of texts"
        raise DataError(what, hint='give one column; pairs as [{"text": ..., "text_pair": ...}, ...]')
    way = next((name for name in _LISTS if hasattr(items, name)), None)
    return getattr(items, way)() if way else items  # type: ignore[no-any-return]


def printable(item: Any) -> Any:
    """An item as it was understood: a lone surrogate cannot be printed, and counts as U+FFFD."""
    if isinstance(item, str):
        return item.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(item, dict):
        return {name: printable(part) for name, part in item.items()}
    return [printable(part) for part in item] if isinstance(item, (list, tuple)) else item


def load(
    bundle: Bundle | str | Path,
    *,
    format: str | None = None,  # noqa: A002
    precision: str | None = None,
    engine: str | None = None,
    threads: int | None = None,
    buckets: tuple[int, ...] | None = None,
    context: int | None = None,
    careful: bool = True,
    prompt: str | None = None,
    **options: Any,
) -> Any:
    """Open a bundle's artifact: what `edgewright race` chose for this kind of machine, else the smallest that opens.

    Args:
        bundle: a bundle or its directory.
        format: only artifacts of this format.
        precision: only artifacts of this precision.
        engine: the engine's key, where a format has several.
        threads: how many threads the engine may use; by default what was chosen in the race, else 1.
        buckets: for an engine that pads, the lengths of the artifact to pad to; by default those that were chosen in
            the race, else all.
        context: for a decoder, the most tokens of prompt and answer together; by default all that the model was made
            for. Memory grows with what is used of it.
        careful: open the artifact in a child first, the first time that this machine sees it and where `verify` has
            not: one that kills the engine is then an error. What was survived is remembered by its hash.
        prompt: the name of one of the source's prompts, to stand before every text; by default the source's own choice.
        options: of the task, for every call, such as `top_k` or `aggregation_strategy`.

    Returns:
        A `Pipeline`; of a decoder an `edgewright.generation.generator.Generator`, of an encoder-decoder a
        `edgewright.generation.translator.Translator`.

    Raises:
        UsageError: the task has no such option, or the source no such prompt.
        BundleError: the bundle is not what its manifest says, or has no such artifact.
        MissingExtra: no engine for the format is installed.
        ChildFailed: `careful`, and the engine dies of the artifact.
    """
    bundle = Bundle.of(bundle)
    free = format is None and precision is None and engine is None
    artifact, choice = chosen(bundle) if free else (None, None)
    if artifact is None:
        artifact = bundle.choose(format=format, precision=precision, among=() if format else runnable(bundle))
    intact = bundle.checking([*bundle.parts(artifact), *bundle.text_files()])
    try:
        runtime = engine_for(artifact.format, engine)
        known = not careful or survived(artifact, runtime)
        if known:
            runtime.import_engine()
        task = bundle.task().asking(**options)
        task = task if prompt is None else task.prompted(prompt)
    finally:
        intact()
    if not known:
        from edgewright.inference.first_look import first_look

        first_look(bundle, artifact, runtime)
    if threads is None:
        threads = min(choice.threads, allowed().threads) if choice else 1
    if task.generates:
        from edgewright.inference.decoding import open_generator, open_translator

        if task.reads_source:
            return open_translator(bundle, artifact, runtime, task, threads=threads, context=context)
        return open_generator(bundle, artifact, runtime, threads=threads, context=context)
    runtime.buckets = buckets if buckets is not None else choice.buckets if choice else ()
    session = runtime.open(bundle.directory / artifact.path, threads=threads)
    # A session that takes over is proven in a thread of its own, with a tokenizer of its own
    session.begin(lambda faster: Pipeline(artifact, task, bundle.tokenizer(), faster).prove(bundle))
    return Pipeline(artifact, task, bundle.tokenizer(), session, engine=runtime.engine, threads=threads)
