"""Two models held against each other, each a source or a bundle: answers, weights, bytes, score, latency.

What a step of compression changed is the difference of the directory before it and the one after it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from edgewright.bundle.bundle import Bundle
from edgewright.data import rows as data
from edgewright.measure.bench import measured, targets_of
from edgewright.measure.plan import Plan
from edgewright.proof import cases
from edgewright.proof.score import Cost
from edgewright.proof.subjects import TIMED, ask, check_alike, encoded, open_model
from edgewright.statistics import latency, metrics
from edgewright.system.progress import silent
from edgewright.system.shown import brief

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from edgewright.measure.plan import Target
    from edgewright.proof.subjects import Model, Side
    from edgewright.statistics.latency import Ratio
    from edgewright.text.encoding import Encoding

    Progress = Callable[[str], None]

__all__ = ["Difference", "Outputs", "compare"]

_TOLD = ("name", "start", "end", "text", "token")


class Outputs(msgspec.Struct, frozen=True):
    """How far the second model's outputs are from the first one's, over all numbers that its answers rest on.

    Attributes:
        texts: how many were asked.
        rms: root mean square of the first model's outputs, the unit in which the others are seen.
        max_abs: the largest difference; None, as the next one, where the shapes differ.
        rms_error: root mean square of the differences.
        agreement: the share of texts with the same answer; None where answers are numbers.
    """

    texts: int
    rms: float
    max_abs: float | None
    rms_error: float | None
    agreement: float | None


@dataclass(frozen=True)
class Difference:
    """Two sides, what lies between their outputs, and the points of score that the second one gained.

    Attributes:
        points: value and ends of the 95 % interval, over the same resamplings of the rows for both; None without data.
        ratio: of the latencies, second over first, where both were measured in turn in processes of their own.
    """

    first: Side
    second: Side
    outputs: Outputs
    points: tuple[float, float, float] | None
    ratio: Ratio | None

    def __repr__(self) -> str:
        alike = "" if self.outputs.agreement is None else f"{self.outputs.agreement:.1%} the same answer"
        gained = f"{self.points[0]:+.2f} points" if self.points else ""
        took = f"{self.ratio.value:.3g} times the time" if self.ratio else ""
        return brief(self, f"{self.first.kind} and {self.second.kind}", alike, gained, took)


def compare(
    first: Bundle | str | Path,
    second: Bundle | str | Path,
    labelled: str | Path | None = None,
    *,
    metric: str = "",
    task: str | None = None,
    format: str | None = None,  # noqa: A002
    precision: str | None = None,
    threads: int = 1,
    progress: Progress = silent,
) -> Difference:
    """Compare two models.

    Args:
        first: a source directory, or a bundle.
        second: another one, of the same task and labels.
        labelled: rows to score both on, whose first 200 are compared one by one; else the gate's texts are.
        metric: of the task; by default its own.
        task: the task of a source; by default the one of its architecture.
        format: of a bundle's artifact; by default the one that `edgewright.load` takes.
        precision: of it.
        threads: of the engine or of torch.
        progress: called with a short phrase at each stage.

    Raises:
        UsageError: the models answer different tasks, or have different labels.
        SourceError, BundleError, DataError: a model or the data is bad.
    """
    places = [side.directory if isinstance(side, Bundle) else Path(side) for side in (first, second)]
    models = [open_model(place, task, format, precision) for place in places]
    check_alike(*models)
    rows = Path(labelled) if labelled else None
    asked = [encoded(model, rows) for model in models]
    found, sides = [], []
    for model, encodings in zip(models, asked, strict=True):
        outputs, side = ask(model, encodings, rows, metric, threads, progress)
        found.append(outputs)
        sides.append(side)
    (one, other), ratio = _timed(models, sides, rows, threads, progress)
    return Difference(one, other, _outputs(models, asked, found), _points(one, other), ratio)


def _timed(
    models: Sequence[Model], sides: Sequence[Side], rows: Path | None, threads: int, progress: Progress
) -> tuple[list[Side], Ratio | None]:
    """The sides that are artifacts with their latency and memory as `edgewright bench` measures them.

    Two are run process by process in turn, so that a drift of the machine meets both alike.
    """
    built = [at for at, model in enumerate(models) if model.bundle]
    if not built:
        return list(sides), None
    plans = [_plan(models[at], rows, threads, processes=5 if len(built) > 1 else 2) for at in built]
    targets = [_target(models[at], plan) for at, plan in zip(built, plans, strict=True)]
    found = measured(targets, plans[0], progress).rows
    timed = list(sides)
    for at, (row, *_) in zip(built, found, strict=True):
        cost = Cost(row.latency_ms.median, row.peak_rss_mib, f"{row.engine} {row.version}", row.grade)
        timed[at] = msgspec.structs.replace(sides[at], cost=cost)
    return timed, latency.compare(*(one[0].samples_ms for one in reversed(found))) if len(built) > 1 else None


def _plan(model: Model, rows: Path | None, threads: int, *, processes: int) -> Plan:
    if rows:
        items = model.task.items(data.examples(rows, model.task))
    else:
        items = [item for case in cases.cases(model.task, model.tokenizer) for item in case.items]
    texts = tuple(items[:TIMED])
    return Plan(tokens=(), texts=texts, data="texts", threads=(threads,), processes=processes, least_ms=100.0)


def _target(model: Model, plan: Plan) -> Target:
    bundle: Any = model.bundle
    artifact: Any = model.artifact
    (target,) = targets_of(bundle, plan, artifact.format, artifact.precision)
    return target


def _outputs(
    models: Sequence[Model], asked: Sequence[Sequence[Encoding]], found: Sequence[Sequence[dict[str, NDArray[Any]]]]
) -> Outputs:
    numbers, answers = [], []
    for model, encodings, outputs in zip(models, asked, found, strict=True):
        pairs = list(zip(outputs, encodings, strict=True))
        numbers.append([array for o, e in pairs for array in model.task.reduce(o, e)])
        answers.append([_told(answer) for o, e in pairs for answer in map(model.task.record, model.task.decode(o, e))])
    first, second = numbers
    flat = np.concatenate([array.ravel() for array in first]).astype(np.float64)
    worst = error = agreement = None
    if [array.shape for array in first] == [array.shape for array in second]:
        far = np.concatenate([array.ravel() for array in second]) - flat
        worst, error = float(np.abs(far).max()), float(np.sqrt(np.mean(far**2)))
    if models[0].task.metric not in ("pearson", "spearman"):
        agreement = float(np.mean([one == other for one, other in zip(*answers, strict=True)]))
    return Outputs(len(asked[0]), float(np.sqrt(np.mean(flat**2))), worst, error, agreement)


def _told(record: Any) -> Any:
    """What an answer says, without how sure it is; of several fillings for a mask the best one."""
    if isinstance(record, dict):
        return {key: record[key] for key in _TOLD if key in record}
    if isinstance(record, list):
        return [_told(part[0] if isinstance(part, list) and part else part) for part in record]
    return record


def _points(first: Side, second: Side) -> tuple[float, float, float] | None:
    if first.scored is None or second.scored is None:
        return None
    far = np.array(second.scored.draws) - np.array(first.scored.draws)
    return second.scored.score.value - first.scored.score.value, *metrics.interval(far)
