"""Searches replayed on a table of real trials: with as many trials, more of the front than random search finds."""

import importlib.util
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / "tools/search_baseline.py"
TRIALS, SEEDS = 8, range(5)


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("search_baseline", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.heavy
@pytest.mark.slow  # the demo model is opened, for which a child imports torch
def test_every_point_of_the_space_stands_in_the_table(tool):
    replay = tool.Replay()
    assert all(replay.row(point)["size_bytes"] > 0 for point in replay.space.points)
    assert replay.volume("random", 0, len(replay.space.points)) == pytest.approx(1.0)


@pytest.mark.heavy
@pytest.mark.slow
def test_the_search_finds_a_larger_hypervolume_than_random_in_four_of_five_seeds(tool):
    replay = tool.Replay()
    ours, random = ([replay.volume(sampler, seed, TRIALS) for seed in SEEDS] for sampler in ("model", "random"))
    assert sum(a > b for a, b in zip(ours, random, strict=True)) >= 4, (ours, random)


def test_the_sign_test_is_the_binomials_tail(tool):
    assert tool.sign_test(5, 0) == 1 / 32
    assert tool.sign_test(4, 1) == 6 / 32
