"""Verification of a bundle: every hash, and every golden case in every installed engine."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgewright import arrays, gates, registry
from edgewright.bundle import Bundle
from edgewright.engines import engine_for
from edgewright.errors import BundleError, GateFailed, MissingExtra, quoted
from edgewright.jobs import Jobs
from edgewright.pipeline import preferred
from edgewright.tokenizer import regroup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from edgewright.manifest import Artifact, GoldenCase
    from edgewright.pipeline import Pipeline
    from edgewright.tasks import Task
    from edgewright.tokenizer import Encoding

__all__ = ["Replay", "encoded", "judged", "prove", "verify"]

_FLOOR = 1e-3


@dataclass(frozen=True)
class Replay:
    """What came of one artifact: how many golden cases agreed in which engine, or why none was run.

    Attributes:
        max_abs: the largest absolute difference from the recorded outputs.
    """

    artifact: Artifact
    engine: str
    cases: int
    max_abs: float
    skipped: str = ""

    def record(self) -> dict[str, Any]:
        """The row of a table."""
        done, artifact = self.engine, self.artifact
        return {
            "format": artifact.format,
            "precision": artifact.precision,
            "size_bytes": artifact.size_bytes,
            "engine": done or None,
            "golden": f"{self.cases} of {self.cases}" if done else f"not replayed: {self.skipped}",
            "max_abs": self.max_abs if done else None,
        }


def verify(
    bundle: Bundle | str | Path, *, quick: bool = False, progress: Callable[[str], None] = lambda _: None
) -> list[Replay]:
    """Check every hash of a bundle, then replay its golden cases, each artifact in a child process.

    Args:
        bundle: a bundle or its directory.
        quick: only the artifact that `load` opens, and only the first golden case.
        progress: called with a short phrase at each stage.

    Raises:
        BundleError: a file differs from the manifest, or the tokenizer gives other token ids.
        GateFailed: an artifact gives other outputs than the recorded ones.
    """
    opened = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
    progress("hashes")
    artifacts = (preferred(opened),) if quick else opened.manifest.artifacts
    if quick:
        opened.checking([*opened.parts(artifacts[0]), *opened.tokenizer_files()])()
    else:
        opened.check_hashes()
    task, encodings = encoded(opened, quick=quick)
    with tempfile.TemporaryDirectory(prefix="edgewright-") as scratch:
        jobs = Jobs(Path(scratch), progress=progress)
        arrays.save(jobs.scratch / "feeds.npz", [batch for encoding in encodings for batch in encoding.batches])
        return [_replay(opened, artifact, task, encodings, jobs) for artifact in artifacts]


def encoded(bundle: Bundle, *, quick: bool = False) -> tuple[Task, list[Encoding]]:
    """The bundle's task, and its golden cases as its tokenizer encodes them, or the first. Raises BundleError."""
    task: Task = registry.load("tasks", bundle.manifest.task)(bundle.manifest.settings)
    tokenizer, cases = bundle.tokenizer(), bundle.golden().cases[: 1 if quick else None]
    encodings = [task.encode(tokenizer, [case.text]) for case in cases]
    for case, encoding in zip(cases, encodings, strict=True):
        _check_ids(case, encoding)
    return task, encodings


def _check_ids(case: GoldenCase, encoding: Encoding) -> None:
    found = encoding.feeds["input_ids"].ravel().tolist()
    if found != list(case.input_ids):
        at = next((i for i, (a, b) in enumerate(zip(found, case.input_ids, strict=False)) if a != b), len(found))
        what = f"golden case {quoted(str(case.text))} has {len(found)} token ids, recorded {len(case.input_ids)}"
        raise BundleError(
            f"{what}, first difference at {at}", hint="is this tokenizers version the one of the manifest?"
        )


def _replay(bundle: Bundle, artifact: Artifact, task: Task, encodings: list[Encoding], jobs: Jobs) -> Replay:
    try:
        engine = engine_for(artifact.format)
    except MissingExtra as error:
        return Replay(artifact, "", 0, 0.0, skipped=str(error))
    out = jobs.scratch / "outputs.npz"
    jobs.run(
        "edgewright.gates:run_engine",
        name=artifact.key,
        engine=engine.engine,
        artifact=str(bundle.directory / artifact.path),
        feeds=str(jobs.scratch / "feeds.npz"),
        out=str(out),
    )
    worst = judged(bundle, artifact, task, encodings, arrays.load(out))
    return Replay(artifact, engine.engine, len(encodings), worst)


def judged(
    bundle: Bundle, artifact: Artifact, task: Task, encodings: list[Encoding], outputs: Iterable[dict[str, Any]]
) -> float:
    """The largest absolute difference of an artifact's outputs, for all batches of `encodings`, from the recorded ones.

    Raises:
        GateFailed: they are other outputs than the recorded ones.
    """
    cases = bundle.golden().cases[: len(encodings)]
    found = [gates.sample(task.reduce(o, e)[0]) for o, e in zip(regroup(encodings, outputs), encodings, strict=True)]
    return _worst(artifact, cases, found)


def prove(bundle: Bundle, pipeline: Pipeline, *, most: int | None = None) -> int:
    """Replay golden cases through a pipeline that is open in this process, `most` of them or all; how many agreed.

    Raises:
        BundleError: the tokenizer gives other token ids than the recorded ones.
        GateFailed: the engine gives other outputs.
    """
    task, artifact, cases, found = pipeline.task, pipeline.artifact, bundle.golden().cases[:most], []
    for case in cases:
        encoding = task.encode(pipeline.tokenizer, [case.text])
        _check_ids(case, encoding)
        found.append(gates.sample(task.reduce(encoding.run(pipeline.session.run), encoding)[0]))
    if artifact is not None:
        _worst(artifact, cases, found)
    return len(cases)


def _worst(artifact: Artifact, cases: Sequence[GoldenCase], found: list[Any]) -> float:
    """The largest difference from the recorded outputs. Raises GateFailed where a case differs by too much."""
    wanted = [_recorded(case, artifact, got) for case, got in zip(cases, found, strict=True)]
    allowed = _allowed_rms(artifact, wanted)
    for case, want, got in zip(cases, wanted, found, strict=True):
        _check_outputs(f"{artifact.key}, golden case {quoted(str(case.text))}", want, got, allowed)
    return max((float(np.abs(w - f).max()) for w, f in zip(wanted, found, strict=True)), default=0.0)


def _recorded(case: GoldenCase, artifact: Artifact, got: Any) -> Any:
    want = np.array(case.outputs.get(artifact.path, ()), dtype=np.float64)
    if want.shape != got.shape:
        raise BundleError(
            f"golden case {quoted(str(case.text))} has {want.size} outputs of {artifact.path}, not {got.size}"
        )
    return want


def _allowed_rms(artifact: Artifact, wanted: list[Any]) -> float:
    """How far two engines that are both right may be from each other: twice what either is from the eager model.

    Another engine version or instruction set rounds quantized activations elsewhere, so that at int8 their outputs
    agree no better than that; a wrong kernel differs by far more.
    """
    signal = float(np.sqrt(np.mean(np.square(np.concatenate(wanted))))) if wanted else 0.0
    return max(_FLOOR, 2 * 10 ** (-artifact.parity.sqnr_db / 20)) * signal


def _check_outputs(what: str, want: Any, got: Any, allowed: float) -> None:
    rms = float(np.sqrt(np.mean(np.square(want - got))))
    if not rms <= allowed:
        hint = "this engine or CPU computes it wrong"
        raise GateFailed(f"{what}: outputs differ by {rms:.3g} (rms), at most {allowed:.3g} is allowed", hint=hint)
