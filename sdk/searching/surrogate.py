"""A model of a space from the trials so far, and the point that promises most.

Each objective is a Gaussian process over the places of the choices' values (Rasmussen and Williams 2006, section 2.2),
whose kernel adds up what each choice does by itself and a smaller part for what they do together. The next point is the
one whose lower confidence bounds would add most to the hypervolume (SMS-EGO: Ponweiser et al. 2008, PPSN X, section 3).
A space of a search is small enough to look at every point, so that nothing has to be optimised.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgewright.searching.front import hypervolume

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgewright.searching.space import Choice, Point

__all__ = ["promising"]

_TOGETHER = 0.2
"""The share of the variance that is left to choices acting together."""

_NOISE = 0.02
"""Of the variance of an objective: a choice, for the noise of short training and of timing."""
_OPTIMISM = 0.5
"""Standard deviations: a choice; more explores longer than a search of tens of trials can afford."""
_MOST = 400
"""Candidates forecast, drawn from all that are left: a choice, so that a step of the search takes no time."""


def promising(
    choices: Sequence[Choice],
    done: Sequence[tuple[Point, tuple[float, float, float]]],
    bad: Sequence[Point],
    candidates: Sequence[Point],
    rng: np.random.Generator,
) -> Point:
    """The candidate to try next.

    Args:
        choices: of the space.
        done: complete trials, at least two: percent wrong, milliseconds, bytes.
        bad: points that were pruned or failed; they count as wrong as the worst.
        candidates: to choose from; of more than 400 so many are looked at, at random.
        rng: the same one gives the same point.
    """
    if len(candidates) > _MOST:
        candidates = [candidates[at] for at in sorted(rng.choice(len(candidates), _MOST, replace=False).tolist())]
    costs = np.array([cost for _, cost in done])
    known = [point for point, _ in done]
    wrong = np.concatenate([costs[:, 0], np.full(len(bad), costs[:, 0].max())])
    bounds = [_bound(choices, [*known, *bad], wrong, candidates)]
    bounds += [np.exp(_bound(choices, known, np.log(costs[:, at]), candidates)) for at in (1, 2)]
    top = costs.max(0) * 1.01 + 1e-9
    reference = (float(top[0]), float(top[1]), float(top[2]))
    have = [cost for _, cost in done]
    hopes = [(float(a), float(b), float(c)) for a, b, c in zip(*bounds, strict=True)]
    order = rng.permutation(len(candidates)).tolist()  # so that equals are taken in no order of the file's
    return candidates[max(order, key=lambda at: hypervolume([*have, hopes[at]], reference))]


def _bound(
    choices: Sequence[Choice], known: Sequence[Point], values: NDArray[np.float64], asked: Sequence[Point]
) -> NDArray[np.float64]:
    """The lower confidence bound of an objective at the points asked, float64 (points,)."""
    middle, spread = values.mean(), values.std() or 1.0
    inner = _kernel(choices, known, known) + _NOISE * np.eye(len(known))
    cross = _kernel(choices, asked, known)
    solved = np.linalg.solve(inner, np.column_stack([(values - middle) / spread, cross.T]))
    mean = cross @ solved[:, 0]
    variance = 1.0 - np.einsum("ij,ji->i", cross, solved[:, 1:])
    bound: NDArray[np.float64] = middle + spread * (mean - _OPTIMISM * np.sqrt(np.maximum(variance, 0.0)))
    return bound


def _kernel(choices: Sequence[Choice], some: Sequence[Point], others: Sequence[Point]) -> NDArray[np.float64]:
    """Covariances float64 (some, others); 1 of a point with itself."""
    one, two = np.array(some, float), np.array(others, float)
    apart = np.abs(one[:, None, :] - two[None, :, :])
    scale = np.array([max(len(choice.values) - 1, 1) for choice in choices])
    ordered = np.array([choice.ordered for choice in choices])
    near = np.where(ordered, np.exp(-((apart / scale) ** 2)), np.where(apart == 0, 1.0, 0.3))
    found: NDArray[np.float64] = (1 - _TOGETHER) * near.mean(-1) + _TOGETHER * near.prod(-1)
    return found
