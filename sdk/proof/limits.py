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
    "fp32": Limit(max_abs=1e-3, sqnr_db=70.0, cosine=0.99999, top1=1.0, tie=1e-3, points=0.12),
    "fp16": Limit(max_abs=0.05, sqnr_db=40.0, cosine=0.9995, top1=1.0, tie=0.02, points=0.25),
    "int8": Limit(max_abs=math.inf, sqnr_db=10.0, cosine=0.95, top1=0.95, tie=0.1, points=0.5),
    "int8-static": Limit(max_abs=math.inf, sqnr_db=7.0, cosine=0.9, top1=0.9, tie=0.2, points=1.0),
    "int4": Limit(max_abs=math.inf, sqnr_db=6.0, cosine=0.87, top1=0.85, tie=0.3, points=1.5),
}
