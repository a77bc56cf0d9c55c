"""What this machine can give at most, so that a time can be held against it (Williams et al. 2009, the roofline model).

A layer cannot be faster than its multiply-accumulates at the measured peak, nor than its weights at the measured
bandwidth; the larger of the two is the bound. It is a bound, not a prediction.
"""

from __future__ import annotations

from functools import cache

from msgspec import Struct

from edgewright.child import call
from edgewright.contracts import check_threads

__all__ = ["Roofline", "roofline"]


class Roofline(Struct, frozen=True):
    """Measured peaks of a machine.

    Attributes:
        threads: how many threads were at work.
        fp32_gmac_s: 10^9 float32 multiply-accumulates per second, in a product of large matrices.
        int8_gmac_s: the same, uint8 by int8, as the layers of an int8 artifact are.
        read_gb_s: 10^9 bytes read from memory per second.
    """

    threads: int
    fp32_gmac_s: float
    int8_gmac_s: float
    read_gb_s: float

    def bound_ms(self, *, macs: float, weight_bytes: float, integer: bool) -> float:
        """The least time in milliseconds for `macs` multiply-accumulates over weights of `weight_bytes` bytes."""
        peak = self.int8_gmac_s if integer else self.fp32_gmac_s
        return max(macs / peak, weight_bytes / self.read_gb_s) / 1e6


@cache
def roofline(threads: int = 1) -> Roofline:
    """Measure this machine, once in a process and in a child of it; about two seconds.

    Raises:
        UsageError: no such number of threads on this machine.
        MissingExtra: ONNX Runtime, whose kernels are timed, is not installed.
    """
    check_threads(threads)
    return Roofline(**call("edgewright.runtimes._roofline:measure", {"threads": threads}))
