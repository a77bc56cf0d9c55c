"""What this machine can give at most, so that a time can be held against it (Williams et al. 2009, the roofline model).

A layer cannot be faster than its multiply-accumulates at the measured peak, nor than its weights at the measured
bandwidth; the larger of the two is the bound. It is a bound, not a prediction.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from edgewright.model.config import FIRST_TOKEN
from edgewright.model.sizes import Sizes
from edgewright.system.child import Child, call
from edgewright.system.limits import check_threads
from edgewright.system.machine import require_clock

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ROOFLINE", "Roofline", "RooflineRequest", "encoder_macs", "roofline"]


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

    def bound_ms(self, *, layers: float, scores: float, weight_bytes: float, integer: bool) -> float:
        """The least time in milliseconds for one inference.

        Args:
            layers: multiply-accumulates of products with weights.
            scores: those of attention's two products, which are of activations and stay in float.
            weight_bytes: the bytes of the weights, each read once.
            integer: whether the layers are int8.
        """
        computing = layers / (self.int8_gmac_s if integer else self.fp32_gmac_s) + scores / self.fp32_gmac_s
        return max(computing, weight_bytes / self.read_gb_s) / 1e6


class RooflineRequest(Struct, frozen=True):
    """How many threads shall work."""

    threads: int


ROOFLINE = Child("edgewright.runtimes._measuring.roofline:measure", RooflineRequest, Roofline)


def encoder_macs(config: Mapping[str, Any], tokens: int) -> tuple[float, float] | None:
    """Multiply-accumulates of an encoder's layers and of its attention's products, for one text of `tokens` tokens.

    `config` is the model's config.json; None where it does not have an encoder's usual sizes. The head is left out: of
    an encoder it is less than a hundredth. Of the last layer a classifier that reads the first token has the keys and
    values of every token, and of all else one row.
    """
    sizes = Sizes.of(config)
    width, layers, inner = sizes.width, sizes.layers, sizes.inner
    if not (width and layers and inner):
        return None
    kinds = config.get("architectures") or [""]
    cut = config.get("model_type") in FIRST_TOKEN and kinds[0].endswith("ForSequenceClassification")
    spared, queries, narrow = (tokens - 1) * cut, sizes.query_width, sizes.embedding
    once = 2 * width * (queries + inner)
    work = layers * tokens * (once + 2 * width * sizes.key_value_width) - spared * once
    work += tokens * narrow * width * (narrow != width)
    return work, 2 * layers * tokens**2 * queries - 2 * spared * tokens * queries


@cache
def roofline(threads: int = 1) -> Roofline:
    """Measure this machine, once in a process and in a child of it; about two seconds.

    Raises:
        UsageError: no such number of threads on this machine, or it is emulated.
        MissingExtra: ONNX Runtime, whose kernels are timed, is not installed.
    """
    require_clock()
    check_threads(threads)
    return call(ROOFLINE, RooflineRequest(threads))
