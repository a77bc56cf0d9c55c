"""A loaded bundle that answers."""

from __future__ import annotations

from collections import deque
from itertools import chain
from threading import Lock
from typing import TYPE_CHECKING, Any

from edgewright.bundle.bundle import Bundle
from edgewright.contracts.engine import Session, held
from edgewright.errors import UsageError
from edgewright.inference.choice import chosen
from edgewright.inference.engines import engine_for, runnable, survived
from edgewright.system.limits import allowed
from edgewright.system.untrusted import encodable
from edgewright.text.columns import several

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edgewright.bundle.manifest import Artifact
    from edgewright.contracts.engine import Runtime
    from edgewright.tasks import Task

    Run = Callable[[Mapping[str, NDArray[Any]]], dict[str, NDArray[Any]]]
    from edgewright.text.tokenizer import Tokenizer

__all__ = ["Pipeline", "load", "printable"]


class Pipeline:
    """Tokenizer, task and an opened artifact, or the eager model in its place.

    Call it with one item for one answer, or with a list for a list, as a pipeline of transformers. Each item is a run
    of its own: nothing is padded, and an answer never depends on its neighbours, which in a batch share the scales of
    dynamic quantization.

    Several threads may ask it. With `workers` a list is answered by as many runs at once.

    As the context of a `with` block it is closed at its end.

    Attributes:
        engine: the key of the engine, "" for the eager model.
        threads: those of the engine for a run; 0 where they are not known.
        workers: how many runs there may be at once.
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
        workers: int = 1,
    ) -> None:
        self.artifact, self.task, self.tokenizer, self.session = artifact, task, tokenizer, session
        self.engine, self.threads, self.workers = engine, threads, workers
        self._turn = Lock()

    def __repr__(self) -> str:
        from edgewright.system.shown import brief

        threads = f"{self.threads} thread{'s' * (self.threads > 1)}" if self.threads else ""
        workers = f"{self.workers} workers" if self.workers > 1 else ""
        state = "closed" if isinstance(self.session, _Closed) else ""
        return brief(
            self, self.task.name, self.artifact.key if self.artifact else "eager", self.engine, threads, workers, state
        )

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
        column = several(items)
        if column is None:
            item = asking.task.taken(items)
            return asking.task.alone(item, asking.answered([item])[0])
        if isinstance(column, list):
            rows = list(asking.checked(column))  # before the first is answered
            return asking.task.together(asking.answered(rows))
        return asking.task.together(list(asking.stream(column)))

    @property
    def beside(self) -> str:
        """See `edgewright.contracts.engine.Session.beside`."""
        return self.session.beside

    def asking(self, **options: Any) -> Pipeline:
        """The same engine with options of the task, such as `top_k`, for every call. Raises UsageError."""
        if not options:
            return self
        from copy import copy

        found = copy(self)
        found.task = self.task.asking(**options)
        return found

    def stream(self, items: Iterable[Any], **options: Any) -> Iterator[Any]:
        """Answer items as they come. Raises what a call raises."""
        asking = self.asking(**options)
        return asking.streamed(asking.checked(items))

    def streamed(self, items: Iterable[Any]) -> Iterator[Any]:
        """Answer items as they come, as the task itself has them; with workers a few are taken ahead."""
        if self.workers == 1:
            return (self.answered([item])[0] for item in items)
        from edgewright.inference.at_once import AtOnce, in_order

        run = AtOnce(self.run, self._turn, self.workers).__call__  # each item's runs one after the other
        return in_order(lambda item: self._asked([item], run)[0], items, self.workers)

    def answered(self, items: Iterable[Any]) -> list[Any]:
        """Answers to items as the task itself has them, see `Task.taken`."""
        given, size = list(items), self.task.at_a_time
        if self.workers == 1:
            return self._asked(given, self.run)
        from edgewright.inference.at_once import AtOnce, every

        run = AtOnce(self.run, self._turn, self.workers)
        if len(given) <= size:
            return self._asked(given, run)
        parts = [given[at : at + size] for at in range(0, len(given), size)]
        return list(chain.from_iterable(every(lambda part: self._asked(part, run.__call__), parts, self.workers)))

    def _asked(self, items: Sequence[Any], run: Run) -> list[Any]:
        """Tokens and answers are one thread's business at a time: a tokenizer is set anew for a pair, and set back."""
        with self._turn:
            return self.task.answers(run, self.tokenizer, items)

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
        return self._row(item, self.answered([item])[0])

    def rows(self, given: Iterable[Any]) -> Iterator[dict[str, Any]]:
        """The same of each item, as they come. Raises what `row` raises, in the item's turn."""
        asked: deque[Any] = deque()

        def taken() -> Iterator[Any]:
            for one in given:
                item = self.task.taken(one)
                asked.append(item)
                yield item

        return (self._row(asked.popleft(), answer) for answer in self.streamed(taken()))

    def _row(self, item: Any, answer: Any) -> dict[str, Any]:
        return {"text": printable(self.task.shown(item)), "answer": self.task.record(answer)}

    def prove(self, bundle: Bundle, *, most: int | None = None) -> int:
        """Replay golden cases of its bundle through it, see `edgewright.inference.golden.prove`."""
        from edgewright.inference.golden import prove

        with self._turn:
            return prove(bundle, self.artifact, self.task, self.tokenizer, self.session, most=most)


