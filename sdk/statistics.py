"""Statistics of latency samples that hold without any assumption about their distribution."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["Summary", "median", "percentile", "summarize"]

_Z95 = 1.959964


@dataclass(frozen=True)
class Summary:
    """What n samples say, in their own unit.

    Attributes:
        low: lower end of the 95 % interval of the median, by order statistics (Le Boudec 2010, section 2.2); None for
            fewer than 6 samples, which cannot carry one.
        high: its upper end.
        mad: median absolute deviation from the median, not scaled.
        p90: 90th percentile; None for fewer than 29 samples.
    """

    n: int
    minimum: float
    median: float
    low: float | None
    high: float | None
    mad: float
    p90: float | None
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
        p90=percentile(ordered, 90) if n >= 29 else None,
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
