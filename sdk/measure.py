"""Latency, load time and memory of a bundle's artifacts.

Every artifact is opened in fresh processes, in turn with the others, so that a drift of the machine meets all alike. In
each process: load, first inference, a warm-up by count and by time, then the timed runs, on a monotonic clock around
`Session.run` with arrays that are ready. Peak memory is read in one more process that does nothing else.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgewright import registry
from edgewright.bundle import Bundle
from edgewright.engines import engine_for
from edgewright.errors import DeviceError, UsageError, from_record
from edgewright.statistics import Summary, median, summarize

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edgewright.contracts import Transport
    from edgewright.manifest import Artifact

__all__ = ["Plan", "Row", "bench"]


@dataclass(frozen=True)
class Plan:
    """How to measure.

    Attributes:
        tokens: fixed lengths, each a row of its own; cut from real text.
        texts: real texts, or pairs of them, run in turn at their own lengths, as one more row; a run is of one window.
        threads: engine threads.
        processes: fresh processes per artifact.
        runs: timed runs per process and length.
        warmup_runs: least number of untimed runs before them.
        warmup_ms: least time that these take together.
    """

    tokens: tuple[int, ...] = (16, 128)
    texts: tuple[Any, ...] = ()
    threads: int = 1
    processes: int = 3
    runs: int = 50
    warmup_runs: int = 5
    warmup_ms: float = 300.0


@dataclass(frozen=True)
class Row:
    """One artifact at one length: `tokens` is the length, or the median length of the texts."""

    artifact: Artifact
    engine: str
    version: str
    threads: int
    tokens: int
    latency_ms: Summary
    load_ms: float
    first_ms: float
    peak_rss_mib: float


def bench(
    bundle: Bundle | str | Path,
    plan: Plan = Plan(),
    *,
    format: str | None = None,  # noqa: A002
    precision: str | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> list[Row]:
    """Measure the artifacts of a bundle on this machine.

    Raises:
        BundleError: the bundle is bad or has no such artifact.
        UsageError: a length is over the model's.
        DeviceError: a measuring process failed.
    """
    opened = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
    opened.choose(format=format, precision=precision)
    if min(plan.processes, plan.runs, plan.threads) < 1 or not (plan.tokens or plan.texts):
        raise UsageError("nothing to measure", hint="processes, runs and threads are at least 1; give lengths or texts")
    longest = opened.manifest.settings.max_length
    if any(not 1 <= n <= longest for n in plan.tokens):
        raise UsageError(
            f"lengths {', '.join(map(str, plan.tokens))} were asked, the model takes 1 to {longest} tokens"
        )
    chosen = [a for a in opened.manifest.artifacts if format in (None, a.format) and precision in (None, a.precision)]
    return _rows(opened, chosen, plan, registry.load("devices", "local")(), progress)


def _rows(
    bundle: Bundle, artifacts: Sequence[Artifact], plan: Plan, device: Transport, progress: Callable[[str], None]
) -> list[Row]:
    found: dict[str, list[dict[str, Any]]] = {a.path: [] for a in artifacts}
    for turn in range(plan.processes):
        for artifact in artifacts:
            progress(f"{artifact.key}: process {turn + 1} of {plan.processes}")
            found[artifact.path].append(_worker(bundle, artifact, plan, device))
    peaks = {}
    for artifact in artifacts:
        progress(f"{artifact.key}: peak memory")
        peaks[artifact.path] = float(_worker(bundle, artifact, plan, device, peak=True)["peak_rss_mib"])
    return [row for a in artifacts for row in _rows_of(a, plan, found[a.path], peaks[a.path])]


def _rows_of(artifact: Artifact, plan: Plan, records: Sequence[dict[str, Any]], peak_rss_mib: float) -> list[Row]:
    engine = engine_for(artifact.format)
    return [
        Row(
            artifact=artifact,
            engine=engine.engine,
            version=engine.version(),
            threads=plan.threads,
            tokens=series["tokens"],
            latency_ms=summarize([sample for record in records for sample in record["series"][at]["samples_ms"]]),
            load_ms=median(sorted(record["load_ms"] for record in records)),
            first_ms=median(sorted(record["first_ms"] for record in records)),
            peak_rss_mib=peak_rss_mib,
        )
        for at, series in enumerate(records[0]["series"])
    ]


def _worker(bundle: Bundle, artifact: Artifact, plan: Plan, device: Transport, *, peak: bool = False) -> dict[str, Any]:
    request = {
        "bundle": str(bundle.directory),
        "format": artifact.format,
        "precision": artifact.precision,
        "peak": peak,
        **{name: getattr(plan, name) for name in ("tokens", "texts", "threads", "runs", "warmup_runs", "warmup_ms")},
    }
    argv = [sys.executable, "-m", "edgewright.runtimes._worker"]
    done = device.run(argv, timeout_s=600, stdin=json.dumps(request).encode())
    if done.exit_code != 0:
        words = done.stderr.decode(errors="replace").strip().splitlines()
        raise DeviceError(
            f"measuring {artifact.key} ended with exit code {done.exit_code}", hint=words[-1] if words else ""
        )
    record: dict[str, Any] = json.loads(done.stdout)
    if "error" in record:
        raise from_record(record["error"])
    return record
