"""The proof of a build: what every artifact is asked, what the eager model answers, and the verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from edgewright import registry
from edgewright.bundle.manifest import Golden, GoldenCase, Parity, Score
from edgewright.data import rows
from edgewright.errors import GateFailed
from edgewright.inference import golden
from edgewright.inference.engines import engine_for
from edgewright.inference.run_batches import RUN, RunRequest
from edgewright.model.eager import FEEDS, REFERENCE, ReferenceRequest, ask_in
from edgewright.proof import cases, limits, oracle
from edgewright.proof import parity as gates
from edgewright.proof.held import Held
from edgewright.statistics import signal
from edgewright.system import arrays
from edgewright.system.limits import allowed
from edgewright.text.encoding import regroup

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edgewright.bundle.manifest import Settings
    from edgewright.contracts.precision import Precision
    from edgewright.model.eager import ReferenceAnswer
    from edgewright.model.source import Source
    from edgewright.system.jobs import Jobs
    from edgewright.tasks import Example, Task

    Batch = dict[str, NDArray[Any]]

__all__ = ["Proof"]

_MOST_CALIBRATED = 128
"""A choice: ranges hardly widen after some dozens of texts, and each one costs a run in float."""


class Proof:
    """The gate texts and the labelled rows, encoded once, with the eager model's outputs on them.

    Args:
        source: the model.
        jobs: where the children run.
        labelled: a data file for the task metric, or None.
        calibration: a file of labelled rows or texts to measure ranges on; `labelled` by default, or the gate's texts.

    Attributes:
        feeds: the file of all batches: those of the gate cases, then those of each item of the labelled rows.
        calibration: at most `_MOST_CALIBRATED` texts, a batch each, evenly taken from what was given.
        settings: the source's, with what running the model showed.
        parameters: the number of the model's weights.
        outside: what the source's own library was asked, in words; None where it has none.

    Raises:
        GateFailed: the source's own library gives other token ids or answers than edgewright.
    """

    def __init__(
        self, source: Source, jobs: Jobs, *, labelled: Path | None = None, calibration: Path | None = None
    ) -> None:
        self.tokenizer = source.tokenizer()
        self.data_name = labelled.name if labelled else ""
        self.feeds = jobs.scratch / FEEDS
        self._jobs = jobs
        self._kept: dict[str, list[Batch]] = {}
        self._encode(source.task, source.settings, labelled)
        if self._run_eager(source, jobs).reads_padding:
            self._encode(source.task, replace(source.settings, reads_padding=True), labelled)
            if any(encoding.unpadded for encoding in self._encodings):
                self._run_eager(source, jobs)
        self.calibration = self._calibration(calibration)

    def _encode(self, task: str, settings: Settings, labelled: Path | None) -> None:
        """What the models are asked."""
        self.settings = settings
        self.task: Task = registry.load("tasks", task)(settings)
        self.examples: list[Example] = rows.examples(labelled, self.task) if labelled else []
        self.cases = cases.cases(self.task, self.tokenizer)
        self._items = self.task.items(self.examples)
        self.rows = [self.task.encode(self.tokenizer, [item]) for item in self._items]
        self._encodings = [*(case.encoding for case in self.cases), *self.rows]

    def _run_eager(self, source: Source, jobs: Jobs) -> ReferenceAnswer:
        batches = [batch for encoding in self._encodings for batch in encoding.batches]
        foreign = bool(source.exported or source.keras) or source.task not in oracle.TASKS
        asked, told = jobs.scratch / "asked.json", jobs.scratch / "told.json"
        asked.write_bytes(msgspec.json.encode(oracle.asked_of(self.cases, self.rows, self._items)))
        request = ReferenceRequest(
            source=source.job(), threads=allowed().threads, asked=None if foreign else asked, told=told
        )
        answer, outputs = ask_in(jobs, REFERENCE, request, batches)
        self.parameters = answer.parameters
        self.reference = self.regrouped(outputs)
        self.outside = None if foreign else oracle.hold(source, self.task, self._questions(), told)
        return answer

    def _questions(self) -> list[oracle.Question]:
        """What the source's own library was asked, in that order, with the eager model's outputs."""
        items = [list(case.items) if len(case.items) > 1 else case.items[0] for case in self.cases]
        items += self._items[: oracle.MOST_ROWS]
        return list(zip(items, self._encodings, self.reference, strict=False))

    def regrouped(self, outputs: Sequence[Batch]) -> list[Batch]:
        """The outputs of all batches in `feeds` -> one entry for each gate case, then for each labelled item."""
        return regroup(self._encodings, outputs)

    def _calibration(self, path: Path | None) -> list[Batch]:
        if path is None:
            encodings = self.rows or [case.encoding for case in self.cases if len(case.items) == 1]
        else:
            found = rows.examples(path, self.task) if rows.is_table(path) else None
            items = self.task.items(found) if found else [self.task.item(t, self.tokenizer) for t in rows.texts(path)]
            encodings = [self.task.encode(self.tokenizer, [item]) for item in _spread(items)]
        return _spread([batch for encoding in _spread(encodings) for batch in encoding.batches])

    @property
    def example(self) -> Batch:
        """The padded batch of the gate."""
        return next(case.encoding.feeds for case in self.cases if len(case.items) > 1)

    def held(self, name: str, precision: Precision, path: Path, *, allow_divergence: bool) -> Held:
        """Run an artifact in the engine of the format called `name`, and judge it. Raises what `judge` raises."""
        engine = engine_for(name)
        request = RunRequest(
            name=f"{name} {precision}",
            engine=engine.engine,
            artifact=path,
            feeds=self.feeds,
            out=self._jobs.scratch / "outputs.npz",
            outputs=self.task.outputs,
            per_token=self.task.per_token,
        )
        signature = self._jobs.run(RUN, request, preload=engine.preload)
        outputs = self.regrouped(arrays.load(request.out))
        parity, score = self.judge(outputs, precision, allow_divergence=allow_divergence)
        self._kept[f"{path.parent.name}/{path.name}"] = outputs[: len(self.cases)]
        return Held(signature.inputs, signature.outputs, parity, score)

    def judge(
        self, outputs: Sequence[Batch], precision: Precision, *, allow_divergence: bool
    ) -> tuple[Parity, Score | None]:
        """Hold an artifact's outputs against the eager model's.

        Raises:
            GateFailed: a limit of `precision` is broken; with `allow_divergence` the parity record says it instead.
        """
        limit, n = limits.LIMITS[precision], len(self.cases)
        parity = gates.measure(self.task, self.cases, self.reference[:n], outputs[:n], limit)
        score = self._score(outputs[n:])
        failed = gates.parity_failure(parity, signal.rms(self.reference[:n]), limit)
        failed = failed or (gates.score_failure(score, limit) if score else None)
        if failed and not allow_divergence:
            raise GateFailed(failed, hint="--allow-divergence keeps it and records the failure")
        return Parity(**{**_fields(parity), "diverged": failed}), score

    def _score(self, outputs: Sequence[Batch]) -> Score | None:
        if not self.examples:
            return None
        task = self.task.variant(self.task.metric)
        ours, eager = (
            task.metric_of(self._answers(task, found), self.examples)
            for found in (outputs, self.reference[len(self.cases) :])
        )
        return Score(
            metric=self.task.metric,
            value=ours,
            n=len(self.examples),
            data=self.data_name,
            reference=eager,
        )

    def _answers(self, task: Task, outputs: Sequence[Batch]) -> list[Any]:
        return [answer for o, e in zip(outputs, self.rows, strict=True) for answer in task.decode(o, e)]

    def golden(self) -> Golden:
        """One golden case per gate case of a single text, with the outputs of each artifact that was held."""
        first = {case.name: at for at, case in reversed(list(enumerate(self.cases))) if len(case.items) == 1}
        return Golden(cases=tuple(self._golden_case(at, self._kept) for at in sorted(first.values())))

    def _golden_case(self, at: int, outputs: Mapping[str, Sequence[Batch]]) -> GoldenCase:
        case = self.cases[at]
        (answer,) = self.task.decode(self.reference[at], case.encoding)
        return GoldenCase(
            text=case.items[0],
            input_ids=tuple(case.encoding.feeds["input_ids"].ravel().tolist()),
            outputs={path: _six_digits(self.task.reduce(o[at], case.encoding)[0]) for path, o in outputs.items()},
            answer=self.task.record(answer),
        )


def _spread(items: Sequence[Any]) -> list[Any]:
    """At most `_MOST_CALIBRATED` of the items, evenly spaced."""
    step = max(1, -(-len(items) // _MOST_CALIBRATED))
    return list(items[::step])


def _six_digits(values: NDArray[Any]) -> tuple[float, ...]:
    return tuple(float(f"{value:.6g}") for value in golden.sample(values))


def _fields(record: Any) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__struct_fields__}
