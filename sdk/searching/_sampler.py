"""Which point of a space comes next: Optuna's samplers, kept to points that can be and that nobody has tried."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.distributions import CategoricalDistribution, IntDistribution
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, TPESampler
from optuna.trial import TrialState

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

    from edgewright.searching.space import Choice, Point

__all__ = ["Untried", "distributions", "is_taken", "point_of"]

_ATTEMPTS = {"model": 4, "tpe": 16, "nsga2": 16}
"""A choice: an inner sampler that gives so many known points in a row is left for a random one; a model takes long."""
_STARTUP = 5
"""Trials at random before a model: fewer tell nothing (docs/search.md), more waste a short search."""
_POPULATION = 8
"""A choice: a search has tens of trials, of which a population must be a small part."""


def distributions(choices: Sequence[Choice]) -> dict[str, BaseDistribution]:
    """The places of each choice's values; where they are numbers in order, neighbours are near."""
    return {
        choice.name: IntDistribution(0, len(choice.values) - 1)
        if choice.ordered
        else CategoricalDistribution(tuple(range(len(choice.values))))
        for choice in choices
    }


def point_of(params: Mapping[str, Any], choices: Sequence[Choice]) -> Point | None:
    """The point of a trial; None while its parameters are still being written."""
    if any(choice.name not in params for choice in choices):
        return None
    return tuple(int(params[choice.name]) for choice in choices)


def is_taken(trial: FrozenTrial) -> bool:
    """Whether a trial's point is done, or being done: not where it was given back, or its process died."""
    return trial.state != TrialState.FAIL or "reason" in trial.user_attrs


class Untried(BaseSampler):  # type: ignore[misc]  # optuna is not followed
    """A sampler whose proposals are drawn again until one is feasible and new; else a new one at random.

    The generator depends on the seed and the trial's number alone, so that a study that was interrupted goes on as it
    would have, and processes that share one draw apart.

    Args:
        kind: `model` (a Gaussian process for each objective, and the hypervolume that they let expect: Optuna's own),
            `tpe` (multi-objective tree-structured Parzen estimators, Ozaki et al. 2022, JAIR 73), `nsga2` (Deb et al.
            2002) or `random`.
        choices: of the space.
        points: that can be.
        seed: see above.
    """

    def __init__(self, kind: str, choices: Sequence[Choice], points: Sequence[Point], seed: int) -> None:
        self._kind, self._choices, self._points, self._seed = kind, choices, points, seed
        self._feasible = set(points)
        self._space = distributions(choices)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """All choices: they are made together."""
        del study, trial
        return self._space

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Places of all choices' values."""
        seed = int(np.random.SeedSequence((self._seed, trial.number)).generate_state(1)[0])
        others = [one for one in study.get_trials(deepcopy=False) if one.number != trial.number and is_taken(one)]
        taken = {point_of(other.params, self._choices) for other in others}
        inner = self._inner(seed)
        for _ in range(_ATTEMPTS[self._kind] if inner else 0):
            found = point_of(inner.sample_relative(study, trial, search_space), self._choices)
            if found is not None and found in self._feasible and found not in taken:
                return self._params(found)
        return self._params(self._any(taken, np.random.default_rng(seed)))

    def _any(self, taken: Collection[Point | None], rng: np.random.Generator) -> Point:
        left = [point for point in self._points if point not in taken] or self._points
        return left[int(rng.integers(len(left)))]

    def _inner(self, seed: int) -> Any:
        if self._kind == "model":
            return GPSampler(seed=seed, n_startup_trials=_STARTUP)
        if self._kind == "tpe":
            return TPESampler(seed=seed, multivariate=True, n_startup_trials=_STARTUP)
        if self._kind == "nsga2":
            return NSGAIISampler(seed=seed, population_size=_POPULATION)
        return None

    def _params(self, point: Point) -> dict[str, Any]:
        return {choice.name: at for choice, at in zip(self._choices, point, strict=True)}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Never asked: every choice is a relative one."""
        raise NotImplementedError(param_name)
