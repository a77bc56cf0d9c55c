"""Latency, load time and memory of a bundle's artifacts.

Every artifact is opened in fresh processes, in turn with the others, so that a drift of the machine meets all alike. In
each process: load, first inference, a warm-up by count and by time, then the timed runs, on a monotonic clock around
`Session.run` with arrays that are ready. Peak memory is read in a process before them that does nothing else.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edgewright.bundle.bundle import Bundle
from edgewright.errors import ConnectionLost, DeviceError, UsageError, one_line
from edgewright.inference.engines import engines_of
from edgewright.measure.place import Here
from edgewright.measure.plan import Plan, Target
from edgewright.measure.process import AskMemory, AskTimes
from edgewright.measure.rows import MOST_WORDS, Run
from edgewright.measure.summarize import row_of
from edgewright.registry import install_line
from edgewright.system.progress import silent
from edgewright.tasks import check_at_once
from edgewright.text.buckets import check_buckets

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edgewright.bundle.manifest import Artifact
    from edgewright.measure.place import Place
    from edgewright.measure.process import MemoryAnswer, TimesAnswer
    from edgewright.measure.rows import Row

__all__ = ["Measured", "bench", "measured", "now", "openable", "run_of", "targets_of"]


_ASKED_S = 600.0
"""How long a process may take: a model of half a second for each run needs most of it."""


@dataclass(frozen=True)
class Measured:
    """The rows of each target, what went wrong with some processes, and why it ended before its plan did, if so."""

    rows: list[list[Row]]
    problems: list[str] = field(default_factory=list)
    cut_short: str = ""


def bench(
    bundle: Bundle | str | Path,
    plan: Plan = Plan(),  # noqa: B008 - frozen
    *,
    format: str | None = None,  # noqa: A002
    precision: str | None = None,
    place: Place | None = None,
    command: str = "",
    progress: Callable[[str], None] = silent,
) -> Run:
    """Measure the artifacts of a bundle, on this machine or at a place where it is too.

    Raises:
        BundleError: the bundle is bad or has no such artifact.
        UsageError: a length is over the model's, or threads over the machine's cores.
        DeviceError: no process that measures ended well; where some did, their rows are kept and marked.
    """
    opened = Bundle.of(bundle)
    place = place or Here(opened)
    targets = targets_of(opened, plan, format, precision, place)
    began = now()
    found = measured(targets, plan, progress)
    found.problems.extend(_left_out(openable(opened.artifacts(format, precision), place)[1], place))
    return run_of(opened, found, place, began=began, command=command)


def now() -> str:
    """The time in UTC as ISO 8601 gives it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def run_of(bundle: Bundle, found: Measured, place: Place, *, began: str, command: str) -> Run:
    """The record of a run, from the rows of each of its targets."""
    return Run(
        device=place.name,
        machine=place.about.machine,
        source=bundle.manifest.source.sha256,
        began=began,
        command=command,
        rows=tuple(row for rows in found.rows for row in rows),
        problems=tuple(found.problems),
        cut_short=found.cut_short,
    )


def targets_of(
    bundle: Bundle, plan: Plan, format_: str | None, precision: str | None, place: Place | None = None
) -> list[Target]:
    """Every artifact, number of threads and set of buckets to measure, once the plan has been checked.

    Raises what `bench` raises.
    """
    check_at_once(bundle.task(), "measured by single runs")
    place = place or Here(bundle)
    fits, _ = openable(bundle.artifacts(format_, precision), place)
    _check(plan, bundle.manifest.settings.max_length, place)
    return [
        Target(bundle, place, artifact, threads, buckets)
        for artifact in fits
        for threads in plan.threads
        for buckets in (plan.buckets if any(e.has_buckets for e in engines_of(artifact.format)) else ((),))
    ]


def openable(artifacts: Sequence[Artifact], place: Place) -> tuple[list[Artifact], list[str]]:
    """Those that an engine at a place opens, and the formats of the others; all of them where none does, to say why."""
    fits = [artifact for artifact in artifacts if artifact.format in place.about.formats]
    if not fits:
        return list(artifacts), []
    return fits, sorted({artifact.format for artifact in artifacts} - {artifact.format for artifact in fits})


