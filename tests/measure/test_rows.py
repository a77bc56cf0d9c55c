"""Rows of a measurement: their file, their grade, two of them held against each other."""

import collections
import itertools
import json
import random
from pathlib import Path

import pytest
from measured import ARTIFACT, row, run, samples

from edgewright.bundle.bundle import Bundle
from edgewright.errors import DataError, DeviceError
from edgewright.measure import regression as comparison
from edgewright.measure.bench import Measured
from edgewright.measure.plan import Plan, Target
from edgewright.measure.rows import read, write
from edgewright.statistics.latency import _rank_sums, compare


def test_a_file_of_rows_is_read_as_it_was_written(tmp_path):
    made = run(row(samples(2.0)), row(samples(3.0), tokens=128))
    write(made, tmp_path / "rows.json")
    assert read(tmp_path / "rows.json") == made
    assert [path.name for path in tmp_path.iterdir()] == ["rows.json"]


def test_a_bad_file_of_rows_is_refused_in_one_line(tmp_path):
    path = tmp_path / "rows.json"
    write(run(row(samples(2.0))), path)
    good = path.read_bytes()
    tree = json.loads(good)
    for bad, words in (
        (good[: len(good) // 2], "not acceptable JSON"),
        (json.dumps({**tree, "schema": 99}).encode(), "schema 99, this edgewright reads up to 1"),
        (json.dumps({**tree, "html": "<script>"}).encode(), "html"),
        (json.dumps({**tree, "device": "x" * 5000}).encode(), "device"),
        (b"[]", "rows.json"),
    ):
        path.write_bytes(bad)
        with pytest.raises(DataError, match=words):
            read(path)
    with pytest.raises(DataError, match="cannot read"):
        read(tmp_path / "none.json")


RECORDED = json.loads((Path(__file__).parent / "recorded_processes.json").read_text())["median_ms"]
"""Medians of fresh processes that ran one artifact in turn: the demo model in int8, 16 tokens, on a shared server."""


def draw(rng, times=1.0):
    """Ten processes as they were recorded, each with a run."""
    return [[times * median] for median in rng.sample(RECORDED, 10)]


def test_of_recorded_runs_equal_ones_are_told_apart_in_at_most_5_of_100_and_a_tenth_in_at_least_95():
    rng = random.Random(0)
    equal = [compare(draw(rng), draw(rng)) for _ in range(500)]
    slower = [compare(draw(rng, 1.1), draw(rng)) for _ in range(500)]
    assert sum(found.shown for found in equal) <= 25
    assert sum(found.low > 1 for found in slower) >= 475


@pytest.mark.parametrize("n", [2, 5, 6])
def test_the_ranks_are_counted_as_they_fall(n):
    """Every order of n and 4 observations, by hand."""
    found = collections.Counter(
        sum(a > b for a in first for b in set(range(n + 4)) - set(first))
        for first in itertools.combinations(range(n + 4), n)
    )
    assert _rank_sums(n, 4) == [found[at] for at in range(n * 4 + 1)]


def test_a_disturbed_process_does_not_hide_a_difference():
    ours, theirs = samples(2.2, 10, 1), [*samples(2.0, 9, 2), [3.5] * 50]
    assert compare(ours, theirs).low > 1.05


def test_the_inputs_of_a_row_are_whole_whatever_its_file_is_called():
    assert row(samples(2.0), data="a, b.txt").inputs == "texts of a, b.txt"
    assert row(samples(2.0), tokens=64).inputs == "64 tokens"


def test_bundles_are_not_compared_where_one_of_them_did_not_run(bundle_dir, monkeypatch):
    """Else the table would be shorter, and say nothing."""
    plan, kinds = Plan(tokens=(16,)), Target(Bundle.open(bundle_dir), None, ARTIFACT, 1)
    monkeypatch.setattr(comparison, "targets_of", lambda *_: [kinds])
    monkeypatch.setattr(comparison, "measured", lambda *_: Measured([[row(samples(2.0))], []], ["onnx/fp32: it died"]))
    with pytest.raises(DeviceError, match="onnx/fp32: it died; both bundles have to run"):
        comparison.bench_against(bundle_dir, bundle_dir, plan)
    monkeypatch.setattr(comparison, "measured", lambda *_: Measured([[row(samples(2.0))]] * 2, [], "the way broke"))
    with pytest.raises(DeviceError, match="the way broke"):
        comparison.bench_against(bundle_dir, bundle_dir, plan)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda row: row.update(samples_ms=[]), "a process without a sample"),
        (lambda row: row.update(samples_ms=[[1.0], []]), "a process without a sample"),
        (lambda row: row.update(samples_ms=[[0.0, 1.0]]), "a time that no run takes"),
        (lambda row: row.update(samples_ms=[[1e300]]), "a time that no run takes"),
        (lambda row: row.update(cpu_ms=[-1.0]), "a processor's time that no run takes"),
        (lambda row: row.update(energies_mj=[1e13]), "an energy that no run takes"),
        (lambda row: row["latency_ms"].update(median=-1.0), "a time that no run takes"),
        (lambda row: row["latency_ms"].update(high=None), "an interval with one end"),
    ],
)
def test_a_row_that_says_what_cannot_be_is_refused(tmp_path, spoil, words):
    path = tmp_path / "rows.json"
    write(run(row(samples(2.0))), path)
    tree = json.loads(path.read_text())
    spoil(tree["rows"][0])
    path.write_text(json.dumps(tree))
    with pytest.raises(DataError, match=rf"rows\.json: {words} - at `\$\.rows\[0\]`"):
        read(path)
