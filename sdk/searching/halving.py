"""When a trial is not worth its end: halving among those that cost no more.

Optuna's own pruners know one objective alone. Here a student is held against those that are no dearer, at each rung, as
successive halving does (Li et al. 2020, arXiv 1810.05934, without waiting for others): one that is behind half of them
after the same part of its training will hardly lie on the front.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgewright.statistics.latency import median

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edgewright.searching.trial import Cost

__all__ = ["Rungs", "verdict"]

Rungs = dict[str, float]
"""Scores by the part of a training after which they were had, such as `0.25 of step 2`."""

_LEAST = 4
"""A choice: the median of fewer is one trial's luck."""


def verdict(rung: str, score: float, cost: Cost, others: Iterable[tuple[Cost, Rungs]]) -> str:
    """Why a trial ends at a rung; empty where it goes on.

    Args:
        rung: the part of the training that is done.
        score: at it.
        cost: of the trial.
        others: other trials' costs and scores; fewer than four that are no dearer and have come this far tell nothing.
    """
    scores = sorted(rungs[rung] for their, rungs in others if rung in rungs and cost.covers(their))
    if len(scores) < _LEAST or score >= median(scores):
        return ""
    middle = median(scores)
    return f"score {score:.2f} after {rung}; of {len(scores)} no dearer ones half have {middle:.2f}"
