"""Metrics as sums over rows, so that one matrix product gives a value for every resampling of the rows.

Each function here takes what is known of every row and gives a `Metric`: weights float64 (draws, n), how often each row
counts, -> values float64 (draws,). With weights of 1 it is the usual metric; with those of a bootstrap it is the
metric's spread (Efron and Tibshirani 1993, chapter 13). Shares and correlations are in percent. A value that does not
exist, such as the correlation with a constant, is NaN.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[Any]

__all__ = [
    "Metric",
    "best_threshold",
    "counts",
    "draws",
    "f1",
    "interval",
    "matthews",
    "mean",
    "pearson",
    "perplexity",
    "rate",
    "share",
    "spearman",
    "value",
]

Metric: TypeAlias = "Callable[[NDArray[np.float64]], NDArray[np.float64]]"

_DRAWS = 1000
"""A choice: 25 draws lie beyond each end of the interval, enough for the digits shown, and soon done."""
_MOST_WEIGHTS = 4_000_000
"""Float64 weights at a time, 32 MB, however many rows there are."""
_SPAN = (2.5, 97.5)
"""The percentiles that 95 % of the draws lie between."""


def mean(right: Sequence[float] | Array) -> Metric:
    """The mean of a number in 0..1 for each row, in percent: accuracy, exact match, F1 of answers."""
    return share(right, np.ones(len(right)))


def share(right: Sequence[float] | Array, asked: Sequence[float] | Array) -> Metric:
    """How much is right of what each row asks, in percent, where rows ask several things."""
    above, below = (np.asarray(side, dtype=np.float64) for side in (right, asked))
    return lambda weights: 100 * _ratio(weights @ above, weights @ below)


def best_threshold(
    nearness: Sequence[float] | Array,
    said: Sequence[float] | Array,
    unsaid: Sequence[float] | Array,
    *,
    threshold: bool,
) -> Metric:
    """The best mean, in percent, when every row whose nearness is above some threshold is left unanswered.

    Args:
        nearness: of each row to having no answer.
        said: what each row is worth, 0..1, when it is answered.
        unsaid: what it is worth when it is not.
        threshold: give that threshold instead, half-way between two rows, or one beyond the last.
    """
    order = np.argsort(np.asarray(nearness, dtype=np.float64), kind="stable")
    near, gains = (np.asarray(side, dtype=np.float64)[order] for side in (nearness, np.subtract(said, unsaid)))
    base = np.asarray(unsaid, dtype=np.float64)[order]
    places = np.concatenate([[True], near[1:] > near[:-1], [True]])  # rows of equal nearness cannot be told apart
    edges = np.concatenate([[near[0] - 1.0], (near[1:] + near[:-1]) / 2, [near[-1] + 1.0]])

    def measured(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        own = weights[:, order]
        sums = np.cumsum(np.pad(own * gains, ((0, 0), (1, 0))), axis=1)
        sums[:, ~places] = -np.inf
        if threshold:
            found: NDArray[np.float64] = edges[sums.argmax(axis=1)]
            return found
        return 100 * _ratio(own @ base + sums.max(axis=1), own.sum(axis=1))

    return measured


def counts(truth: Sequence[int], guess: Sequence[int], classes: int) -> tuple[Array, Array, Array]:
    """Classes of n rows -> for each row and class whether it is right, found, wanted: each (n, classes)."""
    every = np.arange(classes)
    wanted, found = (np.asarray(side, dtype=np.int64)[:, None] == every for side in (truth, guess))
    return wanted & found, found, wanted


def f1(right: Array, found: Array, wanted: Array, average: Literal["micro", "macro"] = "micro") -> Metric:
    """F1 from counts of each row and class (n, classes), in percent.

    `micro` adds up the classes; `macro` is the mean over those that are found or wanted at all, as scikit-learn's is.
    For two classes GLUE takes that of the second alone: give its column. Without anything found or wanted it is NaN.
    """
    sides = [np.asarray(side, dtype=np.float64).reshape(len(side), -1) for side in (right, found, wanted)]
    if average == "micro":
        sides = [side.sum(axis=1, keepdims=True) for side in sides]

    def measured(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        hits, guesses, golds = (weights @ side for side in sides)
        present = guesses + golds > 0
        each = np.divide(2 * hits, guesses + golds, out=np.zeros_like(hits), where=present)
        return 100 * _ratio(each.sum(axis=1), present.sum(axis=1))

    return measured


def matthews(truth: Sequence[int], guess: Sequence[int], classes: int) -> Metric:
    """Matthews' correlation of two labellings, in percent; 0 where one of them is constant, as in GLUE's script.

    Of several classes it is Gorodkin's R_K (2004, "Comparing two K-category assignments by a K-category correlation
    coefficient"), which for two is Matthews' phi.
    """
    right, found, wanted = (side.astype(np.float64) for side in counts(truth, guess, classes))

    def measured(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        total, hits = weights.sum(axis=1), (weights @ right).sum(axis=1)
        guesses, golds = weights @ found, weights @ wanted
        shared = hits * total - (guesses * golds).sum(axis=1)
        spread = (total**2 - (guesses**2).sum(axis=1)) * (total**2 - (golds**2).sum(axis=1))
        spread = np.maximum(spread, 0)
        phi: NDArray[np.float64] = np.divide(shared, np.sqrt(spread), out=np.zeros_like(shared), where=spread > 0)
        return 100 * phi

    return measured


def pearson(first: Sequence[float] | Array, second: Sequence[float] | Array) -> Metric:
    """Pearson's correlation, in percent."""
    sides = [_scaled(np.asarray(side, dtype=np.float64)) for side in (first, second)]
    return lambda weights: _correlation(weights, *sides)


