import math
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewright.statistics.latency import median, percentile, summarize

samples = st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=80)


@given(samples)
def test_the_numbers_stand_in_order(values):
    found = summarize(values)
    assert (found.n, found.minimum, found.maximum) == (len(values), min(values), max(values))
    assert found.minimum <= found.median <= found.maximum
    assert found.mad >= 0
    if found.low is not None:
        assert found.minimum <= found.low <= found.median <= found.high <= found.maximum
    if found.p90 is not None:
        assert found.median <= found.p90 <= found.maximum


@given(samples)
def test_what_is_a_sample_is_one_of_the_samples(values):
    found = summarize(values)
    assert {found.low, found.high, found.p90} - {None} <= set(values)


@given(samples)
def test_there_is_an_interval_from_6_and_a_percentile_from_29_samples(values):
    found = summarize(values)
    assert (found.low is None, found.high is None) == (len(values) < 6,) * 2
    assert (found.p90 is None) == (len(values) < 29)


@pytest.mark.parametrize(
    ("n", "interval", "p90"), [(5, False, False), (6, True, False), (28, True, False), (29, True, True)]
)
def test_the_borders_are_exact(n, interval, p90):
    found = summarize([float(i) for i in range(n)])
    assert (found.low is not None, found.p90 is not None) == (interval, p90)


@given(samples, st.randoms())
def test_the_order_of_the_samples_does_not_count(values, rng):
    shuffled = rng.sample(values, len(values))
    assert summarize(shuffled) == summarize(values)


@given(samples)
def test_the_median_is_the_standard_librarys(values):
    found = summarize(values)
    assert found.median == median(sorted(values)) == statistics.median(values)
    assert found.mad == statistics.median(abs(value - found.median) for value in values)


@given(samples, st.integers(1, 100))
def test_a_percentile_is_the_smallest_sample_that_so_many_do_not_exceed(values, percent):
    ordered = sorted(values)
    found = percentile(ordered, percent)
    wanted = percent * len(values)
    assert 100 * sum(value <= found for value in values) >= wanted
    smaller = [value for value in values if value < found]
    assert 100 * len(smaller) < wanted


def test_the_input_is_left_alone():
    values = [3.0, 1.0, 2.0]
    summarize(values)
    assert values == [3.0, 1.0, 2.0]


def test_a_hand_computed_summary():
    found = summarize([float(i) for i in range(1, 101)])
    assert (found.minimum, found.median, found.maximum) == (1.0, 50.5, 100.0)
    assert (found.low, found.high) == (40.0, 61.0)  # Le Boudec 2010, table A.1: n = 100, j = 40, k = 61
    assert (found.mad, found.p90) == (25.0, 90.0)


@pytest.mark.parametrize("n", [*range(6, 71), 100, 150, 500])
def test_the_interval_holds_the_median_with_95_percent(n):
    """Exact: the median is between the j-th and k-th of n samples with probability sum C(n, i) / 2^n for j <= i < k."""
    found = summarize([float(i) for i in range(1, n + 1)])
    chance = sum(math.comb(n, i) for i in range(int(found.low), int(found.high))) / 2**n
    assert chance >= 0.95


@pytest.mark.parametrize("n", [10, 50, 150])
def test_the_interval_covers_the_median_of_skewed_samples(n):
    rng = random.Random(11)
    rounds = 600
    summaries = [summarize([rng.lognormvariate(0, 1) for _ in range(n)]) for _ in range(rounds)]
    assert sum(s.low <= 1.0 <= s.high for s in summaries) / rounds >= 0.93
