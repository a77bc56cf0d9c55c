"""Metrics on labelled data, with their 95 % intervals: of a bundle's artifacts, or of an eager model before a build."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from msgspec import Struct, field

from edgewright import registry
from edgewright.bundle.bundle import MANIFEST, Bundle
from edgewright.bundle.manifest import Score
from edgewright.data import rows as data
from edgewright.errors import UsageError
from edgewright.inference.engines import runnable
from edgewright.inference.pipeline import Pipeline, load
from edgewright.measure.bench import measured, targets_of
from edgewright.measure.plan import Plan
from edgewright.model.eager import Look, ask
from edgewright.model.source import open_source
from edgewright.proof.likelihood import LIKELIHOOD, LikelihoodRequest, held_out, losses_of
from edgewright.statistics import metrics
from edgewright.system.child import Child
from edgewright.system.progress import silent
from edgewright.system.shown import Results, brief

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgewright.bundle.manifest import Artifact
    from edgewright.contracts.decoder import Decoder
    from edgewright.model.source import Source
    from edgewright.proof.likelihood import HeldOut
    from edgewright.tasks import Example, Task

    Progress = Callable[[str], None]

__all__ = [
    "EVALUATE",
    "Answering",
    "Cost",
    "EvaluateAnswer",
    "EvaluateRequest",
    "Evaluation",
    "Scored",
    "evaluate",
    "evaluate_source",
    "is_source",
    "score_all",
    "score_decoder",
]

_TIMED = 50
"""Texts that latency is measured on, so that a data file of any length takes the same seconds."""


class Scored(Struct, frozen=True):
    """A metric, the ends of its 95 % interval, and the 1000 resampled values that these come from.

    The draws of two models on the same file are pairs: see `edgewright.statistics.metrics.draws`.
    """

    score: Score
    low: float
    high: float
    draws: tuple[float, ...]

    def __repr__(self) -> str:
        return brief(self, f"{self.score.metric} {self.interval}", f"n {self.score.n}", self.score.data)

    @property
    def interval(self) -> str:
        """The value and the ends of its interval, in words."""
        return f"{self.score.value:.2f} ({self.low:.2f} to {self.high:.2f})"


class Cost(Struct, frozen=True):
    """What an answer costs: the median latency of a run over texts of the data, and peak memory of its process.

    `timed` says what was run: an engine with its version, or torch's eager model.
    """

    latency_ms: float
    peak_rss_mib: float
    timed: str
    grade: str | None = None


class EvaluateRequest(Look, frozen=True, kw_only=True):
    """Score an eager model.

    Attributes:
        data: the labelled rows.
        metric: names of metrics; the task's own where there is none.
        timed: texts to measure latency and peak memory on; with 0 neither is.
        options: of the task, as in a call.
    """

    data: Path
    metric: tuple[str, ...] = ()
    timed: int = 0
    options: dict[str, str | int | float | bool | None] = field(default_factory=dict)


class EvaluateAnswer(Struct, frozen=True):
    """The scores, one for each metric, and the cost where it was asked for."""

    scored: tuple[Scored, ...]
    cost: Cost | None = None


EVALUATE = Child("edgewright.converters._model.looks:evaluate", EvaluateRequest, EvaluateAnswer)


@dataclass(frozen=True)
class Evaluation:
    """The scores of an artifact, one for each metric; `artifact` is None for an eager model."""

    artifact: Artifact | None
    scored: tuple[Scored, ...]
    size_bytes: int
    cost: Cost | None = None

    def __repr__(self) -> str:
        words = ", ".join(f"{one.score.metric} {one.interval}" for one in self.scored)
        return brief(self, self.artifact.key if self.artifact else "eager/fp32", words)

    def cells(self) -> dict[str, Any]:
        """The columns of a table."""
        cost = self.cost
        return {
            "artifact": self.artifact.key if self.artifact else "eager/fp32",
            "size": f"{self.size_bytes / 1e6:.3g} MB",
            **{one.score.metric: one.interval for one in self.scored},
            "n": self.scored[0].score.n if self.scored else None,
            "median, ms": cost.latency_ms if cost else None,
            "peak, MiB": f"{cost.peak_rss_mib:.0f}" if cost else None,
            "timed": cost.timed if cost else None,
            "grade": cost.grade if cost else None,
        }

    def rows(self, threads: int) -> list[dict[str, Any]]:
        """A row of a table for each metric."""
        cost, artifact = self.cost, self.artifact
        return [
            {
                "format": artifact.format if artifact else "eager",
                "precision": artifact.precision if artifact else "fp32",
                "size_bytes": self.size_bytes,
                "threads": threads,
                "score": {name: getattr(one.score, name) for name in ("metric", "value", "n", "data")},
                "low": round(one.low, 2),
                "high": round(one.high, 2),
                "median_ms": cost.latency_ms if cost else None,
                "peak_rss_mib": cost.peak_rss_mib if cost else None,
                "timed": cost.timed if cost else None,
                "grade": cost.grade if cost else None,
            }
            for one in self.scored
        ]


class Answering(Protocol):
    """What can be scored: a `Pipeline`, or a translator."""

    task: Any

    def answered(self, items: Any) -> list[Any]:
        """Answers to items as the task itself has them."""


class _Group(NamedTuple):
    """The metrics that one pass over the data answers."""

    task: Task
    metrics: tuple[str, ...]
    examples: list[Example]


def is_source(model: str | Path) -> bool:
    """Whether a directory holds a model to convert: it has its configuration and no manifest."""
    directory = Path(model)
    return (directory / "config.json").is_file() and not (directory / MANIFEST).exists()


def evaluate(
    bundle: Bundle | str | Path,
    labelled: str | Path,
    *,
    metric: Sequence[str] = (),
    format: str | None = None,  # noqa: A002
    precision: str | None = None,
    task: str | None = None,
    threads: int = 1,
    cost: bool = False,
    progress: Progress = silent,
    **options: Any,
) -> Results[Evaluation]:
    """Score every artifact of a bundle, or those of one format or precision, on a TSV, JSONL or SQuAD file.

    A model that writes is scored on text, or rows of it, by how likely it finds it: see `edgewright.proof.likelihood`.

    Artifacts that no installed engine opens are left out, unless their format is asked for. A source has one eager
    model to score.

    Args:
        bundle: a bundle or its directory; or the directory of a source.
        labelled: the data file.
        metric: names of metrics of the task; by default its own.
        format: only artifacts of this format.
        precision: only artifacts of this precision.
        task: the task of a source; by default the one of its architecture.
        threads: the engine's threads, or torch's.
        cost: measure latency on the first texts of the data, and peak memory, in processes of their own.
        progress: called with a short phrase at each stage.
        options: of the task, as in a call, such as `truncate_dim`.

    Raises:
        BundleError: the bundle is bad or holds no such artifact.
        SourceError: the source is bad.
        DataError: the data file is bad.
        UsageError: the task has no such metric, or a source was asked for a format or a precision.
        MissingExtra: no engine for any of the artifacts is installed.
    """
    if not isinstance(bundle, Bundle) and is_source(bundle):
        source = _source(bundle, task, format or precision)
        _check_translated(registry.load("tasks", source.task)(source.settings), cost=cost)
        asked: dict[str, Any] = {"metric": metric, "threads": threads, "cost": cost, "progress": progress, **options}
        return Results([evaluate_source(source, labelled, **asked)])
    opened = Bundle.of(bundle)
    opened.check_task(task)
    _check_translated(opened.task(), cost=cost)
    fits = opened.artifacts(format, precision)
    here = {format} if format else set(runnable(opened)) or {a.format for a in opened.manifest.artifacts}
    if _continues(opened.task()):
        _check_plain(options, cost=cost)
        kept = [artifact for artifact in fits if artifact.format in here]
        return Results(_likelihoods(opened, kept, Path(labelled), metric, threads, progress))
    found: Results[Evaluation] = Results()
    groups: list[_Group] = []
    for artifact in fits:
        if artifact.format in here:
            chosen: dict[str, Any] = {"format": artifact.format, "precision": artifact.precision, "threads": threads}
            pipeline = load(opened, **chosen, **options)
            groups = groups or _groups(pipeline.task, Path(labelled), metric)
            progress(f"{artifact.key}: {len(groups[0].examples)} rows")
            scored = _scored(pipeline, groups, Path(labelled).name)
            spent = _cost(opened, artifact, groups[0], threads, progress) if cost else None
            found.append(Evaluation(artifact, scored, artifact.total_bytes, spent))
    return found


def _continues(task: Task) -> bool:
    """Whether it writes on, and is scored by how likely a text is to it."""
    return task.generates and not task.reads_source


def _check_translated(task: Task, *, cost: bool) -> None:
    """Raise UsageError for what a translator has not."""
    if task.reads_source and cost:
        raise UsageError("what a translation costs is not measured here", hint="leave out --cost")


def _source(directory: str | Path, task: str | None, narrowed: str | None) -> Source:
    if narrowed:
        hint = "build one, or leave them out"
        raise UsageError(f"{directory} is no bundle: it has no formats and precisions", hint=hint)
    return open_source(directory, task=task)


def evaluate_source(
    source: Source,
    labelled: str | Path,
    *,
    metric: Sequence[str] = (),
    threads: int = 1,
    cost: bool = False,
    progress: Progress = silent,
    **options: Any,
) -> Evaluation:
    """Score the eager float32 model of a source, in a child process. Raises as `evaluate` does, and SourceError."""
    if _continues(registry.load("tasks", source.task)(source.settings)):
        _check_plain(options, cost=cost)
        return _eager_likelihood(source, Path(labelled), metric, threads, progress)
    data.opened(labelled)  # said here, and refused before a model is loaded
    request = EvaluateRequest(
        source=source.job(),
        data=Path(labelled),
        metric=tuple(metric),
        threads=threads,
        timed=_TIMED if cost else 0,
        options=options,
    )
    answer, _ = ask(EVALUATE, request, progress=progress)
    return Evaluation(None, answer.scored, source.weight_bytes(), answer.cost)


def score_all(pipeline: Answering, labelled: Path, metric: Sequence[str] = ()) -> tuple[Scored, ...]:
    """The metrics of anything that answers. Raises DataError and UsageError."""
    return _scored(pipeline, _groups(pipeline.task, labelled, metric), labelled.name)


def _groups(task: Task, labelled: Path, names: Sequence[str]) -> list[_Group]:
    """The metrics by the task that they ask; each of these reads the file in its own way."""
    asked: dict[type[Task], tuple[Task, list[str]]] = {}
    for name in dict.fromkeys(names or (task.metric,)):
        own = task.variant(name)
        asked.setdefault(type(own), (own, []))[1].append(name)
    return [_Group(own, tuple(some), data.examples(labelled, own)) for own, some in asked.values()]


def _scored(pipeline: Answering, groups: Sequence[_Group], name: str) -> tuple[Scored, ...]:
    found = []
    for group in groups:
        answering: Answering = pipeline
        if isinstance(pipeline, Pipeline):
            answering = Pipeline(pipeline.artifact, group.task, pipeline.tokenizer, pipeline.session)
        answers = answering.answered(group.task.items(group.examples))
        found += [_one(group, metric, answers, name) for metric in group.metrics]
    return tuple(found)


def _check_plain(options: dict[str, Any], *, cost: bool) -> None:
    """Raise UsageError for what a model that writes has not."""
    if options:
        raise UsageError(f"text-generation has no option {next(iter(options))}", hint="leave it out")
    if cost:
        raise UsageError("what an answer costs depends on its length", hint="edgewright bench measures tokens a second")


def _likelihoods(
    bundle: Bundle,
    artifacts: Sequence[Artifact],
    labelled: Path,
    names: Sequence[str],
    threads: int,
    progress: Progress,
) -> list[Evaluation]:
    held = held_out(labelled, names, bundle.tokenizer(), bundle.manifest.settings.max_length)
    found = []
    for artifact in artifacts:
        progress(f"{artifact.key}: {sum(len(span.ids) for span in held.spans)} tokens")
        with load(bundle, format=artifact.format, precision=artifact.precision, threads=threads) as writer:
            scored = score_decoder(writer.session.decoder, held, labelled.name)
        found.append(Evaluation(artifact, scored, artifact.total_bytes))
    return found


def score_decoder(decoder: Decoder, held: HeldOut, name: str) -> tuple[Scored, ...]:
    """The metrics of a decoder on what a file called `name` holds out."""
    metric = held.measured(losses_of(decoder, held.spans))
    return tuple(_drawn(one, values, held.n, name) for one, values in metric.items())


def _eager_likelihood(
    source: Source, labelled: Path, names: Sequence[str], threads: int, progress: Progress
) -> Evaluation:
    held = held_out(labelled, names, source.tokenizer(), source.settings.max_length)
    request = LikelihoodRequest(source=source.job(), spans=held.spans, threads=threads)
    answer, _ = ask(LIKELIHOOD, request, progress=progress)
    metric = held.measured(answer.losses)
    scored = tuple(_drawn(name, one, held.n, labelled.name) for name, one in metric.items())
    return Evaluation(None, scored, source.weight_bytes())


def _drawn(name: str, metric: metrics.Metric, n: int, labelled: str) -> Scored:
    drawn = metrics.draws(metric, n)
    return Scored(Score(name, metrics.value(metric, n), n, labelled), *metrics.interval(drawn), tuple(drawn.tolist()))


def _one(group: _Group, name: str, answers: Sequence[Any], labelled: str) -> Scored:
    metric, n = group.task.measured(name, answers, group.examples), len(group.examples)
    value = group.task.checked(name, metrics.value(metric, n), n)
    drawn = metrics.draws(metric, n)
    return Scored(Score(name, value, n, labelled), *metrics.interval(drawn), tuple(drawn.tolist()))


def _cost(bundle: Bundle, artifact: Artifact, group: _Group, threads: int, progress: Progress) -> Cost:
    """A small measurement as `edgewright bench` makes it, over texts of the data."""
    texts = tuple(group.task.items(group.examples)[:_TIMED])
    plan = Plan(tokens=(), texts=texts, data="the data", threads=(threads,), processes=2, least_ms=100.0)
    found = measured(targets_of(bundle, plan, artifact.format, artifact.precision), plan, progress)
    row = found.rows[0][0]
    return Cost(row.latency_ms.median, row.peak_rss_mib, f"{row.engine} {row.version}", row.grade)
