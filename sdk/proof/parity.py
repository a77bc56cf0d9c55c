"""Gates: what an artifact must show before it may enter a bundle.

Parity: on real texts its outputs stay near those of the eager fp32 model. Metric: on labelled data it loses at most so
many points. The limits depend on the precision alone and stand in `LIMITS`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgewright.bundle.manifest import Parity, Score
from edgewright.errors import GateFailed
from edgewright.statistics.signal import sqnr_db

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgewright.proof.cases import Case
    from edgewright.proof.limits import Limit
    from edgewright.tasks import Task

__all__ = ["measure", "parity_failure", "score_failure"]

# The error of an output that is NaN or infinite: JSON has neither.
_NO_NUMBER = float(np.finfo(np.float32).max)


def measure(
    task: Task,
    gate: Sequence[Case],
    reference: Sequence[dict[str, NDArray[Any]]],
    outputs: Sequence[dict[str, NDArray[Any]]],
    limit: Limit,
) -> Parity:
    """Compare the outputs of all cases, in order, with the eager model's."""
    for eager, ours in zip(reference, outputs, strict=True):
        _check_shapes(eager, ours)
    rows = [
        (case.name, *pair)
        for case, eager, ours in zip(gate, reference, outputs, strict=True)
        for pair in zip(*(_flat(task.rows(batch, case.encoding)) for batch in (eager, ours)), strict=True)
    ]
    want, got = (np.concatenate([row[at] for row in rows]).astype(np.float64) for at in (1, 2))
    cosine, worst = min((_cosine(rows, name), name) for name in {case.name for case in gate})
    error = np.abs(got - want) if np.isfinite(got).all() else np.full_like(want, _NO_NUMBER)
    return Parity(
        texts=len(rows),
        max_abs=_rounded(error.max()),
        mean_abs=_rounded(error.mean()),
        sqnr_db=_rounded(sqnr_db(want, error)),
        cosine=_rounded(cosine, 7),
        top1=_agreement(task, gate, reference, outputs, limit),
        worst_case=worst,
    )


def parity_failure(parity: Parity, reference_rms: float, limit: Limit) -> str | None:
    """The first broken limit in words with both numbers, or None."""
    checks = (
        ("max_abs", parity.max_abs, "at most", limit.max_abs * reference_rms),
        ("SQNR in dB", parity.sqnr_db, "at least", limit.sqnr_db),
        ("cosine", parity.cosine, "at least", limit.cosine),
        ("top-1 agreement", parity.top1, "at least", limit.top1),
    )
    for name, value, side, bound in checks:
        if value is not None and not (value <= bound if side == "at most" else value >= bound):
            return f"case {parity.worst_case!r}: {name} is {value:.6g}, {side} {bound:.6g} is wanted"
    return None


def score_failure(score: Score, limit: Limit) -> str | None:
    """The lost points in words if they are too many, or None."""
    if score.reference is None or score.reference - score.value <= limit.points:
        return None
    lost = score.reference - score.value
    return (
        f"{score.metric} on {score.data} is {score.value:.2f} %, the eager model's {score.reference:.2f} %: "
        f"{lost:.2f} points lost, at most {limit.points} are allowed"
    )


def _check_shapes(want: dict[str, NDArray[Any]], got: dict[str, NDArray[Any]]) -> None:
    shapes = [{name: array.shape for name, array in batch.items()} for batch in (got, want)]
    if shapes[0] != shapes[1]:
        raise GateFailed(f"outputs are {shapes[0]}, the eager model's are {shapes[1]}")


def _flat(rows: Sequence[Sequence[NDArray[Any]]]) -> list[NDArray[Any]]:
    """Per row its outputs as one vector."""
    return [np.concatenate([array.ravel() for array in row]) for row in rows]


def _cosine(rows: Sequence[tuple[Any, ...]], name: str) -> float:
    want, got = (np.concatenate([row[at] for row in rows if row[0] == name]).astype(np.float64) for at in (1, 2))
    norm = np.linalg.norm(want) * np.linalg.norm(got)
    return float(want @ got / norm) if norm > 0 and np.isfinite(norm) else 0.0


def _agreement(
    task: Task,
    gate: Sequence[Case],
    reference: Sequence[dict[str, NDArray[Any]]],
    outputs: Sequence[dict[str, NDArray[Any]]],
    limit: Limit,
) -> float | None:
    """The share of choices that are the eager model's, or nearly tied in it; None where the task has no classes."""
    reduced = [
        r.ravel() for case, eager in zip(gate, reference, strict=True) for r in task.reduce(eager, case.encoding)
    ]
    tie = limit.tie * float(np.sqrt(np.square(np.concatenate(reduced)).mean()))
    agreed = []
    for case, eager, ours in zip(gate, reference, outputs, strict=True):
        wanted, found = (task.choices(batch, case.encoding) for batch in (eager, ours))
        for want, got in zip(wanted or (), found or (), strict=True):
            agreed.append((want.classes == got.classes).all(axis=1) | (want.margins < tie))
    return float(np.concatenate(agreed).mean()) if agreed else None


def _rounded(value: float, digits: int = 4) -> float:
    """Significant digits that do not depend on the order in which threads add."""
    return float(f"{value:.{digits}g}")
