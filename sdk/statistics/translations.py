"""BLEU and chrF of translations, as sums over rows: see `edgewright.statistics.metrics`.

Both are sacrebleu's with its own defaults (Post 2018, arXiv 1804.08771): BLEU with the tokenizer `13a` and exponential
smoothing (Papineni et al. 2002), chrF of six characters with beta 2 (Popović 2015). With weights of 1 the values are
those of its `corpus_score`.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from edgewright import registry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgewright.statistics.metrics import Metric

__all__ = ["bleu", "chrf"]

_ORDERS = 6
"""Characters of the longest sequences (Popović 2015, section 2: chrF6)."""
_BETA = 2
"""How much more recall counts than precision (Popović 2016, chrF2, which sacrebleu calls chrF)."""


def bleu(said: Sequence[str], wanted: Sequence[str]) -> Metric:
    """BLEU of translations, each beside one that is right. Raises MissingExtra: sacrebleu is not installed."""
    registry.require(("sacrebleu",), "translation")
    from sacrebleu.metrics import BLEU

    scorer = BLEU(effective_order=True)
    rows = np.array([_counts(scorer.sentence_score(a, [b])) for a, b in zip(said, wanted, strict=True)], np.float64)

    def measured(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.array([_bleu(BLEU, sums) for sums in weights @ rows.reshape(len(said), -1)])

    return measured


def _counts(score: Any) -> list[int]:
    """Of a row: sequences of 1 to 4 words that are right, those that there are, words said, words wanted."""
    return [*score.counts, *score.totals, score.sys_len, score.ref_len]


def _bleu(scorer: Any, sums: NDArray[np.float64]) -> float:
    right, every = [int(n) for n in sums[:4]], [int(n) for n in sums[4:8]]
    return float(scorer.compute_bleu(right, every, int(sums[8]), int(sums[9]), smooth_method="exp").score)


def chrf(said: Sequence[str], wanted: Sequence[str]) -> Metric:
    """ChrF of translations, each beside one that is right."""
    rows = np.array([_characters(a, b) for a, b in zip(said, wanted, strict=True)], np.float64)

    def measured(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        sums = (weights @ rows.reshape(len(said), -1)).reshape(-1, _ORDERS, 3)
        ours, theirs, both = sums[..., 0], sums[..., 1], sums[..., 2]
        counted = (ours > 0) & (theirs > 0)
        orders = np.maximum(counted.sum(axis=1), 1)
        precision, recall = (
            np.divide(both, side, out=np.zeros_like(both), where=counted).sum(axis=1) / orders
            for side in (ours, theirs)
        )
        below = _BETA**2 * precision + recall
        above = (1 + _BETA**2) * precision * recall
        found: NDArray[np.float64] = 100 * np.divide(above, below, out=np.zeros_like(above), where=below > 0)
        return found

    return measured


def _characters(said: str, wanted: str) -> list[list[int]]:
    """For each order the sequences of characters that were said, that were wanted, and that are both; no spaces."""
    ours, theirs = ("".join(text.split()) for text in (said, wanted))
    found = []
    for order in range(1, _ORDERS + 1):
        a, b = (Counter(text[at : at + order] for at in range(len(text) - order + 1)) for text in (ours, theirs))
        found.append([a.total(), b.total(), (a & b).total()])
    return found
