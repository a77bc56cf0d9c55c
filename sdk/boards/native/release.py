"""A bundle whose inferences are run on a device without Python, by a runner; the rest of an answer is done here.

Texts become token ids here and outputs become answers here, by the bundle's own tokenizer and task; what lies between
is the runner's, and so is the clock that measures it.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgewright.errors import BundleError
from edgewright.inference.decoding import generator_over, room_of
from edgewright.inference.golden import encoded, judged, prompts, recorded, written
from edgewright.inference.pipeline import Pipeline
from edgewright.proof.decoding_artifact import written_by
from edgewright.proof.verify import Replay

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from edgewright.bundle.bundle import Bundle
    from edgewright.bundle.manifest import Artifact
    from edgewright.contracts.decoder import Decoder
    from edgewright.generation.generator import Generator

    Start = Callable[[Artifact, int], AbstractContextManager[Any]]

__all__ = ["ENGINE", "FORMATS", "NativeBundle"]

ENGINE, FORMATS = "litert", ("tflite",)
"""What a runner has: LiteRT by its C interface."""


@dataclass(frozen=True)
class NativeBundle:
    """A bundle on a device.

    Attributes:
        bundle: its files but for the artifacts, which need not be here.
        start: starts a runner for an artifact and a number of threads; what is given ends it.
    """

    bundle: Bundle
    start: Start

    def artifacts(self, format: str | None = None, precision: str | None = None) -> list[Artifact]:  # noqa: A002
        """The artifacts that a runner opens, smallest first. Raises BundleError where there is none."""
        if self.bundle.task().reads_source:
            raise BundleError("a device without Python does not translate", hint="take one with a Python, see --python")
        fits = [a for a in self.bundle.artifacts(format, precision) if a.format in FORMATS]
        if not fits:
            has = ", ".join(a.key for a in self.bundle.manifest.artifacts)
            hint = f"the bundle has {has}; build it with --format tflite"
            raise BundleError("a device without Python runs tflite alone", hint=hint)
        return sorted(fits, key=lambda a: (a.parity.diverged is not None, a.total_bytes))

    def opened(self, talk: Any) -> Any:
        """What a runner that was started has opened: `edgewright.runtimes._native.Opened`."""
        return importlib.import_module("edgewright.runtimes._native").Opened(talk)

    def pipeline(self, artifact: Artifact, session: Any) -> Pipeline:
        """What answers with such a session."""
        task = self.bundle.task()
        return Pipeline(artifact, task, self.bundle.tokenizer(), session)

    def decoder(self, talk: Any, context: int | None = None) -> Decoder:
        """What decodes with a runner that has opened a decoder, at most `context` tokens.

        Raises:
            UsageError: no such number of tokens can be.
            EngineError: it has opened something else.
        """
        decoder: Decoder = self.opened(talk).decoder(room_of(self.bundle, context))
        return decoder

    def generator(self, artifact: Artifact, talk: Any, *, threads: int, context: int | None = None) -> Generator:
        """What writes with such a decoder: words become tokens here, and tokens are chosen here."""
        decoder = self.decoder(talk, context)
        return generator_over(self.bundle, artifact, self.bundle.tokenizer(), decoder, engine=ENGINE, threads=threads)

    def verify(self, *, quick: bool = False) -> list[Replay]:
        """As `edgewright.proof.verify.verify` does, of a bundle whose hashes are known to be right.

        Raises:
            GateFailed: an artifact gives other outputs there than the recorded ones.
            BundleError: the tokenizer gives other token ids, or no artifact is one for a runner.
        """
        replay = self._replayer(quick=quick)
        fits, found = self.artifacts(), []
        for artifact in fits[:1] if quick else self.bundle.manifest.artifacts:
            if artifact not in fits:
                found.append(Replay(artifact, "", 0, 0.0, skipped=f"a runner opens {', '.join(FORMATS)} alone"))
                continue
            with self.start(artifact, 1) as talk:
                found.append(Replay(artifact, ENGINE, *replay(artifact, talk)))
        return found

    def _replayer(self, *, quick: bool) -> Callable[[Artifact, Any], tuple[int, float]]:
        """What replays golden cases, or the first: how many agreed, and the largest difference of outputs."""
        if self.bundle.task().generates:
            ids = prompts(self.bundle, quick=quick)

            def writes(artifact: Artifact, talk: Any) -> tuple[int, float]:
                found = written_by(self.decoder(talk), ids, recorded(self.bundle, artifact, len(ids)))
                return len(ids), written(self.bundle, artifact, found.samples, found.tokens)

            return writes
        task, encodings = encoded(self.bundle, quick=quick)

        def answers(artifact: Artifact, talk: Any) -> tuple[int, float]:
            run = self.opened(talk).session.run
            outputs = [run(batch) for encoding in encodings for batch in encoding.batches]
            return len(encodings), judged(self.bundle, artifact, task, encodings, outputs)

        return answers
