"""How far a decoder's artifact may be from the eager model, by its precision.

Perplexity alone is too kind: an int8 cache lowered it while its logits moved by 0.4 rms. So the distributions are held
as well, token by token.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgewright.contracts.precision import Precision

__all__ = ["DECODER_LIMITS", "DecoderLimit"]


@dataclass(frozen=True)
class DecoderLimit:
    """The limits of one precision.

    Attributes:
        perplexity: by how much it may be above the eager model's, as a share of it.
        kl: the largest mean Kullback-Leibler divergence from the eager model, in nats.
        top1: least share of tokens whose likeliest successor is the eager model's.
        way_db: least SQNR of the logits after the cache was filled in another way.
        exact: whether greedy tokens must be the eager model's, but where its two likeliest are nearly equal.
    """

    perplexity: float
    kl: float
    top1: float
    way_db: float
    exact: bool


DECODER_LIMITS: dict[Precision, DecoderLimit] = {
    # Arithmetic in another order alone: SmolLM2-135M is at 1e-9 nats and 120 dB. One token in a thousand is a tie.
    "fp32": DecoderLimit(perplexity=0.0005, kl=1e-6, top1=0.999, way_db=70.0, exact=True),
    # Weights rounded to 11 bits.
    "fp16": DecoderLimit(perplexity=0.002, kl=1e-3, top1=0.99, way_db=40.0, exact=False),
    # A choice, 1 %: what people call lossless. The divergence of llama.cpp's q8_0 is published as 0.001 to 0.01 nats;
    # small models have more.
    "int8": DecoderLimit(perplexity=0.01, kl=0.02, top1=0.93, way_db=20.0, exact=False),
    # A choice, 5 %, and a divergence that goes with it: a mean of 0.1 nats is where answers begin to differ in content.
    "int4": DecoderLimit(perplexity=0.05, kl=0.1, top1=0.85, way_db=15.0, exact=False),
}
