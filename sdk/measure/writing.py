"""How fast a decoder reads and writes: the two apart, since one multiplies matrices and the other reads them.

Every artifact is opened in fresh processes, in turn with the others. In each, a prompt of real words is read several
times from an empty cache, and tokens are written after it, each timed by itself. A phone slows down: so the first third
of the tokens and the last one are told apart. Peak memory is that of the process, the cache in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - msgspec reads annotations
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct

from edgewright.bundle.bundle import Bundle
from edgewright.errors import UsageError
from edgewright.measure.grading import grade
from edgewright.measure.process import TheirState, known
from edgewright.measure.rows import MachineState
from edgewright.statistics.latency import median, summarize
from edgewright.system.child import Child, call
from edgewright.system.progress import silent
from edgewright.system.shown import Results, brief
from edgewright.system.words import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgewright.bundle.manifest import Artifact
    from edgewright.statistics.latency import Summary

__all__ = [
    "WRITTEN",
    "Timed",
    "WritingAnswer",
    "WritingPlan",
    "WritingRequest",
    "WritingRow",
    "bench_writing",
    "check_writing",
    "measured_writing",
]


@dataclass(frozen=True)
class WritingPlan:
    """What is measured.

    Attributes:
        prompts: lengths of prompts in tokens; a choice: a question, and half a page.
        written: tokens after each; a choice, some sentences, and thirds of them that say something.
        threads: numbers of engine threads, each measured.
        processes: fresh ones for each artifact: five for the best grade.
        readings: how often a process reads each prompt.
    """

    prompts: tuple[int, ...] = (32, 256)
    written: int = 64
    threads: tuple[int, ...] = (1,)
    processes: int = 5
    readings: int = 3


class WritingRequest(Struct, frozen=True, kw_only=True):
    """An artifact to read prompts with and to write; see `WritingPlan`."""

    bundle: Path
    format: str
    precision: str
    threads: int
    prompts: tuple[int, ...]
    written: int
    readings: int


class Timed(Struct, frozen=True, kw_only=True):
    """One prompt length: ms of each reading, and of each token after the last one."""

    read_ms: tuple[float, ...]
    token_ms: tuple[float, ...]
    before: TheirState
    after: TheirState
    others: float


class WritingAnswer(Struct, frozen=True, kw_only=True):
    """From the start of the process to the first token of the shortest prompt, what opening took, and the peak."""

    first_ms: float
    load_ms: float
    peak_rss_mib: float
    engine: str
    version: str
    timed: tuple[Timed, ...]


WRITTEN = Child("edgewright.runtimes._measuring.writing:write", WritingRequest, WritingAnswer)


@dataclass(frozen=True)
class WritingRow:
    """One artifact, number of threads and length of a prompt.

    Attributes:
        read_per_s: tokens of the prompt a second, the median of all readings.
        written_per_s: tokens a second, of the median token.
        token_ms: the times of all tokens.
        first_third_per_s: of the first third of the tokens; `last_third_per_s` of the last.
        first_ms: from the start of the process to the first token after the shortest prompt.
        answers_ms: of each process what it takes to read the prompt and to write the tokens.
        grade: how far the row can be trusted, with the reasons why it is no better.
    """

    artifact: Artifact
    engine: str
    version: str
    threads: int
    prompt: int
    read_per_s: float
    written_per_s: float
    token_ms: Summary
    first_third_per_s: float
    last_third_per_s: float
    load_ms: float
    first_ms: float
    peak_rss_mib: float
    answers_ms: tuple[float, ...]
    written: int
    grade: Literal["A", "B", "C", "void"]
    reasons: tuple[str, ...]

    @property
    def inputs(self) -> str:
        """What was read and written, in words."""
        return f"{self.prompt} tokens read and {self.written} written"

    @property
    def void(self) -> bool:
        """Whether its times say nothing."""
        return self.grade == "void"

    @property
    def key(self) -> str:
        """What a note calls the row."""
        return f"{self.artifact.key}, {self.threads} thread{'s' * (self.threads > 1)}, {self.prompt} tokens before"

    def __repr__(self) -> str:
        speed = f"reads {self.read_per_s:.0f}/s, writes {self.written_per_s:.1f}/s"
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
            "prompt": self.prompt,
            "read_per_s": self.read_per_s,
            "written_per_s": self.written_per_s,
            "first_third_per_s": self.first_third_per_s,
            "last_third_per_s": self.last_third_per_s,
            "p90_ms": self.token_ms.p90,
            "load_ms": self.load_ms,
            "first_ms": self.first_ms,
            "peak_rss_mib": self.peak_rss_mib,
            "grade": self.grade,
        }


def bench_writing(
    bundle: Bundle | str | Path,
    plan: WritingPlan = WritingPlan(),
    *,
    format: str | None = None,  # noqa: A002
    precision: str | None = None,
    progress: Callable[[str], None] = silent,
) -> Results[WritingRow]:
    """Measure how fast the artifacts of a decoder's bundle read and write, on this machine.

    Raises:
        BundleError: the bundle is bad or has no such artifact.
        UsageError: it is no decoder's, or prompt and answer are longer than its context.
    """
    opened = Bundle.of(bundle)
    check_writing(opened, plan)
    targets = [(one, threads) for one in opened.artifacts(format, precision) for threads in plan.threads]
    measured = measured_writing(opened, targets, plan, progress)
    return Results(row for rows in measured for row in rows)


def measured_writing(
    bundle: Bundle,
    targets: Sequence[tuple[Artifact, int]],
    plan: WritingPlan,
    progress: Callable[[str], None],
    *,
    ask: Callable[[WritingRequest], WritingAnswer] | None = None,
) -> list[list[WritingRow]]:
    """Of each artifact with a number of threads its rows, one for each prompt; the processes run in turn.

    Each is begun by `ask`, by default on this machine.
    """
    answers: list[list[WritingAnswer]] = [[] for _ in targets]
    for turn in range(plan.processes):
        for (artifact, threads), found in zip(targets, answers, strict=True):
            progress(f"{artifact.key}, {counted(threads, 'thread')}, process {turn + 1} of {plan.processes}")
            request = _request(bundle, artifact, threads, plan)
            found.append(ask(request) if ask else call(WRITTEN, request))
    return [
        [_row(artifact, threads, prompt, found, at) for at, prompt in enumerate(plan.prompts)]
        for (artifact, threads), found in zip(targets, answers, strict=True)
    ]


def check_writing(bundle: Bundle, plan: WritingPlan) -> None:
    """Raise UsageError where a bundle is no decoder's, or prompt and answer are longer than its context."""
    context = bundle.manifest.settings.max_length
    if bundle.task().reads_source:
        what = f"{bundle.directory} is a translator's: what it reads is no prompt"
        raise UsageError(what, hint="edgewright bench measures it; it is not raced yet")
    if not bundle.task().generates:
        what = f"{bundle.directory} is a bundle for {bundle.manifest.task}, whose answers are given at once"
        raise UsageError(what, hint="edgewright.bench measures it")
    if not plan.prompts or min(*plan.prompts, plan.processes, plan.readings, *plan.threads) < 1 or plan.written < 3:
        raise UsageError("nothing to measure", hint="processes and threads are at least 1, written tokens at least 3")
    longest = max(plan.prompts) + plan.written
    if longest > context:
        what = f"a prompt of {max(plan.prompts)} tokens and {plan.written} after it are {longest}"
        raise UsageError(f"{what}, the context is {context}", hint="give shorter prompts")


