"""Distances between two signals: how much of one is error, and how large its numbers are."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


__all__ = ["NO_ERROR_DB", "rms", "sqnr_db"]

NO_ERROR_DB = 200.0
"""The signal to noise ratio of no noise at all: JSON has no infinity."""


def rms(outputs: Sequence[dict[str, NDArray[Any]]]) -> float:
    """Root mean square of all numbers in `outputs`."""
    flat = np.concatenate([array.ravel() for batch in outputs for array in batch.values()])
    return float(np.sqrt(np.square(flat, dtype=np.float64).mean()))


def sqnr_db(want: NDArray[Any], error: NDArray[Any]) -> float:
    """Signal to quantization noise ratio, 10 log10(sum(want^2) / sum(error^2)), kept within `NO_ERROR_DB`."""
    noise = float(np.square(error).sum())
    signal = float(np.square(want).sum())
    if not noise:
        return NO_ERROR_DB
    return max(-NO_ERROR_DB, min(NO_ERROR_DB, 10 * math.log10(signal / noise))) if signal else -NO_ERROR_DB
