"""The bisector: where an artifact departs from the eager model, by stage and by layer.

The model is converted once more with the outputs of its layers as outputs of the graph, at fp32 and at the failing
precision, and every layer is compared in the order in which it runs; then the modules within the layer that departs.

Stages: `eager` (the source itself gives no finite numbers), `export` (its `torch.export` program differs), `optimise`
(the fp32 artifact differs), `quantize` (only the lower precision differs), `engine` (the artifact is right where the
engine's own optimisations are off).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path  # noqa: TC003 - msgspec reads annotations
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct

from edgewright.errors import from_record
from edgewright.inference.engines import engine_for
from edgewright.inference.run_batches import RUN, RunRequest
from edgewright.model.conversion import Conversion, Wanted
from edgewright.statistics.signal import NO_ERROR_DB, sqnr_db
from edgewright.system import arrays
from edgewright.system.child import Child
from edgewright.system.limits import allowed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgewright.contracts.converter import Converter
    from edgewright.contracts.precision import Precision
    from edgewright.model.source import Source
    from edgewright.proof.reference import Proof
    from edgewright.system.jobs import Jobs

    Batch = dict[str, NDArray[Any]]

__all__ = ["PREPARE", "Finding", "PrepareAnswer", "PrepareRequest", "locate"]

_SAME_DB = 60.0
"""fp32 arithmetic in another order stays above it."""
_GOOD_DB = 40.0
"""No quantized layer is blamed for what is lost above it."""
_MOST_TEXTS = 6
"""A choice: each keeps the outputs of all layers, and a broken layer shows on any text."""
_OUTPUT = "the output"


class PrepareRequest(Conversion, frozen=True, kw_only=True):
    """Convert a model with the outputs of the modules inside `below` (of its layers, where that is empty) as its own.

    Attributes:
        feeds: the file of the batches to run it on.
        eager: the file for what the eager model gives on them.
        export: the file for what its `torch.export` program gives, if there is one.
    """

    below: str
    feeds: Path
    eager: Path
    export: Path


class PrepareAnswer(Struct, frozen=True):
    """The names of the taps, and for each artifact None or the record of the error."""

    taps: tuple[str, ...]
    errors: tuple[dict[str, str] | None, ...]


PREPARE = Child("edgewright.converters._model.taps:prepare", PrepareRequest, PrepareAnswer)


@dataclass(frozen=True)
class Finding:
    """Where an artifact departs: the stage, the first layer, its SQNR, and that of the layer that ran before it.

    `layer` is "the output" where no layer inside departs or none has a name, and empty where nothing departs.
    """

    stage: str
    layer: str
    sqnr_db: float
    before_db: float

    def __str__(self) -> str:
        numbers = f"SQNR {self.sqnr_db:.1f} dB, {self.before_db:.1f} dB before it"
        return f"it departs in stage {self.stage}, first at {self.layer or 'no layer'}: {numbers}"


def locate(
    source: Source, jobs: Jobs, proof: Proof, converter: type[Converter], precision: Precision, rung: tuple[str, ...]
) -> Finding:
    """Find the stage and the layer where the artifact of `converter` at `precision` departs from the eager model.

    Raises:
        EdgewrightError: the model with its layers as outputs does not convert or run.
    """
    look = _Look(source, jobs, proof, converter, precision, rung)
    found = look.below("")
    if found.layer in ("", _OUTPUT):
        return found
    inner = look.below(found.layer, found.stage, found.before_db)
    return inner if inner.layer not in ("", _OUTPUT) else found


@dataclass
class _Look:
    source: Source
    jobs: Jobs
    proof: Proof
    converter: type[Converter]
    precision: Precision
    rung: tuple[str, ...]

    def below(self, layer: str, stage: str = "", before_db: float = NO_ERROR_DB) -> Finding:
        """The first departure among the modules inside `layer`, in `stage`, or else in whichever is the first."""
        taps = self._prepare(layer)
        eager = arrays.load(self._path("eager"))
        if not all(np.isfinite(array).all() for batch in eager for array in batch.values()):
            return Finding("eager", *_first_not_finite(taps, eager))
        found = Finding("quantize", "", 0.0, 0.0)
        for name, lossy in (("export", False), ("optimise", False), ("quantize", True)):
            if (
                stage not in ("", name, "engine")
                or (lossy and self.precision == "fp32")
                or not self._path(name).exists()
            ):
                continue
            noise = _noise(eager, self._outputs(name))
            found = _departure(name, taps, noise, before_db, lossy=lossy)
            if found.layer and (lossy or found.sqnr_db < _SAME_DB):
                return self._engine_or(found, taps, eager)
        return found

    def _engine_or(self, found: Finding, taps: list[str], eager: list[Batch]) -> Finding:
        """The finding, put down to the engine where the same artifact is right without its optimisations."""
        runtime = engine_for(self.converter.format)
        if found.stage == "export" or not runtime.has_plain:
            return found
        noise = _noise(eager, self._outputs(found.stage, plain=True))
        better = noise[taps.index(found.layer)] > found.sqnr_db + 10
        return replace(found, stage="engine") if better else found

    def _path(self, name: str) -> Path:
        return self.jobs.scratch / f"bisect-{name}"

    def _prepare(self, layer: str) -> list[str]:
        """Convert the tapped model at fp32 and at the precision in question; the names of its taps."""
        gate = [c.encoding.feeds for c in self.proof.cases if len(c.items) == 1 and c.encoding.lengths[0] <= 128]
        arrays.save(self._path("feeds"), gate[:_MOST_TEXTS])
        arrays.save(self._path("texts"), [self.proof.example, *self.proof.calibration])
        precisions: dict[str, Precision] = {"optimise": "fp32"}
        if self.precision != "fp32":
            precisions["quantize"] = self.precision
        request = PrepareRequest(
            source=self.source.job(),
            format=self.converter.format,
            below=layer,
            threads=allowed().threads,
            texts=self._path("texts"),
            feeds=self._path("feeds"),
            eager=self._path("eager"),
            export=self._path("export"),
            artifacts=tuple(
                Wanted(p, self._path(name), self.rung if p != "fp32" else ()) for name, p in precisions.items()
            ),
        )
        made = self.jobs.run(PREPARE, request, preload=request.source.preload)
        for error in made.errors:
            if error:
                raise from_record(error)
        return [*made.taps, _OUTPUT]

    def _outputs(self, stage: str, *, plain: bool = False) -> list[Batch]:
        if stage == "export":
            return arrays.load(self._path("export"))
        engine = engine_for(self.converter.format)
        request = RunRequest(
            name=f"bisector, {stage}",
            engine=engine.engine,
            artifact=self._path(stage),
            feeds=self._path("feeds"),
            out=self._path("outputs"),
            plain=plain,
        )
        self.jobs.run(RUN, request, preload=engine.preload)
        return arrays.load(self._path("outputs"))


def _noise(eager: Sequence[Batch], ours: Sequence[Batch]) -> list[float]:
    """The SQNR of each tap over all texts, in dB, then that of the model's first output."""
    names = sorted(eager[0], key=lambda name: not name.startswith("tap_"))
    names = names[: 1 + sum(name.startswith("tap_") for name in names)]
    return [_sqnr([batch[name] for batch in eager], [batch[name] for batch in ours]) for name in names]


