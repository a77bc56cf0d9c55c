"""Commands on a device without Python: what `--device` asks of it, done here but for the inferences.

The rows are those of the same commands on any other board. What a runner there measures has no tokenization in it, and
says so.
"""

from __future__ import annotations

import importlib
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median_low
from typing import TYPE_CHECKING, Any

import msgspec

from edgewright import manifest
from edgewright.bundle import MANIFEST, Bundle
from edgewright.errors import DeviceError, EdgewrightError, UsageError
from edgewright.evaluation import Evaluation, score_all
from edgewright.measure import Plan, now, row_of
from edgewright.pipeline import answered
from edgewright.remote import Answer, identity
from edgewright.rows import Machine, Row, Run
from edgewright.runner import ENGINE, Elsewhere
from edgewright.statistics import median

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgewright.manifest import Artifact

__all__ = ["far_answer"]

_NO_TOKENIZATION = "timed by the runner there: tokenization is not included"
_MOST_RUNS = 1000


def far_answer(device: Any, bundle: str, command: str, given: Mapping[str, Any]) -> Answer:
    """What a command on a device without Python answers; `given` are its options by their Python names.

    Raises:
        UsageError: no such command there.
        EdgewrightError: as the command does.
    """
    commands = {"run": _run, "verify": _verify, "eval": _eval, "bench": _bench}
    if command not in commands:
        raise UsageError(f"{command} does not work on a device without Python", hint=f"{', '.join(commands)} do")
    folder = device.active(*identity(bundle))
    with tempfile.TemporaryDirectory(prefix="edgewright-") as scratch:
        try:
            device.machine().fetch(folder, Path(scratch))
        except OSError as error:
            what = f"cannot read the active release: {error.strerror} ({error.filename or folder})"
            raise DeviceError(what, hint="run: edgewright status URL") from error
        record = manifest.decode(Path(scratch, MANIFEST).read_bytes(), manifest.Manifest, MANIFEST)
        opened = Bundle(Path(scratch), record)
        opened.checking([file.path for file in record.files])()
        return commands[command](_There(device, folder, Elsewhere(opened, device.starts(folder)), given))


@dataclass(frozen=True)
class _There:
    """A command at work: the device, where its active release lies, that release, and the options."""

    device: Any
    folder: str
    release: Elsewhere
    given: Mapping[str, Any]

    def artifacts(self) -> list[Artifact]:
        """Those that the options ask for."""
        return self.release.artifacts(self.given["format_"], self.given["precision"])


def _run(there: _There) -> Answer:
    from edgewright.data import items

    given, artifact = there.given, there.artifacts()[0]
    if given["engine"] not in (None, ENGINE):
        raise UsageError(f"engine {given['engine']} was asked, a runner has {ENGINE}")
    path, pair = given["input_"], given["pair"]
    texts = given["texts"] or items(None if path == "-" else Path(path))
    with there.release.start(artifact, given["threads"] or 1) as talk:
        pipeline = there.release.pipeline(artifact, there.release.opened(talk).session)
        asked = texts if pair is None else ((text, pair) for text in texts)
        return Answer({"rows": list(answered(pipeline, asked))}, {})


def _verify(there: _There) -> Answer:
    problem = there.device.problem(there.folder)
    if problem:
        raise DeviceError(f"the active release is not whole: {problem}", hint="run: edgewright rollback URL")
    replays = there.release.verify(quick=there.given["quick"])
    return Answer({"rows": [replay.record() for replay in replays]}, {})


def _eval(there: _There) -> Answer:
    given, rows = there.given, []
    if given["cost"]:
        raise UsageError("--cost does not work on a device without Python", hint="bench measures there")
    for artifact in there.artifacts():
        with there.release.start(artifact, given["threads"]) as talk:
            pipeline = there.release.pipeline(artifact, there.release.opened(talk).session)
            scored = score_all(pipeline, Path(given["data"]), given["metric"])
        rows += Evaluation(artifact, scored, artifact.size_bytes).rows(given["threads"])
    return Answer({"rows": rows}, {})


