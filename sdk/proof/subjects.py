"""A source, or an artifact of a bundle, asked the same things: the two sides of a comparison."""

from __future__ import annotations

import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from edgewright import registry
from edgewright.bundle.bundle import Bundle
from edgewright.data import rows as data
from edgewright.errors import UsageError
from edgewright.inference.choice import preferred
from edgewright.inference.pipeline import load
from edgewright.model.source import open_source
from edgewright.proof import cases
from edgewright.proof.score import Cost, Scored, evaluate, is_source
from edgewright.system import arrays
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

__all__ = ["TIMED", "Model", "Side", "ask", "check_alike", "encoded", "open_model"]

TIMED = 50
"""Texts that latency is measured on."""
_ASKED = 200
"""Labelled items of a comparison that are answered one by one: a choice, half of a percent each."""


class Side(msgspec.Struct, frozen=True):
    """One of the two models.

    Attributes:
        model: its directory.
        kind: `eager/fp32`, or the artifact's format and precision.
        parameters: its weights, shared ones once; of a bundle those of the model that it was built from.
        nonzeros: how many of them are not zero; None for an artifact, whose weights are its engine's business.
        size_bytes: of the files with the weights, or of the artifact.
        compressed_bytes: the same after deflate (RFC 1951) at level 6: what a transfer takes, and where zeros show.
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
        return Model(str(path), kind(source.settings), source.tokenizer(), source=source)
    bundle = Bundle.open(path)
    free = format_ is None and precision is None
    artifact = preferred(bundle) if free else bundle.choose(format=format_, precision=precision)
    bundle.checking(bundle.tokenizer_files())()
    own = registry.load("tasks", bundle.manifest.task)(bundle.manifest.settings)
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
    from edgewright.system.jobs import Jobs

    source: Any = model.source
    with tempfile.TemporaryDirectory(prefix="edgewright-") as scratch:
        feeds, out = Path(scratch, "feeds.npz"), Path(scratch, "out.npz")
        arrays.save(feeds, [batch for encoding in encodings for batch in encoding.batches])
        found = Jobs(Path(scratch), progress=progress).run(
            "edgewright.converters._model.looks:facts",
            source=source.job(),
            settings=msgspec.to_builtins(source.settings),
            data=str(rows or ""),
            metric=[metric] if metric else [],
            threads=threads,
            timed=TIMED,
            feeds=str(feeds),
            out=str(out),
        )
        outputs = regroup(encodings, arrays.load(out))
    scored = msgspec.convert(found["scored"][0], Scored) if rows else None
    files = source.weight_files()
    sizes = source.weight_bytes(), _compressed(files)
    cost = msgspec.convert(found["cost"], Cost)
    return outputs, Side(model.name, "eager/fp32", found["parameters"], found["nonzeros"], *sizes, scored, cost)


def _ask_bundle(
    model: Model, encodings: Sequence[Encoding], rows: Path | None, metric: str, threads: int, progress: Progress
) -> tuple[list[dict[str, NDArray[Any]]], Side]:
    bundle: Any = model.bundle
    artifact: Any = model.artifact
    chosen = {"format": artifact.format, "precision": artifact.precision, "threads": threads}
    progress(f"run {artifact.key} on {len(encodings)} texts")
    session = load(bundle, **chosen).session
    outputs = [encoding.run(session.run) for encoding in encodings]
    names = [metric] if metric else []
    (one,) = evaluate(bundle, rows, metric=names, **chosen, progress=progress) if rows else (None,)
    files = [bundle.directory / path for path in bundle.parts(artifact)]
    side = Side(
        model.name,
        artifact.key,
        bundle.manifest.source.parameters,
        None,
        sum(path.stat().st_size for path in files),
        _compressed(files),
        one.scored[0] if one else None,
    )
    return outputs, side


def _compressed(files: Sequence[Path]) -> int:
    total = 0
    for path in files:
        packer = zlib.compressobj(6)
        with path.open("rb") as file:
            while piece := file.read(1 << 20):
                total += len(packer.compress(piece))
        total += len(packer.flush())
    return total
