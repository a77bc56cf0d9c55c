"""Verification of a bundle: every hash, and every golden case in every installed engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from edgewright.bundle.bundle import Bundle
from edgewright.errors import MissingExtra
from edgewright.inference.choice import preferred
from edgewright.inference.engines import engine_for, remember
from edgewright.inference.golden import encoded, judged, prompts, recorded, written
from edgewright.inference.run_batches import RUN, RunRequest
from edgewright.model.decoding import WRITE, WriteRequest
from edgewright.model.translating import TRANSLATED_AGAIN, AgainRequest
from edgewright.proof.translating import manner_of
from edgewright.system import arrays
from edgewright.system.child import call
from edgewright.system.files import scratch
from edgewright.system.jobs import Jobs
from edgewright.system.progress import silent
from edgewright.system.shown import Results, brief

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgewright.bundle.manifest import Artifact
    from edgewright.contracts.engine import Runtime
    from edgewright.model.decoding import WriteAnswer
    from edgewright.tasks import Task
    from edgewright.text.encoding import Encoding

__all__ = ["Replay", "verify"]


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

    def __repr__(self) -> str:
        done = f"{self.cases} golden cases agree in {self.engine}" if self.engine else f"not replayed: {self.skipped}"
        return brief(self, self.artifact.key, done)

    def cells(self) -> dict[str, Any]:
        """The columns of a table."""
        return {**self.artifact.cells(), "engine": self.engine or None, "golden": self.record()["golden"]}

    def record(self) -> dict[str, Any]:
        """The row of a table."""
        done, artifact = self.engine, self.artifact
        return {
            "format": artifact.format,
            "precision": artifact.precision,
            "size_bytes": artifact.total_bytes,
            "engine": done or None,
            "golden": f"{self.cases} of {self.cases}" if done else f"not replayed: {self.skipped}",
            "max_abs": self.max_abs if done else None,
        }


def verify(
    bundle: Bundle | str | Path, *, quick: bool = False, progress: Callable[[str], None] = silent
) -> Results[Replay]:
    """Check every hash of a bundle, then replay its golden cases, each artifact in a child process.

    Args:
        bundle: a bundle or its directory.
        quick: only the artifact that `load` opens, and only the first golden case.
        progress: called with a short phrase at each stage.

    Raises:
        BundleError: a file differs from the manifest, or the tokenizer gives other token ids.
        GateFailed: an artifact gives other outputs than the recorded ones.
    """
    opened = Bundle.of(bundle)
    progress("hashes")
    artifacts = (preferred(opened),) if quick else opened.manifest.artifacts
    if quick:
        opened.checking([*opened.parts(artifacts[0]), *opened.text_files()])()
    else:
        opened.check_hashes()
    if opened.task().generates:
        ids = prompts(opened, quick=quick)
        replay = _replay_translator if opened.task().reads_source else _replay_decoder
        return Results(_replay_writer(opened, artifact, ids, replay, progress) for artifact in artifacts)
    task, encodings = encoded(opened, quick=quick)
    with scratch() as work:
        jobs = Jobs(work, progress=progress)
        arrays.save(jobs.scratch / "feeds.npz", [batch for encoding in encodings for batch in encoding.batches])
        return Results(_replay(opened, artifact, task, encodings, jobs) for artifact in artifacts)


def _replay_writer(
    bundle: Bundle, artifact: Artifact, ids: list[tuple[int, ...]], replay: Any, progress: Callable[[str], None]
) -> Replay:
    try:
        engine = engine_for(artifact.format)
    except MissingExtra as error:
        return Replay(artifact, "", 0, 0.0, skipped=str(error))
    answer: WriteAnswer = replay(bundle, artifact, engine, ids, recorded(bundle, artifact, len(ids)), progress)
    remember(artifact, engine)
    return Replay(artifact, engine.engine, len(ids), written(bundle, artifact, answer.samples, answer.tokens))


def _replay_decoder(
    bundle: Bundle, artifact: Artifact, engine: Runtime, ids: list[tuple[int, ...]], counts: list[int], progress: Any
) -> WriteAnswer:
    request = WriteRequest(
        name=artifact.key,
        engine=engine.engine,
        artifact=(bundle.directory / artifact.path).absolute(),
        context=bundle.manifest.settings.max_length,
        prompts=tuple(ids),
        counts=tuple(counts),
    )
    return call(WRITE, request, preload=engine.preload, progress=progress)


def _replay_translator(
    bundle: Bundle, artifact: Artifact, engine: Runtime, ids: list[tuple[int, ...]], counts: list[int], progress: Any
) -> WriteAnswer:
    """As many tokens of each as were recorded: what forces an end at the last one was not at work there."""
    context = bundle.manifest.settings.max_length
    request = AgainRequest(
        name=artifact.key,
        engine=engine.engine,
        artifact=(bundle.directory / artifact.path).absolute(),
        context=context,
        sources=tuple(ids),
        manner=manner_of(bundle.directory, context),
    )
    answer = call(TRANSLATED_AGAIN, request, preload=engine.preload, progress=progress)
    return replace(answer, tokens=tuple(tokens[:count] for tokens, count in zip(answer.tokens, counts, strict=True)))


def _replay(bundle: Bundle, artifact: Artifact, task: Task, encodings: list[Encoding], jobs: Jobs) -> Replay:
    try:
        engine = engine_for(artifact.format)
    except MissingExtra as error:
        return Replay(artifact, "", 0, 0.0, skipped=str(error))
    out = jobs.scratch / "outputs.npz"
    request = RunRequest(
        name=artifact.key,
        engine=engine.engine,
        artifact=bundle.directory / artifact.path,
        feeds=jobs.scratch / "feeds.npz",
        out=out,
        outputs=task.outputs,
        per_token=task.per_token,
    )
    jobs.run(RUN, request, preload=engine.preload)
    remember(artifact, engine)
    worst = judged(bundle, artifact, task, encodings, arrays.load(out))
    return Replay(artifact, engine.engine, len(encodings), worst)
