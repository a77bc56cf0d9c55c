"""How far an artifact may be from the eager model, by its precision."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgewright.contracts.precision import Precision

__all__ = ["LIMITS", "Limit"]


@dataclass(frozen=True)
class Limit:
    """The limits of one precision.

    Attributes:
        max_abs: largest absolute error, in units of the root mean square of the reference's outputs.
        sqnr_db: least signal to quantization noise ratio over all texts.
        cosine: least cosine of the outputs of one case.
        top1: least share of choices that are the eager model's: the class of a text, of a token, an answer.
        tie: a class may differ where the reference's margin is smaller than this, in units of its root mean square:
            which of two equal outputs comes first is no property of the model.
        points: how many points of the task metric may be lost.
    """

    max_abs: float
    sqnr_db: float
    cosine: float
    top1: float
    tie: float
    points: float


LIMITS: dict[Precision, Limit] = {
    # Arithmetic alone, in another order: docs/matrix.md has no fp32 below 122 dB, and 70 dB, an error of 3e-4, is a
    # wrong kernel already. The worst element may have three times that. 0.12 points are one row of SST-2's 872.
    "fp32": Limit(max_abs=1e-3, sqnr_db=70.0, cosine=0.99999, top1=1.0, tie=1e-3, points=0.12),
    # 11 bits of mantissa, layer on layer: docs/matrix.md has 52 dB at least; 40 dB, an error of 1 %, is left to deeper
    # models. The worst element may have five times that, a tie is two such errors, 0.25 points are two rows of 872.
    "fp16": Limit(max_abs=0.05, sqnr_db=40.0, cosine=0.9995, top1=1.0, tie=0.02, points=0.25),
    # No bound of one element from here on: rounding is judged by its power. A choice: noise of a tenth of the signal's
    # power (10 dB, cosine 1 / sqrt(1.1)), between what broke (0.5 dB in README's example) and what is whole
    # (docs/matrix.md: 25 dB at least). 0.5 points are four rows of 872, a price for a quarter of the size.
    "int8": Limit(max_abs=math.inf, sqnr_db=10.0, cosine=0.95, top1=0.95, tie=0.1, points=0.5),
    # Ranges taken from a few texts clip others, so twice int8's noise (7 dB, cosine 1 / sqrt(1.2)), flips and points:
    # a choice, too. What it shall catch is far beyond: a static int8 DistilBERT fell from F1 .940 to .103.
    "int8-static": Limit(max_abs=math.inf, sqnr_db=7.0, cosine=0.9, top1=0.9, tie=0.2, points=1.0),
    # 16 steps a weight: docs/matrix.md has 17 dB at least on its shallow models. A quarter of the signal's power (6 dB)
    # and three times int8's flips, ties and points are a choice; GPTQ lost up to 1.0 points (docs/compressing.md).
    "int4": Limit(max_abs=math.inf, sqnr_db=6.0, cosine=0.87, top1=0.85, tie=0.3, points=1.5),
}
"""Set to tell what is broken from what is rounded, before docs/matrix.md was measured."""