def _request(bundle: Bundle, artifact: Artifact, threads: int, plan: WritingPlan) -> WritingRequest:
    return WritingRequest(
        bundle=bundle.directory.absolute(),
        format=artifact.format,
        precision=artifact.precision,
        threads=threads,
        prompts=plan.prompts,
        written=plan.written,
        readings=plan.readings,
    )


def _row(artifact: Artifact, threads: int, prompt: int, answers: Sequence[WritingAnswer], at: int) -> WritingRow:
    timed = [answer.timed[at] for answer in answers]
    tokens = [one.token_ms for one in timed]
    summary = summarize([sample for process in tokens for sample in process])
    states = [{"before": known(one.before, MachineState), "after": known(one.after, MachineState)} for one in timed]
    mark, reasons = grade(tokens, summary, states, [one.others for one in timed], growing=True)
    third = len(tokens[0]) // 3
    return WritingRow(
        artifact=artifact,
        engine=answers[0].engine,
        version=answers[0].version,
        threads=threads,
        prompt=prompt,
        read_per_s=1e3 * prompt / _middle([sample for one in timed for sample in one.read_ms]),
        written_per_s=1e3 / summary.median,
        token_ms=summary,
        first_third_per_s=1e3 / _middle([sample for process in tokens for sample in process[:third]]),
        last_third_per_s=1e3 / _middle([sample for process in tokens for sample in process[-third:]]),
        load_ms=_middle([answer.load_ms for answer in answers]),
        first_ms=_middle([answer.first_ms for answer in answers]),
        peak_rss_mib=max(answer.peak_rss_mib for answer in answers),
        answers_ms=tuple(_middle(one.read_ms) + sum(one.token_ms) for one in timed),
        written=len(tokens[0]),
        grade=mark,
        reasons=reasons,
    )


def _middle(values: Sequence[float]) -> float:
    return median(sorted(values))