def _left_out(formats: Sequence[str], place: Place) -> list[str]:
    """What is said of formats that no engine at a place opens."""
    here = place.name == "local"
    where = "here" if here else f"on {place.name}"
    extras = {name: next((engine.extra for engine in engines_of(name)), name) for name in formats}
    line = install_line if here else "pip install 'edgewright[{}]'".format
    return [f"{name} is left out: no engine for it {where}; run: {line(extra)}" for name, extra in extras.items()]


def _check(plan: Plan, longest: int, place: Place) -> None:
    least = min(plan.processes, plan.runs, plan.batch, *plan.threads)
    if least < 1 or not plan.threads or not plan.buckets or not (plan.tokens or plan.texts):
        raise UsageError("nothing to measure", hint="processes, runs, batch and threads are at least 1; give lengths")
    for threads in plan.threads:
        place.check_threads(threads)
    if any(not 1 <= n <= longest for n in plan.tokens):
        asked = ", ".join(map(str, plan.tokens))
        raise UsageError(f"lengths {asked} were asked, the model takes 1 to {longest} tokens")
    for chosen in plan.buckets:
        check_buckets(chosen, longest)


@dataclass
class _Job:
    """A target, the record of its memory, and those of the processes that timed it."""

    target: Target
    memory: MemoryAnswer | None = None
    records: list[TimesAnswer] = field(default_factory=list)

    def take(self, plan: Plan, *, peak: bool) -> None:
        """Have one process measure. Raises what `Place.ask` raises."""
        ask, asked = self.target.place.ask, _asked(self.target, plan)
        if peak:
            self.memory = ask(AskMemory(**asked), _ASKED_S)
        else:
            self.records.append(ask(AskTimes(**asked, sustained_s=plan.sustained_s), _ASKED_S + 2 * plan.sustained_s))


def measured(targets: Sequence[Target], plan: Plan, progress: Callable[[str], None]) -> Measured:
    """Measure in turn. Where the way to a board breaks, what has been measured by then is given, and said to be less.

    Raises:
        DeviceError: no process ended well.
    """
    jobs, problems, cut = [_Job(target) for target in targets], [], ""
    several = len({target.bundle.directory for target in targets}) > 1
    for at in range(plan.processes + 1):
        words = f"process {at} of {plan.processes}" if at else "peak memory"
        for job in (job for job in jobs if not at or job.memory):
            key = job.target.artifact.key
            key = f"{job.target.bundle.directory.name} {key}" if several else key
            progress(f"{key}: {words}")
            try:
                job.take(plan, peak=not at)
            except ConnectionLost as error:
                cut = one_line(f"the connection was lost at {key}, {words}: {error.message}", MOST_WORDS)
                break
            except DeviceError as error:
                problems.append(one_line(f"{key}, {words}: {error}", MOST_WORDS))
        if cut:
            break
    return _given(jobs, plan, problems, cut)


def _given(jobs: Sequence[_Job], plan: Plan, problems: list[str], cut: str) -> Measured:
    if not any(job.records for job in jobs):
        raise ConnectionLost(cut, hint="nothing was measured by then") if cut else DeviceError(problems[-1])
    return Measured([_rows_of(job, plan) for job in jobs], problems, cut)


def _rows_of(job: _Job, plan: Plan) -> list[Row]:
    if not job.records or job.memory is None:
        return []
    return [row_of(job.target, plan, job.records, at, job.memory) for at in range(len(job.records[0].series))]


def _asked(target: Target, plan: Plan) -> dict[str, Any]:
    """What a request for memory and one for times have in common: the fields of `process.Measure`."""
    names = ("tokens", "texts", "runs", "least_ms", "batch", "warmup_runs", "warmup_ms")
    return {
        "format": target.artifact.format,
        "precision": target.artifact.precision,
        "threads": target.threads,
        "buckets": target.buckets,
        **{name: getattr(plan, name) for name in names},
    }
