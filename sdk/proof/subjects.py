"""A source, or an artifact of a bundle, asked the same things: the two sides of a comparison."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - msgspec reads annotations
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from edgewright import registry
from edgewright.bundle.bundle import Bundle
from edgewright.data import rows as data
from edgewright.errors import UsageError
from edgewright.inference.choice import preferred
from edgewright.inference.pipeline import load
from edgewright.model import eager
from edgewright.model.eager import Look
from edgewright.model.source import open_source
from edgewright.proof import cases
from edgewright.proof.score import Cost, Scored, evaluate, is_source
from edgewright.system.child import Child
from edgewright.system.files import compressed_bytes
from edgewright.system.shown import brief
from edgewright.tasks import check_at_once
from edgewright.text.encoding import regroup

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from edgewright.bundle.manifest import Artifact
    from edgewright.model.source import Source
    from edgewright.tasks import Task
    from edgewright.text.encoding import Encoding
    from edgewright.text.tokenizer import Tokenizer

    Progress = Callable[[str], None]

__all__ = [
    "FACTS",
    "TIMED",
    "FactsAnswer",
    "FactsRequest",
    "Model",
    "Side",
    "ask",
    "check_alike",
    "encoded",
    "open_model",
]

TIMED = 50
"""Texts that latency is measured on."""
_ASKED = 200
"""Labelled items of a comparison that are answered one by one: a choice, half of a percent each."""


class Side(Struct, frozen=True):
    """One of the two models.

    Attributes:
        model: its directory.
        kind: `eager/fp32`, or the artifact's format and precision.
        parameters: its weights, shared ones once; of a bundle those of the model that it was built from.
        nonzeros: how many of them are not zero; None for an artifact, whose weights are its engine's business.
        size_bytes: of the files with the weights, or of the artifact.
        compressed_bytes: the same, see `edgewright.system.files.compressed_bytes`: where zeros show.
        scored: the metric on the labelled rows, None without any.
        cost: latency and peak memory, with what was timed, None before that.
    """

    model: str
    kind: str
    parameters: int
    nonzeros: int | None
    size_bytes: int
    compressed_bytes: int
    scored: Scored | None
    cost: Cost | None = None

    def __repr__(self) -> str:
        score = f"{self.scored.score.metric} {self.scored.score.value:.2f}" if self.scored else ""
        return brief(self, self.kind, f"{self.size_bytes / 1e6:.3g} MB", score, self.model)


class FactsRequest(Look, frozen=True, kw_only=True):
    """Run an eager model on the batches, and say what there is to say of it.

    Attributes:
        timed: how many of the batches latency is measured on.
        data: labelled rows to score it on, or None.
        metric: names of metrics; the task's own where there is none.
    """

    timed: int
    data: Path | None = None
    metric: tuple[str, ...] = ()


class FactsAnswer(Struct, frozen=True):
    """Scores where there were rows, weights, how many of these are not zero, and what an answer costs."""

    scored: tuple[Scored, ...]
    parameters: int
    nonzeros: int
    cost: Cost


FACTS = Child("edgewright.converters._model.looks:facts", FactsRequest, FactsAnswer)


@dataclass(frozen=True)
class Model:
    """A source, or an artifact of a bundle, with what asks it."""

    name: str
    task: Task
    tokenizer: Tokenizer
    source: Source | None = None
    bundle: Bundle | None = None
    artifact: Artifact | None = None


def open_model(path: Path, task: str | None, format_: str | None, precision: str | None) -> Model:
    """Open a source directory or a bundle. Raises SourceError and BundleError."""
    if is_source(path):
        source = open_source(path, task=task)
        kind = registry.load("tasks", source.task)
        check_at_once(kind(source.settings), "compared")
        return Model(str(path), kind(source.settings), source.tokenizer(), source=source)
    bundle = Bundle.open(path)
    bundle.check_task(task)
    free = format_ is None and precision is None
    artifact = preferred(bundle) if free else bundle.choose(format=format_, precision=precision)
    bundle.checking(bundle.tokenizer_files())()
    own = bundle.task()
    check_at_once(own, "compared")
    return Model(str(path), own, bundle.tokenizer(), bundle=bundle, artifact=artifact)


def check_alike(first: Model, second: Model) -> None:
    """Raise UsageError where two models answer different tasks or have different labels."""
    pairs = (
        ("answers", first.task.name, second.task.name),
        ("has the labels", *(", ".join(model.task.settings.labels) for model in (first, second))),
    )
    for what, one, other in pairs:
        if one != other:
            raise UsageError(
                f"{first.name} {what} {one or 'nothing'}, {second.name} {what} {other or 'nothing'}",
                hint="their answers cannot be compared; give two models of one task",
            )


def encoded(model: Model, rows: Path | None) -> list[Encoding]:
    """The items that both models are asked, a text each, in this model's tokens."""
    if rows is None:
        return [case.encoding for case in cases.cases(model.task, model.tokenizer) if len(case.items) == 1]
    items = model.task.items(data.examples(rows, model.task))[:_ASKED]
    return [model.task.encode(model.tokenizer, [item]) for item in items]


def ask(
    model: Model, encodings: Sequence[Encoding], rows: Path | None, metric: str, threads: int, progress: Progress
) -> tuple[list[dict[str, NDArray[Any]]], Side]:
    """The model's outputs for each of the encodings, and what there is to say of it. Raises as `evaluate` does."""
    own = _ask_source if model.source else _ask_bundle
    return own(model, encodings, rows, metric, threads, progress)


def _ask_source(
    model: Model, encodings: Sequence[Encoding], rows: Path | None, metric: str, threads: int, progress: Progress
) -> tuple[list[dict[str, NDArray[Any]]], Side]:
    source: Any = model.source
    names = (metric,) if metric else ()
    request = FactsRequest(source=source.job(), threads=threads, timed=TIMED, data=rows, metric=names)
    batches = [batch for encoding in encodings for batch in encoding.batches]
    found, outputs = eager.ask(FACTS, request, batches, progress=progress)
    scored = found.scored[0] if rows else None
    sizes = source.weight_bytes(), compressed_bytes(source.weight_files())
    side = Side(model.name, "eager/fp32", found.parameters, found.nonzeros, *sizes, scored, found.cost)
    return regroup(encodings, outputs), side


def _ask_bundle(
    model: Model, encodings: Sequence[Encoding], rows: Path | None, metric: str, threads: int, progress: Progress
) -> tuple[list[dict[str, NDArray[Any]]], Side]:
    bundle: Any = model.bundle
    artifact: Any = model.artifact
    chosen = {"format": artifact.format, "precision": artifact.precision, "threads": threads}
    progress(f"run {artifact.key} on {len(encodings)} texts")
    pipeline = load(bundle, **chosen)
    outputs = [encoding.run(pipeline.run) for encoding in encodings]
    names = [metric] if metric else []
    (one,) = evaluate(bundle, rows, metric=names, **chosen, progress=progress) if rows else (None,)
    files = [bundle.directory / path for path in bundle.parts(artifact)]
    side = Side(
        model.name,
        artifact.key,
        bundle.manifest.source.parameters,
        None,
        sum(path.stat().st_size for path in files),
        compressed_bytes(files),
        one.scored[0] if one else None,
    )
    return outputs, side
