"""Latency, load time and memory of a bundle's artifacts.

Every artifact is opened in fresh processes, in turn with the others, so that a drift of the machine meets all alike. In
each process: load, first inference, a warm-up by count and by time, then the timed runs, on a monotonic clock around
`Session.run` with arrays that are ready. Peak memory is read in one more process that does nothing else.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import msgspec

from edgewright import registry
from edgewright.bundle import Bundle
from edgewright.contracts import check_threads
from edgewright.engines import engine_for
from edgewright.errors import DeviceError, UsageError, from_record
from edgewright.grading import grade, spread
from edgewright.machine import machine
from edgewright.rows import Machine, Moment, Parts, Row, Run, Startup
from edgewright.statistics import median, summarize

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from edgewright.contracts import Transport
    from edgewright.manifest import Artifact

__all__ = ["Place", "Plan", "Target", "bench", "measured", "now", "run_of", "targets_of"]

_INTEGER = ("int8", "int8-static", "int4")


@dataclass(frozen=True)
class Plan:
    """How to measure.

    Attributes:
        tokens: fixed lengths, each a row of its own; cut from real text.
        texts: real texts, or pairs of them, run in turn at their own lengths, as one more row; a run is of one window.
        data: the name of the file that the texts came from.
        threads: numbers of engine threads, each a row of its own.
        batch: texts in one run.
        processes: fresh processes per artifact.
        runs: least number of timed runs per process and length.
        least_ms: least time that these take together, so that a disturbance of an instant does not fill a process; at
            most 1000 runs.
        warmup_runs: least number of untimed runs before them.
        warmup_ms: least time that these take together.
        sustained_s: after the timed runs, seconds of running without a pause, to show what heat does.
        roofline: measure the machine's peaks too, and say what part of them each row reaches.
    """

    tokens: tuple[int, ...] = (16, 128)
    texts: tuple[Any, ...] = ()
    data: str = "texts"
    threads: tuple[int, ...] = (1,)
    batch: int = 1
    processes: int = 5
    runs: int = 50
    least_ms: float = 250.0
    warmup_runs: int = 5
    warmup_ms: float = 300.0
    sustained_s: float = 0.0
    roofline: bool = False


@dataclass(frozen=True)
class Place:
    """Where a bundle is measured: the way there, a Python that has edgewright, and where the bundle lies."""

    transport: Transport
    python: tuple[str, ...]
    bundle: str
    name: str = "local"

    @classmethod
    def here(cls, bundle: Bundle) -> Place:
        """This machine."""
        return cls(registry.load("devices", "local")(), (sys.executable,), str(bundle.directory))


@dataclass(frozen=True)
class Target:
    """What a process measures: an artifact of a bundle at a place."""

    bundle: Bundle
    place: Place
    artifact: Artifact
    threads: int


def bench(
    bundle: Bundle | str | Path,
    plan: Plan = Plan(),
    *,
    format: str | None = None,  # noqa: A002
    precision: str | None = None,
    command: str = "",
    progress: Callable[[str], None] = lambda _: None,
) -> Run:
    """Measure the artifacts of a bundle on this machine.

    Raises:
        BundleError: the bundle is bad or has no such artifact.
        UsageError: a length is over the model's, or threads over the machine's cores.
        DeviceError: no process that measures ended well; where some did, their rows are kept and marked.
    """
    opened = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
    targets = targets_of(opened, plan, format, precision)
    began = now()
    rows, problems = measured(targets, plan, progress)
    return run_of(opened, rows, problems, began=began, command=command)


def now() -> str:
    """The time in UTC as ISO 8601 gives it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def run_of(
    bundle: Bundle, rows: Sequence[Sequence[Row]], problems: Sequence[str] = (), *, began: str, command: str
) -> Run:
    """The record of a run on this machine, from the rows of each of its targets."""
    return Run(
        device="local",
        machine=msgspec.convert(machine(), Machine),
        source=bundle.manifest.source.sha256,
        began=began,
        command=command,
        rows=tuple(row for found in rows for row in found),
        problems=tuple(problems),
    )


def targets_of(bundle: Bundle, plan: Plan, format_: str | None, precision: str | None) -> list[Target]:
    """Every artifact and number of threads to measure, once the plan has been checked. Raises what `bench` raises."""
    bundle.choose(format=format_, precision=precision)
    least = min(plan.processes, plan.runs, plan.batch, *plan.threads)
    if least < 1 or not plan.threads or not (plan.tokens or plan.texts):
        raise UsageError("nothing to measure", hint="processes, runs, batch and threads are at least 1; give lengths")
    for threads in plan.threads:
        check_threads(threads)
    longest = bundle.manifest.settings.max_length
    if any(not 1 <= n <= longest for n in plan.tokens):
        asked = ", ".join(map(str, plan.tokens))
        raise UsageError(f"lengths {asked} were asked, the model takes 1 to {longest} tokens")
    fits = [a for a in bundle.manifest.artifacts if format_ in (None, a.format) and precision in (None, a.precision)]
    return [Target(bundle, Place.here(bundle), a, threads) for a in fits for threads in plan.threads]


