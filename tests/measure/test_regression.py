"""Rows against a baseline's: only what is shown fails."""

import dataclasses

import pytest
from measured import row, run, samples

from edgewright.errors import DataError, GateFailed
from edgewright.measure.regression import Comparison, check, with_baseline
from edgewright.statistics.latency import compare


def test_a_baseline_of_another_model_or_of_other_rows_is_refused():
    here = run(row(samples(2.0)))
    with pytest.raises(DataError, match="the baseline is of the model bbbbbbbbbbbb"):
        with_baseline(here, run(row(samples(2.0)), source="b" * 64))
    with pytest.raises(DataError, match="no row of the artifacts"):
        with_baseline(here, run(row(samples(2.0), tokens=128)))


def test_only_a_shown_slow_down_beyond_the_limit_fails():
    before = run(row(samples(2.0, 10, seed=1)))
    check(with_baseline(run(row(samples(2.02, 10, seed=2))), before), 0.05)
    slower = with_baseline(run(row(samples(2.4, 10, seed=3))), before)
    with pytest.raises(GateFailed, match=r"onnx/fp32, 16 tokens, 1 thread: 1\.\d+ .* at most 1.05 is allowed"):
        check(slower, 0.05)
    check([dataclasses.replace(c, row=row(samples(2.4), grade="void")) for c in slower], 0.05)


def test_too_few_processes_show_nothing():
    found = compare(samples(2.0, 1), samples(4.0, 1))
    assert not found.shown
    assert isinstance(Comparison(row(samples(2.0)), row(samples(2.0)), found).ratio.value, float)
