"""Statistics of latency samples that hold without any assumption about their distribution."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Ratio", "Summary", "compare", "geometric", "median", "middle", "percentile", "summarize"]

_Z95 = 1.959964
"""The 97.5 % quantile of the normal distribution: 95 % lie between it and its negative."""
_CARRIED = ((90, 29), (95, 59), (99, 299))
"""A percentile, and from how many samples on one lies beyond it with 95 % confidence: 0.9^29 < 0.05 and so on."""

_CONFIDENCE = 0.99
"""Of the interval of a ratio: equal things are told apart in one of a hundred runs."""


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


def middle(values: Iterable[float]) -> float | None:
    """The median of values in any order, None of none."""
    ordered = sorted(values)
    return median(ordered) if ordered else None


def median(ordered: list[float]) -> float:
    """The median of a sorted list."""
    half, odd = divmod(len(ordered), 2)
    return ordered[half] if odd else (ordered[half - 1] + ordered[half]) / 2


def geometric(values: Sequence[float]) -> float:
    """The geometric mean; infinite of none."""
    return math.exp(math.fsum(map(math.log, values)) / len(values)) if values else math.inf


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
        value: the ratio, the median over all pairs of processes.
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


def compare(ours: Sequence[Sequence[float]], theirs: Sequence[Sequence[float]]) -> Ratio:
    """Compare samples of two things, a sequence for each process.

    What one process takes differs from what another takes by more than its own samples tell, so a process counts as
    one observation, its median (Kalibera and Jones 2013, "Rigorous benchmarking in reasonable time", section 7). The
    ratio is Hodges' and Lehmann's, the median of all quotients, and its interval that of Wilcoxon's rank sum test
    (Hollander, Wolfe and Chicken 2014, section 4.3): exact for any distribution, and a process that a neighbour
    disturbed does not widen it, as it would Student's.
    """
    quotients = sorted(a / b for a in _medians(ours) for b in _medians(theirs))
    n, centre = min(len(ours), len(theirs)), median(quotients)
    counts, tail = _rank_sums(len(ours), len(theirs)), 0
    dropped, allowed = 0, (1 - _CONFIDENCE) / 2 * sum(counts)
    for count in counts:
        tail += count
        if tail > allowed:
            break
        dropped += 1
    if not dropped:
        return Ratio(centre, 0.0, math.inf, n)
    return Ratio(centre, quotients[dropped - 1], quotients[-dropped], n)


def _medians(side: Sequence[Sequence[float]]) -> list[float]:
    return [median(sorted(process)) for process in side]


def _rank_sums(n: int, m: int) -> list[int]:
    """In how many orders of n and m observations 0, 1, ... n m pairs stand the wrong way round.

    They are the coefficients of Gauss's binomial, the product of (1 - q^(m + i)) / (1 - q^i) for i to n.
    """
    counts = [1]
    for i in range(1, n + 1):
        grown = [*counts, *[0] * (m + i)]
        for at in range(m + i, len(grown)):
            grown[at] -= counts[at - m - i]
        for at in range(i, len(grown)):
            grown[at] += grown[at - i]
        counts = grown[: i * m + 1]
    return counts
