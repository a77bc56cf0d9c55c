"""IBM's first model beside itself written out, word by word, and beside what the paper promises of it."""

import itertools
import math

import numpy as np
import pytest

from edgewright.statistics.alignment import aligned

DAS, HAUS, BUCH, EIN, MISSING, THE, HOUSE, BOOK, A = range(9)
PAIRS = [([DAS, HAUS], [THE, HOUSE]), ([DAS, BUCH], [THE, BOOK]), ([EIN, BUCH], [A, BOOK])]
"""The example that every course has (Koehn 2010, section 4.2)."""


def probabilities(pairs, rounds):
    return {(s, t): p for s, t, p in zip(*(part.tolist() for part in aligned(pairs, 9, rounds)), strict=True)}


def by_hand(pairs, rounds):
    links = {(s, t) for source, target in pairs for s in source for t in target}
    found = dict.fromkeys(links, 1.0)
    for _ in range(rounds):
        counted = dict.fromkeys(links, 0.0)
        for source, target in pairs:
            for t in target:
                total = sum(found[s, t] for s in source)
                for s in source:
                    counted[s, t] += found[s, t] / total
        found = {(s, t): n / sum(m for (of, _), m in counted.items() if of == s) for (s, t), n in counted.items()}
    return found


def test_the_likeliest_word_for_each_is_its_translation():
    found = probabilities(PAIRS, 30)
    best = {s: max((p, t) for (of, t), p in found.items() if of == s)[1] for s in (DAS, HAUS, BUCH, EIN)}
    assert best == {DAS: THE, HAUS: HOUSE, BUCH: BOOK, EIN: A}
    assert not any(MISSING in link for link in found)


@pytest.mark.parametrize("rounds", [1, 2, 5])
def test_it_is_what_the_paper_says_word_by_word(rounds):
    """With words that come twice in a sentence, and sentences of other lengths than their translations."""
    rng = np.random.default_rng(rounds)
    pairs = [(rng.integers(0, 9, n).tolist(), rng.integers(0, 9, m).tolist()) for n, m in rng.integers(1, 7, (40, 2))]
    found, wanted = probabilities(pairs, rounds), by_hand(pairs, rounds)
    assert found.keys() == wanted.keys()
    assert all(found[link] == pytest.approx(wanted[link], abs=1e-12) for link in wanted)


def test_no_round_makes_the_pairs_less_likely():
    def likelihood(rounds):
        found = probabilities(PAIRS, rounds)
        words = [(source, t) for source, target in PAIRS for t in target]
        return sum(math.log(sum(found[s, t] for s in source) / len(source)) for source, t in words)

    steps = [likelihood(rounds) for rounds in range(1, 12)]
    assert all(later >= earlier - 1e-12 for earlier, later in itertools.pairwise(steps))


def test_no_pairs_are_no_words():
    assert [len(part) for part in aligned([], 9)] == [0, 0, 0]
    assert [len(part) for part in aligned([([], [1]), ([1], [])], 9)] == [0, 0, 0]
