"""What a model of a space proposes: always a candidate, the same for the same generator, and soon the best ones."""

import itertools

import numpy as np
import pytest

from edgewright.searching.space import Choice
from edgewright.searching.surrogate import promising

CHOICES = [Choice(n, 1, n, v) for n, v in (("a", (1, 2, 3)), ("b", (4, 8, 16, 32)), ("c", ("x", "y", "z")))]
POINTS = list(itertools.product(range(3), range(4), range(3)))


def cost(point):
    a, b, c = point
    return 40.0 - 6 * a - 2 * b + (0, 5, 1)[c], 0.2 * (1 + a) * (1, 1, 0.4)[c], 1e6 * (1 + b) * (1, 1, 0.5)[c]


def run(seed, trials=12):
    rng = np.random.default_rng(seed)
    tried = [POINTS[at] for at in rng.choice(len(POINTS), 4, replace=False)]
    while len(tried) < trials:
        left = [point for point in POINTS if point not in tried]
        tried.append(promising(CHOICES, [(point, cost(point)) for point in tried], [], left, rng))
    return tried


def test_a_value_that_nothing_speaks_for_is_soon_left_alone():
    chosen = [point for seed in range(5) for point in run(seed)[6:]]
    assert sum(point[2] == 2 for point in chosen) > 0.8 * len(chosen)
    assert sum(point[2] == 1 for point in chosen) < 0.1 * len(chosen)


def test_the_same_generator_gives_the_same_points():
    assert run(3) == run(3) != run(4)


def test_what_failed_is_held_against_its_neighbours():
    done = [(point, cost(point)) for point in ((0, 0, 2), (0, 1, 0), (1, 2, 1), (2, 0, 1), (0, 3, 0))]
    left = [point for point in POINTS if point not in dict(done)]
    first = promising(CHOICES, done, [], left, np.random.default_rng(0))
    others = [point for point in left if point != first]
    near = [point for point in others if point[:2] == first[:2] or point[2] == first[2]]
    second = promising(CHOICES, done, [first, *near[:4]], others, np.random.default_rng(0))
    assert second != promising(CHOICES, done, [], others, np.random.default_rng(0))


@pytest.mark.parametrize("same", [True, False])
def test_equal_or_few_trials_are_enough(same):
    done = [((0, 0, 0), (10.0, 1.0, 1e6)), ((2, 3, 2), (10.0, 1.0, 1e6) if same else (5.0, 2.0, 2e6))]
    assert promising(CHOICES, done, [], [(1, 1, 1)], np.random.default_rng(0)) == (1, 1, 1)


def test_a_large_space_is_looked_at_in_part():
    choices = [Choice(n, 1, n, tuple(range(10))) for n in "abcd"]
    points = list(itertools.product(range(10), repeat=4))
    done = [((1, 2, 3, 4), (10.0, 1.0, 1e6)), ((9, 9, 9, 9), (9.0, 2.0, 2e6))]
    assert promising(choices, done, [(0, 0, 0, 0)], points, np.random.default_rng(0)) in points
