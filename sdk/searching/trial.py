"""One trial of a search: a point of the space becomes a model, its artifact, and three numbers."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from edgewright import registry
from edgewright.contracts.precision import weight_bits
from edgewright.data.rows import stream
from edgewright.errors import GateFailed
from edgewright.measure.roofline import encoder_macs
from edgewright.model.source import Source, open_source

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edgewright.compression.recipe import Named
    from edgewright.compression.steps import Setting
    from edgewright.measure.rows import Row
    from edgewright.measure.translating import TranslatingRow
    from edgewright.searching.space import Measure

__all__ = ["Cost", "Found", "bits_of", "make", "measure"]

_ATTEMPTS = 2
"""A choice: a void row is measured once more; a machine that is busy twice is busy."""
_SENTENCES = 20
"""Of a translator's rows, that time it: a choice, about as many lengths as there are, in a second of a process."""


@dataclass(frozen=True)
class Cost:
    """What is known of a student's cost before it is trained.

    Attributes:
        macs: multiply-accumulates of its layers for one text.
        bits: of its weights in the artifact.
    """

    macs: float
    bits: float

    def covers(self, other: Cost) -> bool:
        """Whether another one costs at most as much in both."""
        return other.macs <= self.macs and other.bits <= self.bits


@dataclass(frozen=True)
class Found:
    """What a trial gave.

    Attributes:
        score: of the built artifact on the rows to choose by, in percent.
        latency_ms: the median of the built artifact: of a run, or of a translator of a sentence.
        size_bytes: of the artifact's file.
        eager_score: of the model that it was built from.
        parameters: of that model.
        grade: of the measurement, see `edgewright.measure.grading`.
        reasons: why it is not A.
    """

    score: float
    latency_ms: float
    size_bytes: int
    eager_score: float
    parameters: int
    grade: str
    reasons: tuple[str, ...] = ()


def make(
    source: Source,
    steps: Sequence[Named],
    work: Path,
    setting: Setting,
    watch: Callable[[Cost, int, int, int, float], None] | None = None,
    bits: int = 32,
) -> Source:
    """Take the steps of a point; what an interrupted trial has left in `work` is gone on with.

    Args:
        source: the model that they begin with.
        steps: of the point.
        work: a directory of the trial's own.
        setting: see `edgewright.compression.steps.Step`.
        watch: called at every evaluation of a training: the cost of what is trained, the number of the recipe's step,
            the training's own step, how many it has, the score. What it raises ends the trial.
        bits: of a weight in the artifact.
    """
    before = source
    for at, named in enumerate(steps, start=1):
        out, part = work / f"{at:02d}-{named.name}", work / f"part-{at:02d}"
        if not out.is_dir():
            part.parent.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(part, ignore_errors=True)
            named.step.apply(before, part, _watched(setting, before, at, watch, bits))
            shutil.rmtree(part.with_name(f"{part.name}-rows"), ignore_errors=True)
            part.rename(out)
        before = open_source(out, task=before.task)
    return before


def _watched(
    setting: Setting, before: Source, at: int, watch: Callable[[Cost, int, int, int, float], None] | None, bits: int
) -> Setting:
    if watch is None:
        return setting
    cost = _cost(before, bits)
    return replace(setting, watch=lambda step, steps, score: watch(cost, at, step, steps, score))


def _cost(source: Source, bits: int) -> Cost:
    config = json.loads((source.directory / "config.json").read_text(encoding="utf-8"))
    layers, scores = encoder_macs(config, 32) or (0.0, 0.0)
    return Cost(layers + scores, _parameters(source) * bits)


def _parameters(source: Source) -> int:
    """All weights, as the headers of the files give their shapes."""
    from safetensors import safe_open

    total = 0
    for path in source.directory.glob("*.safetensors"):
        with safe_open(path, "numpy") as file:
            for name in file.keys():  # noqa: SIM118 - it is no mapping
                size = 1
                for length in file.get_slice(name).get_shape():
                    size *= length
                total += size
    return total


def bits_of(asked: Measure) -> int:
    """How many bits a weight has in an artifact."""
    return weight_bits(asked.precision)


def measure(model: Source, asked: Measure, work: Path, setting: Setting) -> Found:
    """Build the artifact and time it.

    Raises:
        GateFailed: the artifact does not give the model's answers.
        What `edgewright.build`, `edgewright.measure.bench.bench` and `bench_translating` raise.
    """
    from edgewright.builder.build import build

    bundle = work / "bundle"
    shutil.rmtree(bundle, ignore_errors=True)
    setting.progress(f"build {asked.format}/{asked.precision}")
    given: dict[str, Any] = {"formats": [asked.format], "precisions": [asked.precision], "task": model.task}
    built = build(model.directory, out=bundle, data=setting.dev, **given)
    (artifact,) = built.manifest.artifacts
    setting.progress(f"time {asked.format}/{asked.precision}")
    median_ms, row = _timed(bundle, asked, model, setting)
    shutil.rmtree(bundle, ignore_errors=True)
    score = artifact.score
    if score is None:
        raise GateFailed(f"{artifact.key} has no score on {setting.dev}")
    return Found(
        score=score.value,
        latency_ms=median_ms,
        size_bytes=artifact.total_bytes,
        eager_score=score.reference if score.reference is not None else score.value,
        parameters=_parameters(model),
        grade=row.grade,
        reasons=row.reasons,
    )


def _timed(bundle: Path, asked: Measure, model: Source, setting: Setting) -> tuple[float, Row | TranslatingRow]:
    """The median and the row of a bundle's one artifact; one that is void is measured again, the last one stands."""
    for _ in range(_ATTEMPTS):
        found = _translated(bundle, asked, model, setting) if model.task == "translation" else _ran(bundle, asked)
        if found[1].grade != "void":
            break
    return found


def _ran(bundle: Path, asked: Measure) -> tuple[float, Row]:
    """By single runs."""
    from edgewright.measure.bench import bench
    from edgewright.measure.plan import Plan

    plan = Plan(tokens=(asked.tokens,), threads=(asked.threads,), processes=asked.processes)
    (row,) = bench(bundle, plan).rows
    return row.latency_ms.median, row


def _translated(bundle: Path, asked: Measure, model: Source, setting: Setting) -> tuple[float, TranslatingRow]:
    """By the first of the sentences that score, with the model's own search."""
    from edgewright.measure.translating import TranslatingPlan, bench_translating

    task = registry.load("tasks", model.task)(model.settings)
    texts = tuple(str(one.item) for one in islice(stream(setting.rows("search")[1], task), _SENTENCES))
    plan = TranslatingPlan(texts, threads=(asked.threads,), processes=asked.processes)
    (row,) = bench_translating(bundle, plan)
    return row.text_ms.median, row
