"""How fast a translator is: sentences by themselves, as they come to a device, and each with its reading.

Every artifact is opened in fresh processes, in turn with the others. In each, the sentences are translated round after
round, by the model's own search, each timed by itself; the first round is not counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - msgspec reads annotations
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct

from edgewright.bundle.bundle import Bundle
from edgewright.errors import UsageError
from edgewright.inference.engines import engine_for
from edgewright.measure.grading import grade
from edgewright.measure.process import TheirState, known
from edgewright.measure.rows import MachineState
from edgewright.statistics.latency import median, summarize
from edgewright.system.child import Child, call
from edgewright.system.progress import silent
from edgewright.system.shown import Results, brief
from edgewright.system.words import counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgewright.bundle.manifest import Artifact
    from edgewright.statistics.latency import Summary

__all__ = [
    "TRANSLATED_TIMES",
    "TranslatingAnswer",
    "TranslatingPlan",
    "TranslatingRequest",
    "TranslatingRow",
    "bench_translating",
]


@dataclass(frozen=True)
class TranslatingPlan:
    """What is measured.

    Attributes:
        texts: to be translated; without any the bundle's golden ones.
        threads: numbers of engine threads, each measured.
        processes: fresh ones for each artifact: five for the best grade.
        rounds: how often a process translates the texts, after a first time.
    """

    texts: tuple[str, ...] = ()
    threads: tuple[int, ...] = (1,)
    processes: int = 5
    rounds: int = 10


class TranslatingRequest(Struct, frozen=True, kw_only=True):
    """An artifact to translate texts with; see `TranslatingPlan`."""

    bundle: Path
    format: str
    precision: str
    threads: int
    texts: tuple[str, ...]
    rounds: int


class TranslatingAnswer(Struct, frozen=True, kw_only=True):
    """Of a process: what it took up to the first translation, and ms of every text of each round, in their order.

    `read` and `written` count the tokens of one round.
    """

    first_ms: float
    load_ms: float
    peak_rss_mib: float
    version: str
    beams: int
    read: int
    written: int
    text_ms: tuple[float, ...]
    before: TheirState
    after: TheirState
    others: float


TRANSLATED_TIMES = Child("edgewright.runtimes._measuring.translating:translate", TranslatingRequest, TranslatingAnswer)


@dataclass(frozen=True)
class TranslatingRow:
    """One artifact and number of threads.

    Attributes:
        texts: how many were translated in a round; `read` and `written` the tokens of them all.
        beams: of the model's own search.
        text_ms: ms of a text, of all of them.
        written_per_s: tokens of translations a second, reading in it, the median of the processes.
        first_ms: from the start of the process to the first translation.
        grade: how far the row can be trusted, with the reasons why it is no better.
    """

    artifact: Artifact
    engine: str
    version: str
    threads: int
    texts: int
    read: int
    written: int
    beams: int
    text_ms: Summary
    written_per_s: float
    load_ms: float
    first_ms: float
    peak_rss_mib: float
    grade: Literal["A", "B", "C", "void"]
    reasons: tuple[str, ...]

    @property
    def key(self) -> str:
        """What a note calls the row."""
        return f"{self.artifact.key}, {self.threads} thread{'s' * (self.threads > 1)}"

    def __repr__(self) -> str:
        speed = f"{self.text_ms.median:.1f} ms a text, {self.written_per_s:.0f} tokens/s"
        return brief(self, self.key, speed, f"grade {self.grade}")

    def cells(self) -> dict[str, Any]:
        """The columns of a table."""
        return {**self.artifact.cells(), **self.record()}

    def record(self) -> dict[str, Any]:
        """The row of a table, without what the artifact says of itself."""
        return {
            "engine": self.engine,
            "engine_version": self.version,
            "threads": self.threads,
            "texts": self.texts,
            "beams": self.beams,
            "read": self.read,
            "written": self.written,
            "text_ms": self.text_ms.median,
            "p90_ms": self.text_ms.p90,
            "written_per_s": self.written_per_s,
            "load_ms": self.load_ms,
            "first_ms": self.first_ms,
            "peak_rss_mib": self.peak_rss_mib,
            "grade": self.grade,
        }


def bench_translating(
    bundle: Bundle | str | Path,
    plan: TranslatingPlan = TranslatingPlan(),
    *,
    format: str | None = None,  # noqa: A002
    precision: str | None = None,
    progress: Callable[[str], None] = silent,
) -> Results[TranslatingRow]:
    """Measure how fast the artifacts of a translator's bundle translate, on this machine.

    Raises:
        BundleError: the bundle is bad or has no such artifact.
        UsageError: it is no translator's, or there is nothing to measure.
    """
    opened = Bundle.of(bundle)
    if not opened.task().reads_source:
        raise UsageError(f"{opened.directory} is a bundle for {opened.manifest.task}, which translates nothing")
    if min(*plan.threads, plan.processes, plan.rounds) < 1:
        raise UsageError("nothing to measure", hint="threads, processes and rounds are at least 1")
    texts = tuple(text for text in plan.texts or (str(case.text) for case in opened.golden().cases) if text.strip())
    if not texts:
        raise UsageError("the texts are empty, there is nothing to translate", hint="give a line of text")
    targets = [(one, threads) for one in opened.artifacts(format, precision) for threads in plan.threads]
    answers: list[list[TranslatingAnswer]] = [[] for _ in targets]
    for turn in range(plan.processes):
        for (artifact, threads), found in zip(targets, answers, strict=True):
            progress(f"{artifact.key}, {counted(threads, 'thread')}, process {turn + 1} of {plan.processes}")
            found.append(call(TRANSLATED_TIMES, _request(opened, artifact, threads, texts, plan.rounds)))
    rows = zip(targets, answers, strict=True)
    return Results(_row(artifact, threads, len(texts), found) for (artifact, threads), found in rows)


def _request(
    bundle: Bundle, artifact: Artifact, threads: int, texts: tuple[str, ...], rounds: int
) -> TranslatingRequest:
    return TranslatingRequest(
        bundle=bundle.directory.absolute(),
        format=artifact.format,
        precision=artifact.precision,
        threads=threads,
        texts=texts,
        rounds=rounds,
    )


def _row(artifact: Artifact, threads: int, texts: int, answers: list[TranslatingAnswer]) -> TranslatingRow:
    first = answers[0]
    summary = summarize([sample for answer in answers for sample in answer.text_ms])
    states = [{"before": known(one.before, MachineState), "after": known(one.after, MachineState)} for one in answers]
    rounds = [_rounds(answer.text_ms, texts) for answer in answers]
    mark, reasons = grade(
        rounds, summarize([ms for process in rounds for ms in process]), states, [answer.others for answer in answers]
    )
    return TranslatingRow(
        artifact=artifact,
        engine=engine_for(artifact.format).engine,
        version=first.version,
        threads=threads,
        texts=texts,
        read=first.read,
        written=first.written,
        beams=first.beams,
        text_ms=summary,
        written_per_s=1e3 * first.written / _middle([ms for process in rounds for ms in process]),
        load_ms=_middle([answer.load_ms for answer in answers]),
        first_ms=_middle([answer.first_ms for answer in answers]),
        peak_rss_mib=max(answer.peak_rss_mib for answer in answers),
        grade=mark,
        reasons=reasons,
    )


def _rounds(text_ms: tuple[float, ...], texts: int) -> list[float]:
    """Milliseconds of each round: texts differ in length, rounds do not."""
    return [sum(text_ms[at : at + texts]) for at in range(0, len(text_ms), texts)]


def _middle(values: list[float]) -> float:
    return median(sorted(values))