def _bench(there: _There) -> Answer:
    plan: Plan = there.given["plan"]
    if plan.batch != 1 or plan.sustained_s or plan.roofline:
        raise UsageError("a runner measures single rows, without --batch, --sustained and --roofline")
    longest = there.release.bundle.manifest.settings.max_length
    if any(not 1 <= n <= longest for n in plan.tokens):
        raise UsageError(f"lengths {plan.tokens} were asked, the model takes 1 to {longest} tokens")
    began, rows, problems = now(), [], []
    for artifact in there.artifacts():
        for threads in plan.threads:
            found, lost = _rows(there, artifact, threads, plan)
            rows += found
            problems += lost
    if not rows:
        raise DeviceError(problems[-1] if problems else "nothing was measured")
    run = Run(
        device="a device without Python",
        machine=_machine(there.device.machine()),
        source=there.release.bundle.manifest.source.sha256,
        began=began,
        rows=tuple(rows),
        problems=tuple(problems),
    )
    return Answer({"rows": []}, {"out": manifest.encode(run)})


def _rows(there: _There, artifact: Artifact, threads: int, plan: Plan) -> tuple[list[Row], list[str]]:
    records, problems = [], []
    for turn in range(plan.processes):
        try:
            records.append(_process(there, artifact, threads, plan))
        except EdgewrightError as error:
            problems.append(f"{artifact.key}, process {turn + 1}: {error}")
    facts = {
        "artifact": artifact,
        "bundle": there.folder,
        "task": there.release.bundle.manifest.task,
        "engine": ENGINE,
        "version": "by edgewright-run",
        "threads": threads,
    }
    apart = {"read_ms": 0.0, "tokenizer_ms": 0.0, "open_ms": median(sorted(record["load_ms"] for record in records))}
    memory = {"peak_rss_mib": max(record["peak_rss_mib"] for record in records), "apart": apart} if records else {}
    found = [row_of(facts, plan, records, at, memory) for at in range(len(records[0]["series"]))] if records else []
    return [msgspec.structs.replace(row, reasons=(*row.reasons, _NO_TOKENIZATION)) for row in found], problems


def _process(there: _There, artifact: Artifact, threads: int, plan: Plan) -> dict[str, Any]:
    """One fresh runner's record, as `edgewright.runtimes._worker` makes it, but for what only a Python does."""
    worker = importlib.import_module("edgewright.runtimes._worker")
    with there.release.start(artifact, threads) as talk:
        opened = there.release.opened(talk)
        pipeline = there.release.pipeline(artifact, opened.session)
        asked = {"texts": plan.texts, "tokens": plan.tokens, "batch": 1}
        series = list(worker.series(pipeline, asked))
        opened.session.run(series[0][1][0])
        startup = {"import_ms": 0.0, "modules": 0, "load_ms": opened.load_ms, "first_ms": opened.first_ms}
        found = [_timed(there.device.machine(), opened, threads, plan, lengths, feeds) for lengths, feeds, _ in series]
    return {**startup, "series": found, "peak_rss_mib": max(one["peak_rss_mib"] for one in found)}


def _timed(
    place: Any, opened: Any, threads: int, plan: Plan, lengths: list[int], feeds: Sequence[Any]
) -> dict[str, Any]:
    """One series, and what the device did meanwhile."""
    moments, runner = (importlib.import_module(f"edgewright.runtimes.{name}") for name in ("_moment", "_runner"))
    times = (plan.runs, plan.warmup_runs, int(plan.warmup_ms), int(plan.least_ms), max(_MOST_RUNS, plan.runs))
    before, begin, busy = moments.moment(place), time.monotonic(), moments.busy_s(place)
    measured = opened.bench(feeds, runner.Runs(*times))
    # The runner's own share is not told apart from the others': its threads are taken to have worked throughout
    others = (moments.busy_s(place) - busy) / (time.monotonic() - begin) - threads
    return {
        "tokens": median_low(lengths),
        "lengths": lengths,
        "samples_ms": measured.samples_ms,
        "energy_mj": None,
        "sustained_ms": [],
        "others": max(0.0, others) / place.cores(),
        "before": before,
        "after": moments.moment(place),
        "parts": None,
        "peak_rss_mib": measured.peak_rss_mib,
    }


def _machine(place: Any) -> Machine:
    from edgewright._version import __version__

    return Machine(edgewright=__version__, python="none", **place.described())
