"""Statistics of latency samples that hold without any assumption about their distribution."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Ratio", "Summary", "compare", "median", "percentile", "summarize"]

_Z95 = 1.959964
_CARRIED = ((90, 29), (95, 59), (99, 299))
"""A percentile, and from how many samples on one lies beyond it with 95 % confidence: 0.9^29 < 0.05 and so on."""

_T99 = (
    63.657, 9.925, 5.841, 4.604, 4.032, 3.707, 3.499, 3.355, 3.250, 3.169, 3.106, 3.055, 3.012, 2.977, 2.947,
    2.921, 2.898, 2.878, 2.861, 2.845, 2.831, 2.819, 2.807, 2.797, 2.787, 2.779, 2.771, 2.763, 2.756, 2.750,
)  # fmt: skip
_Z99 = 2.575829


@dataclass(frozen=True)
class Summary:
    """What n samples say, in their own unit.

    Attributes:
        low: lower end of the 95 % interval of the median, by order statistics (Le Boudec 2010, section 2.2); None for
            fewer than 6 samples, which cannot carry one.
        high: its upper end.
        mad: median absolute deviation from the median, not scaled.
        p90: 90th percentile; None for fewer than 29 samples, which cannot carry one.
        p95: the same from 59 samples.
        p99: the same from 299 samples.
    """

    n: int
    minimum: float
    median: float
    low: float | None
    high: float | None
    mad: float
    p90: float | None
    p95: float | None
    p99: float | None
    maximum: float


def summarize(samples: list[float]) -> Summary:
    """Summarize at least one sample."""
    ordered, n = sorted(samples), len(samples)
    middle = median(ordered)
    low, high = _median_ranks(n)
    return Summary(
        n=n,
        minimum=ordered[0],
        median=middle,
        low=ordered[low] if n >= 6 else None,
        high=ordered[high] if n >= 6 else None,
        mad=median(sorted(abs(sample - middle) for sample in samples)),
        **{f"p{percent}": percentile(ordered, percent) if n >= least else None for percent, least in _CARRIED},
        maximum=ordered[-1],
    )


def median(ordered: list[float]) -> float:
    """The median of a sorted list."""
    half, odd = divmod(len(ordered), 2)
    return ordered[half] if odd else (ordered[half - 1] + ordered[half]) / 2


def percentile(ordered: list[float], percent: float) -> float:
    """The smallest sample that at least `percent` of a sorted list do not exceed (nearest rank)."""
    return ordered[max(math.ceil(percent / 100 * len(ordered)) - 1, 0)]


def _median_ranks(n: int) -> tuple[int, int]:
    """Indexes of the order statistics between which the median lies with 95 % confidence (normal approximation)."""
    half_width = _Z95 * math.sqrt(n) / 2
    low = max(math.floor(n / 2 - half_width) - 1, 0)
    return low, min(math.ceil(n / 2 + half_width), n - 1)


@dataclass(frozen=True)
class Ratio:
    """How much longer one thing takes than another: 1.1 is 10 % more.

    Attributes:
        value: the ratio, the geometric mean over processes.
        low: lower end of its 99 % interval, 0 where there are too few processes for one.
        high: its upper end, infinite where there are too few.
        processes: the smaller number of processes.
    """

    value: float
    low: float
    high: float
    processes: int

    @property
    def shown(self) -> bool:
        """Whether a difference is shown: the interval does not hold 1."""
        return not self.low <= 1 <= self.high

    def __str__(self) -> str:
        words = "" if self.shown else ": no difference shown"
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f}){words}"


def compare(ours: Sequence[Sequence[float]], theirs: Sequence[Sequence[float]], *, paired: bool) -> Ratio:
    """Compare samples of two things, a sequence for each process; `paired` where the processes ran in turn.

    What one process takes differs from what another takes by more than its own samples tell, so a process counts as
    one observation, its median (Kalibera and Jones 2013, "Rigorous benchmarking in reasonable time", section 7). The
    interval is Student's t of the logarithms: of the differences of neighbours, which share the machine's mood, or of
    two samples (Welch 1947). It is of 99 %, so that equal things are told apart in one of a hundred runs.
    """
    a, b = ([math.log(median(sorted(process))) for process in side] for side in (ours, theirs))
    n = min(len(a), len(b))
    if n < 2:
        return Ratio(math.exp(_mean(a) - _mean(b)), 0.0, math.inf, n)
    if paired:
        differences = [x - y for x, y in zip(a, b, strict=False)]
        centre, error, freedom = _mean(differences), math.sqrt(_variance(differences) / n), n - 1.0
    else:
        parts = [_variance(side) / len(side) for side in (a, b)]
        centre, error = _mean(a) - _mean(b), math.sqrt(sum(parts))
        weights = sum(part**2 / (len(side) - 1) for part, side in zip(parts, (a, b), strict=True))
        freedom = sum(parts) ** 2 / weights if weights else n - 1.0
    half = _t99(freedom) * error
    return Ratio(math.exp(centre), math.exp(centre - half), math.exp(centre + half), n)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _variance(values: Sequence[float]) -> float:
    centre = _mean(values)
    return math.fsum((value - centre) ** 2 for value in values) / (len(values) - 1)


def _t99(freedom: float) -> float:
    """Student's t that 99 % lie within; the next smaller whole number of degrees of freedom."""
    return _T99[max(int(freedom), 1) - 1] if freedom < len(_T99) + 1 else _Z99 * (1 + 2 / freedom)
