"""Studies in memory: trials that fail or are hopeless, fronts, winners, and whose process is dead."""

import itertools
import random

import pytest
from search_worker import found, study

from edgewright.errors import ConversionFailed, GateFailed
from edgewright.searching.front import Limits, Trial, front, hypervolume, winner
from edgewright.searching.halving import verdict
from edgewright.searching.process import is_dead, this_process
from edgewright.searching.trial import Cost


def test_a_trial_that_cannot_be_built_is_recorded_and_the_study_goes_on():
    def evaluate(point, _):
        if point[1] == 3:
            raise ConversionFailed("no kernel for 8 heads", hint="take fewer")
        if point[0] == 0:
            raise RuntimeError("shapes\ndiffer")
        return found(point)

    one = study("")
    one.run(100, evaluate)
    trials = one.trials()
    assert len(trials) == len({trial.point for trial in trials}) == 24
    reasons = {trial.point: trial.reason for trial in trials}
    assert reasons[1, 3, 0] == "no kernel for 8 heads; take fewer"
    assert reasons[0, 0, 0] == "RuntimeError: shapes differ"
    assert {trial.state for trial in trials if trial.reason} == {"failed"}
    assert sum(trial.state == "complete" for trial in trials) == 12


def test_a_hopeless_trial_is_pruned_and_says_why():
    def evaluate(point, watch):
        score = found(point).score - 50 * (point[0] == 2)
        for step in (0, 5, 10):
            watch(Cost(1.0 + point[0], 1.0), 2, step, 10, score)
        return found(point)

    one = study("", sampler="random")
    one.run(24, evaluate)
    pruned = [trial for trial in one.trials() if trial.state == "pruned"]
    assert len(pruned) >= 4
    assert any(trial.point[0] == 2 for trial in pruned)
    assert all("after 0.50 of step 2; of" in trial.reason for trial in pruned)


def test_the_cheapest_is_never_held_against_dearer_ones():
    dear = [(Cost(2.0, 8.0), {"0.50": 90.0})] * 9
    assert verdict("0.50", 60.0, Cost(1.0, 8.0), dear) == ""
    assert verdict("0.50", 60.0, Cost(2.0, 4.0), dear) == ""
    assert "of 9 no dearer ones half have 90.00" in verdict("0.50", 60.0, Cost(2.0, 8.0), dear)
    assert verdict("0.50", 90.0, Cost(2.0, 8.0), dear) == ""
    assert verdict("0.25", 60.0, Cost(2.0, 8.0), dear) == ""
    assert verdict("0.50", 60.0, Cost(2.0, 8.0), dear[:3]) == ""


def test_a_process_is_known_to_be_dead_here_alone():
    mine = this_process()
    assert not is_dead(mine)
    assert is_dead(mine.rpartition(" ")[0] + " 1")
    assert is_dead(" ".join((*mine.split()[:2], "4194999", "17")))
    assert not is_dead("another-boot " + mine.partition(" ")[2])
    assert not is_dead("")


# fronts


def trial(number, score, latency_ms, size_bytes):
    return Trial(number, "complete", {}, (number,), "", score, latency_ms, size_bytes)


def test_the_front_holds_what_nothing_beats():
    trials = [trial(0, 90, 3, 30), trial(1, 90, 3, 30), trial(2, 80, 1, 10), trial(3, 79, 1, 10), trial(4, 85, 2, 40)]
    failed = Trial(5, "failed", {}, (5,), "no")
    assert [one.number for one in front([*trials, failed])] == [0, 1, 4, 2]


def test_the_winner_is_the_best_within_the_limits_or_the_knee():
    trials = [trial(0, 90, 100, 1000), trial(1, 89, 10, 100), trial(2, 60, 9, 90)]
    assert winner(trials, Limits()).number == 1
    assert winner(trials, Limits(max_ms=50)).number == 1
    assert winner(trials, Limits(max_mb=1)).number == 0
    assert winner(trials, Limits(max_mb=95e-6)).number == 2
    with pytest.raises(GateFailed, match=r"none of 3 trials .* trial 0: 100 ms, at most 5; trial 1: 10 ms, at most 5"):
        winner(trials, Limits(max_ms=5))
    with pytest.raises(GateFailed, match=r"none of 3 .*score 90.00, at least 95"):
        winner(trials, Limits(min_score=95))
    with pytest.raises(GateFailed, match="no trial came to its end; the last reason: no"):
        winner([Trial(5, "failed", {}, (5,), "no")], Limits())


def test_the_hypervolume_is_that_of_counted_cells():
    rng = random.Random(1)
    for _ in range(30):
        points = [tuple(rng.randrange(7) for _ in range(3)) for _ in range(rng.randrange(8))]
        cells = itertools.product(range(6), repeat=3)
        counted = sum(any(all(a <= c for a, c in zip(p, cell, strict=True)) for p in points) for cell in cells)
        assert hypervolume(points, (6, 6, 6)) == counted