def _sqnr(want: Sequence[NDArray[Any]], got: Sequence[NDArray[Any]]) -> float:
    reference, found = (np.concatenate([a.ravel() for a in side]).astype(np.float64) for side in (want, got))
    if found.shape != reference.shape or not np.isfinite(found).all():
        return -NO_ERROR_DB
    return sqnr_db(reference, np.abs(reference - found))


def _departure(stage: str, taps: list[str], noise: list[float], before_db: float, *, lossy: bool) -> Finding:
    """The first tap that is not the same, or with a lossy stage the one at which most is lost."""
    before = [before_db, *noise][: len(noise)]
    lost = [min(b, _GOOD_DB) - now if lossy else float(now < _SAME_DB) for b, now in zip(before, noise, strict=True)]
    at = int(np.argmax(lost)) if lost else -1
    return Finding(stage, taps[at], noise[at], before[at]) if lost and lost[at] > 0 else Finding(stage, "", 0.0, 0.0)


def _first_not_finite(taps: list[str], eager: Sequence[Batch]) -> tuple[str, float, float]:
    for at, tap in enumerate(taps):
        if not all(np.isfinite(batch[f"tap_{at}"]).all() for batch in eager):
            return tap, -NO_ERROR_DB, NO_ERROR_DB if at == 0 else _GOOD_DB
    return "", -NO_ERROR_DB, NO_ERROR_DB
