"""Which words stand for which: the first model of IBM, from sentence pairs alone.

Brown et al. 1993, "The Mathematics of Statistical Machine Translation", section 4.2: each word of a translation comes
from one of the source's, whichever and wherever it is; the probabilities of words for words are those under which the
pairs are likeliest, found by expectation maximization from equal ones, which has one best solution.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["WordTable", "aligned"]

_ROUNDS = 5
"""Of expectation maximization, as GIZA++ has for this model."""

WordTable = tuple["NDArray[np.int64]", "NDArray[np.int64]", "NDArray[np.float64]"]
"""Words of sources, words that they stand for, and how probable each is after its source: three arrays (n,)."""


def aligned(pairs: Sequence[tuple[Sequence[int], Sequence[int]]], vocabulary: int, rounds: int = _ROUNDS) -> WordTable:
    """The probable words for each word of sources, both token ids below `vocabulary`; by the source's word, rising."""
    keys, places = _links(pairs, vocabulary)
    links, at = np.unique(keys, return_inverse=True)
    sources, targets = np.divmod(links, vocabulary)
    probable = np.ones(len(links))
    for _ in range(rounds if len(links) else 0):
        shares = probable[at]
        shares /= np.bincount(places, shares)[places]
        counted = np.bincount(at, shares, len(links))
        probable = counted / np.bincount(sources, counted)[sources]
    return sources, targets, probable


def _links(
    pairs: Sequence[tuple[Sequence[int], Sequence[int]]], vocabulary: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each word of a translation and each of its source both as one number, and which word of all it is for."""
    keys, places, count = [np.empty(0, np.int64)], [np.empty(0, np.int64)], 0
    for source, target in pairs:
        both = np.asarray(source, np.int64)[None] * vocabulary + np.asarray(target, np.int64)[:, None]
        keys.append(both.ravel())
        places.append(np.repeat(np.arange(count, count + len(target)), len(source)))
        count += len(target)
    return np.concatenate(keys), np.concatenate(places)
