"""What a search has found: records of trials, the front of those that no other beats, and the one to take."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgewright.errors import GateFailed
from edgewright.system.shown import brief

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Limits", "Trial", "front", "hypervolume", "objectives", "winner"]


@dataclass(frozen=True)
class Trial:
    """One trial of a study.

    Attributes:
        number: in the study.
        state: `complete`, `pruned`, `failed` or `running`.
        values: what it chose, by the names of the choices.
        point: the same as places.
        reason: why it was pruned or failed.
        score: of the artifact, in percent; these and the following are None unless it is complete.
        latency_ms: of the artifact.
        size_bytes: of the artifact.
        facts: the rest that is known, see `edgewright.searching.trial.Found`.
    """

    number: int
    state: str
    values: dict[str, Any]
    point: tuple[int, ...]
    reason: str = ""
    score: float | None = None
    latency_ms: float | None = None
    size_bytes: int | None = None
    facts: dict[str, Any] | None = None

    def __repr__(self) -> str:
        score = "" if self.score is None else f"score {self.score:.2f}"
        took = "" if self.latency_ms is None else f"{self.latency_ms:.3g} ms"
        size = "" if self.size_bytes is None else f"{self.size_bytes / 1e6:.3g} MB"
        return brief(self, self.number, self.state, score, took, size, self.reason)

    def cells(self) -> dict[str, Any]:
        """The columns of a table."""
        size = self.size_bytes
        return {
            "trial": self.number,
            **self.values,
            "score": None if self.score is None else f"{self.score:.2f}",
            "median, ms": self.latency_ms,
            "size": None if size is None else f"{size / 1e6:.3g} MB",
        }


@dataclass(frozen=True)
class Limits:
    """What a winner may cost and must reach; None is no limit."""

    max_ms: float | None = None
    max_mb: float | None = None
    min_score: float | None = None

    def broken(self, trial: Trial) -> str:
        """Which limits a complete trial breaks, in words."""
        words = []
        if self.max_ms is not None and trial.latency_ms is not None and trial.latency_ms > self.max_ms:
            words.append(f"{trial.latency_ms:.3g} ms, at most {self.max_ms:g}")
        if self.max_mb is not None and trial.size_bytes is not None and trial.size_bytes > self.max_mb * 1e6:
            words.append(f"{trial.size_bytes / 1e6:.3g} MB, at most {self.max_mb:g}")
        if self.min_score is not None and trial.score is not None and trial.score < self.min_score:
            words.append(f"score {trial.score:.2f}, at least {self.min_score:g}")
        return "; ".join(words)

    @property
    def any(self) -> bool:
        """Whether there is a limit."""
        return (self.max_ms, self.max_mb, self.min_score) != (None, None, None)


def objectives(trial: Trial) -> tuple[float, float, float]:
    """Of a complete trial, each to be small: percent wrong, milliseconds, bytes."""
    if trial.score is None or trial.latency_ms is None or trial.size_bytes is None:
        raise ValueError(f"trial {trial.number} is {trial.state}")
    return 100 - trial.score, trial.latency_ms, float(trial.size_bytes)


def front(trials: Sequence[Trial]) -> list[Trial]:
    """The complete trials that no other one equals or beats in all three, best score first."""
    done = [trial for trial in trials if trial.state == "complete"]
    costs = [objectives(trial) for trial in done]
    kept = [
        trial
        for trial, mine in zip(done, costs, strict=True)
        if not any(other != mine and all(b <= a for a, b in zip(mine, other, strict=True)) for other in costs)
    ]
    return sorted(kept, key=objectives)


def winner(trials: Sequence[Trial], limits: Limits) -> Trial:
    """The best score within the limits; without any limit the knee of the front.

    The knee is the trial of the front that is nearest to its ideal point, the best of each objective at once, with each
    scaled to the front's own range, cost by its logarithm.

    Raises:
        GateFailed: no trial is complete, or none is within the limits.
    """
    best = front(trials)
    if not best:
        reasons = [trial.reason for trial in trials if trial.reason]
        raise GateFailed("no trial came to its end", hint=f"the last reason: {reasons[-1]}" if reasons else "")
    if limits.any:
        within = [trial for trial in best if not limits.broken(trial)]
        if not within:
            near = "; ".join(f"trial {trial.number}: {limits.broken(trial)}" for trial in best[:3])
            raise GateFailed(f"none of {len(best)} trials of the front is within the limits", hint=near)
        return within[0]
    scaled = _scaled([_logs(trial) for trial in best])
    return best[min(range(len(best)), key=lambda at: math.hypot(*scaled[at]))]


def _logs(trial: Trial) -> tuple[float, float, float]:
    wrong, latency, size = objectives(trial)
    return wrong, math.log(latency), math.log(size)


def _scaled(rows: Sequence[tuple[float, ...]]) -> list[tuple[float, ...]]:
    ends = [(min(column), max(column)) for column in zip(*rows, strict=True)]
    return [tuple((x - low) / ((high - low) or 1.0) for x, (low, high) in zip(row, ends, strict=True)) for row in rows]


def hypervolume(points: Sequence[tuple[float, float, float]], reference: tuple[float, float, float]) -> float:
    """The volume between a reference and the points that are better than it in all three, each to be small.

    Exact, by slices along the last objective (Zitzler and Thiele 1998): n^2 log n for n points.
    """
    inside = sorted((p for p in points if all(a < b for a, b in zip(p, reference, strict=True))), key=lambda p: p[2])
    volume = 0.0
    for at, point in enumerate(inside):
        above = inside[at + 1][2] if at + 1 < len(inside) else reference[2]
        volume += _area([(x, y) for x, y, _ in inside[: at + 1]], reference) * (above - point[2])
    return volume


def _area(points: Sequence[tuple[float, float]], reference: tuple[float, ...]) -> float:
    """The area that points cover, each to be small."""
    area, lowest = 0.0, reference[1]
    for x, y in sorted(points):
        if y < lowest:
            area += (reference[0] - x) * (lowest - y)
            lowest = y
    return area
