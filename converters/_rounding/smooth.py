"""Smoothing before int8: which activation channels stretch the range of all others, and by how much to divide them.

After SmoothQuant (Xiao et al. 2022, arXiv 2211.10438), with factors that are powers of two, so that they cost no
accuracy of their own, and only for channels where the predicted noise falls.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import numpy.typing as npt

    _Array: TypeAlias = npt.NDArray[Any]

__all__ = ["Range", "range_of", "smoothing"]

_MIN_GAIN = 0.7
"""Channels are smoothed where the predicted noise falls below this part of what it was; on MiniLM to 0.1-0.5."""


@dataclasses.dataclass(frozen=True)
class Range:
    """What one activation did per channel, float64 (channels,), over `count` tokens; `high` and `low` include zero."""

    high: _Array
    low: _Array
    squares: _Array
    count: int

    def __or__(self, other: Range) -> Range:
        import numpy as np

        high, low = np.maximum(self.high, other.high), np.minimum(self.low, other.low)
        return Range(high, low, self.squares + other.squares, self.count + other.count)


def range_of(tokens: _Array) -> Range:
    """The per-channel range of one activation (tokens, channels)."""
    import numpy as np

    flat = tokens.astype(np.float64)
    return Range(flat.max(0, initial=0), flat.min(0, initial=0), (flat**2).sum(0), len(flat))


def smoothing(seen: Range, weight: _Array) -> _Array | None:
    """Powers of two, float32 (inputs,), to divide an activation's channels by; None where little would be won.

    Of the thresholds tried, that with the least predicted noise in `x @ weight`: a value rounded to a step d carries
    the noise d^2 / 12; the activation's step grows with its widest channel, a weight column's with its largest entry.
    """
    import numpy as np

    peak = np.maximum(seen.high, -seen.low)
    best, least, plain = None, math.inf, math.inf
    for halvings in np.arange(0.0, 6.5, 0.5):
        threshold = max(peak.max(), np.finfo(np.float32).tiny) * 2.0**-halvings
        factor = 2.0 ** np.ceil(np.log2(np.maximum(peak / threshold, 1.0)) - 1e-6)
        scaled = weight * factor[:, None]
        step_x = ((seen.high / factor).max() - (seen.low / factor).min()) / 255
        step_w = np.abs(scaled).max(0) / 127
        noise = (
            step_x**2 * (scaled**2).sum() + (step_w**2).sum() * (seen.squares / max(seen.count, 1) / factor**2).sum()
        )
        plain = noise if halvings == 0 else plain
        if noise < least:
            best, least = factor, noise
    return best.astype(np.float32) if best is not None and least < _MIN_GAIN * plain else None