def spearman(first: Sequence[float] | Array, second: Sequence[float] | Array) -> Metric:
    """Spearman's correlation, in percent: Pearson's of the ranks, equal values sharing the mean of theirs."""
    groups = [np.unique(np.asarray(side, dtype=np.float64), return_inverse=True)[1] for side in (first, second)]

    def measured(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        ranks = [_ranks(weights, group) for group in groups]
        return _correlation(weights, *ranks)

    return measured


def perplexity(loss: Sequence[float] | Array, tokens: Sequence[int] | Array) -> Metric:
    """The exponential of the mean negative log-likelihood of a token, from each row's sum (in nats) and its tokens."""
    losses, sizes = (np.asarray(side, dtype=np.float64) for side in (loss, tokens))
    return lambda weights: np.exp(_ratio(weights @ losses, weights @ sizes))


def rate(above: Sequence[float] | Array, below: Sequence[float] | Array) -> Metric:
    """The sum of one number of each row over the sum of another, such as bits over bytes."""
    tops, bottoms = (np.asarray(side, dtype=np.float64) for side in (above, below))
    return lambda weights: _ratio(weights @ tops, weights @ bottoms)


def value(metric: Metric, n: int) -> float:
    """The metric of n rows, each once."""
    return float(metric(np.ones((1, n)))[0])


def draws(metric: Metric, n: int, *, seed: int = 0) -> NDArray[np.float64]:
    """The metric of 1000 resamplings of n rows with replacement, float64 (1000,).

    The same n and seed give the same resamplings: the draws of two models on the same rows are pairs.
    """
    rng, size = np.random.default_rng(seed), max(1, _MOST_WEIGHTS // max(n, 1))
    found = []
    for begin in range(0, _DRAWS, size):
        rows = rng.integers(0, n, (min(size, _DRAWS - begin), n))
        weights = [np.bincount(row, minlength=n) for row in rows]
        found.append(metric(np.array(weights, dtype=np.float64)))
    return np.concatenate(found)


def interval(values: Sequence[float] | Array) -> tuple[float, float]:
    """The 95 % percentile interval of draws; of those that are numbers, as one class alone may have no correlation."""
    kept = np.asarray(values, dtype=np.float64)
    kept = kept[np.isfinite(kept)]
    if not len(kept):
        return float("nan"), float("nan")
    low, high = np.percentile(kept, _SPAN)
    return float(low), float(high)


def _ratio(above: Array, below: Array) -> Array:
    filled: Array = np.full(np.shape(above), np.nan)
    np.divide(above, below, out=filled, where=below > 0)
    return filled


def _scaled(values: Array) -> Array:
    """Values around zero and of the size of one, so that sums of their squares keep their digits."""
    around = values - values.mean() if len(values) else values
    size = np.abs(around).max(initial=0.0)
    scaled: Array = around / size if size > 0 else around
    return scaled


def _correlation(weights: Array, first: Array, second: Array) -> Array:
    """Pearson's of two sides (n,) or (draws, n), in percent."""
    total = weights.sum(axis=1, keepdims=True)
    x, y = (side - (weights * side).sum(axis=1, keepdims=True) / total for side in (first, second))
    xy, xx, yy = ((weights * product).sum(axis=1) for product in (x * y, x * x, y * y))
    # Of a constant side rounding leaves a trace, which is no spread.
    real = (xx > _trace(first, weights)) & (yy > _trace(second, weights))
    return 100 * _ratio(np.where(real, xy, 0.0), np.where(real, np.sqrt(xx * yy), 0.0))


def _trace(side: Array, weights: Array) -> Array:
    largest: Array = np.square(side).max(axis=-1, initial=0.0) * weights.sum(axis=1) * 1e-24
    return largest


def _ranks(weights: Array, group: Array) -> Array:
    """Ranks (draws, n) where each row counts `weights` times; `group` numbers the distinct values in order."""
    sizes = np.zeros((len(weights), int(group.max(initial=-1)) + 1))
    np.add.at(sizes.T, group, weights.T)
    ranks: Array = (np.cumsum(sizes, axis=1) - (sizes - 1) / 2)[:, group]
    return ranks