def measured(
    targets: Sequence[Target], plan: Plan, progress: Callable[[str], None]
) -> tuple[list[list[Row]], list[str]]:
    """The rows of each target, measured in turn, and what went wrong with some processes.

    Raises:
        DeviceError: no process ended well.
    """
    found: list[list[dict[str, Any]]] = [[] for _ in targets]
    problems: list[str] = []
    for turn in range(plan.processes):
        for target, records in zip(targets, found, strict=True):
            progress(f"{target.artifact.key}: process {turn + 1} of {plan.processes}")
            try:
                records.append(_worker(target, plan))
            except DeviceError as error:
                problems.append(f"{target.artifact.key}, process {turn + 1}: {error}")
    if problems and not any(found):
        raise DeviceError(problems[-1])
    return [_rows_of(t, plan, records, progress) for t, records in zip(targets, found, strict=True)], problems


def _rows_of(
    target: Target, plan: Plan, records: Sequence[Mapping[str, Any]], progress: Callable[[str], None]
) -> list[Row]:
    if not records:
        return []
    progress(f"{target.artifact.key}: peak memory")
    memory = _worker(target, replace(plan, sustained_s=0), peak=True)
    return [_row(target, plan, records, at, memory) for at in range(len(records[0]["series"]))]


def _row(target: Target, plan: Plan, records: Sequence[Mapping[str, Any]], at: int, memory: Mapping[str, Any]) -> Row:
    series, lost = [record["series"][at] for record in records], plan.processes - len(records)
    samples = tuple(tuple(one["samples_ms"]) for one in series)
    latency = summarize([sample for process in samples for sample in process])
    moments = [{when: msgspec.convert(one[when], Moment) for when in ("before", "after")} for one in series]
    mark, reasons = grade(samples, latency, moments, [one["others"] for one in series])
    energy = [one["energy_mj"] for one in series if one["energy_mj"] is not None]
    tokens, lengths = int(series[0]["tokens"]), tuple(series[0]["lengths"])
    texts = bool(plan.texts) and at == 0
    return Row(
        **_facts(target, plan),
        tokens=tokens,
        data=plan.data if texts else None,
        lengths=lengths if texts else (),
        latency_ms=latency,
        samples_ms=samples,
        tokens_per_s=plan.batch * sum(lengths) / len(lengths) / latency.median * 1e3,
        parts=_parts([one["parts"] for one in series]),
        sustained_ms=tuple(series[0]["sustained_ms"]),
        startup=_startup(records, memory["apart"]),
        peak_rss_mib=float(memory["peak_rss_mib"]),
        energy_mj=_middle(energy) if energy else "unmeasured",
        bound_share=_bound_share(target, tokens, latency.median) if plan.roofline and not texts else None,
        noise=spread(samples),
        before=moments[0]["before"],
        after=moments[-1]["after"],
        grade="void" if lost else mark,
        reasons=(*reasons, *([f"{lost} of {plan.processes} processes were lost"] if lost else [])),
    )


def _facts(target: Target, plan: Plan) -> dict[str, Any]:
    """What a row says of that which was measured."""
    engine = engine_for(target.artifact.format)
    return {
        "artifact": target.artifact,
        "bundle": str(target.bundle.directory),
        "task": target.bundle.manifest.task,
        "engine": engine.engine,
        "version": engine.version(),
        "threads": target.threads,
        "batch": plan.batch,
    }


def _startup(records: Sequence[Mapping[str, Any]], apart: Mapping[str, float]) -> Startup:
    names = ("import_ms", "load_ms", "first_ms")
    taken = {name: _middle([record[name] for record in records]) for name in names}
    return Startup(**taken, **apart, modules=int(records[0]["modules"]))


def _parts(found: Sequence[Mapping[str, float] | None]) -> Parts | None:
    kept = [parts for parts in found if parts]
    return (
        Parts(**{name: _middle([parts[name] for parts in kept]) for name in Parts.__struct_fields__}) if kept else None
    )


def _bound_share(target: Target, tokens: int, median_ms: float) -> float | None:
    from edgewright.roofline import encoder_macs, roofline

    path = target.bundle.directory / "config.json"
    work = encoder_macs(json.loads(path.read_text()), tokens) if path.is_file() else None
    if work is None:
        return None
    layers, scores = work
    integer = target.artifact.precision in _INTEGER
    bound = roofline(target.threads).bound_ms(layers=layers, scores=scores, weight_bytes=0, integer=integer)
    return bound / median_ms


def _middle(values: Sequence[float]) -> float:
    return median(sorted(values))


def _worker(target: Target, plan: Plan, *, peak: bool = False) -> dict[str, Any]:
    """One process's record. Raises DeviceError where it died, or the error that it names."""
    names = ("tokens", "texts", "runs", "least_ms", "batch", "warmup_runs", "warmup_ms", "sustained_s")
    request = {
        "bundle": target.place.bundle,
        "format": target.artifact.format,
        "precision": target.artifact.precision,
        "threads": target.threads,
        "peak": peak,
        **{name: getattr(plan, name) for name in names},
    }
    argv = [*target.place.python, "-m", "edgewright.runtimes._worker"]
    done = target.place.transport.run(argv, timeout_s=600 + 2 * plan.sustained_s, stdin=json.dumps(request).encode())
    if done.exit_code != 0:
        words = done.stderr.decode(errors="replace").strip().splitlines()
        what = f"measuring {target.artifact.key} ended with exit code {done.exit_code}"
        raise DeviceError(what, hint=words[-1] if words else "")
    record: dict[str, Any] = json.loads(done.stdout)
    if "error" in record:
        raise from_record(record["error"])
    return record