class _Closed(Session):
    """Stands for a session that was given back."""

    def __init__(self, before: Session) -> None:
        self.inputs, self.outputs = before.inputs, before.outputs

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Raise UsageError."""
        del feeds
        raise UsageError("the pipeline is closed", hint="load the bundle again, or ask inside of the `with` block")


def printable(item: Any) -> Any:
    """An item as it was understood: a lone surrogate cannot be printed, and counts as U+FFFD."""
    if isinstance(item, str):
        return item if encodable(item) else item.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
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
    workers: int | None = 1,
    spin: bool = True,
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
        threads: how many threads the engine may use for a run; by default what was chosen in the race, else 1.
        workers: how many runs there may be at once, for lists and for several threads that ask; each answer is what it
            would be alone. ONNX Runtime makes them over one set of weights, another engine opens the file as often.
            None is as many as there are cores for where it costs no weights, else 1.
        spin: whether threads may wait awake for their next piece of work. Where requests come now and then that takes
            several times the processor; without it a run of two threads takes some percent longer.
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
        UsageError: the task has no such option, or the source no such prompt; or so many workers cannot be.
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
        runtime.spins = spin
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

        if workers not in (None, 1):
            raise UsageError(f"{task.name} has no workers: tokens come one after the other", hint="leave workers out")
        if task.reads_source:
            return open_translator(bundle, artifact, runtime, task, threads=threads, context=context)
        return open_generator(bundle, artifact, runtime, threads=threads, context=context)
    from edgewright.system.huge_pages import give_back

    runtime.buckets = buckets if buckets is not None else choice.buckets if choice else ()
    if workers is None:
        workers = max(1, allowed().threads // threads) if runtime.reentrant else 1
    session = _opened(runtime, bundle.directory / artifact.path, threads, workers)
    give_back()  # of what reading the model took, before the tokenizer takes some: in the gaps it does not fit
    # A session that takes over is proven in a thread of its own, with a tokenizer of its own
    session.begin(lambda faster: Pipeline(artifact, task, bundle.tokenizer(), faster).prove(bundle))
    tokenizer = bundle.tokenizer()
    return Pipeline(artifact, task, tokenizer, session, engine=runtime.engine, threads=threads, workers=workers)


def _opened(runtime: Runtime, path: Path, threads: int, workers: int) -> Session:
    """A session that as many threads as there are workers may run at once, and one at a time of any others."""
    if workers == 1:
        return runtime.open(path, threads=threads)
    from edgewright.inference.at_once import Shared, check_workers

    check_workers(workers, threads)
    if not runtime.has_workers:
        raise UsageError(f"{runtime.engine} has no workers: one run fills the GPU", hint="leave workers out")
    first = runtime.open(path, threads=threads)
    beside = [first if runtime.reentrant else runtime.open(path, threads=threads) for _ in range(workers - 1)]
    return Shared([first, *beside])
