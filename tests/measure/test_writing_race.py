"""The choice among artifacts that write; `e2e/test_decoders.py` races real ones."""

import pytest
from measured import ARTIFACT

from edgewright.bundle.bundle import Bundle
from edgewright.measure import writing_race
from edgewright.measure.race import Rules
from edgewright.measure.writing import WritingPlan, WritingRow
from edgewright.statistics.latency import summarize

PLAN = WritingPlan(prompts=(8, 32), processes=5, threads=(1, 2, 4))
TAKES = {1: (100.0, 400.0), 2: (50.0, 450.0), 4: (1.0, 2000.0)}
"""Of each number of threads the milliseconds of an answer at either prompt: means of 200, 150 and 45."""


def row(threads, prompt, takes_ms, processes):
    return WritingRow(
        artifact=ARTIFACT, engine="onnxruntime", version="1", threads=threads, prompt=prompt, read_per_s=1.0,
        written_per_s=1.0, token_ms=summarize([1.0]), first_third_per_s=1.0, last_third_per_s=1.0, load_ms=1.0,
        first_ms=1.0, peak_rss_mib=80.0 * threads, answers_ms=(takes_ms,) * processes, written=8, grade="A", reasons=(),
    )  # fmt: skip


@pytest.fixture
def asked(monkeypatch, bundle_dir):
    found = []

    def measured(_, targets, plan, progress):
        del progress
        found.append((plan.processes, [threads for _, threads in targets]))
        return [
            [row(threads, prompt, ms, plan.processes) for prompt, ms in zip(plan.prompts, TAKES[threads], strict=True)]
            for _, threads in targets
        ]

    monkeypatch.setattr(writing_race, "measured_writing", measured)
    monkeypatch.setattr(writing_race, "check_writing", lambda *_: None)
    return Bundle.open(bundle_dir), found


def test_the_geometric_mean_over_prompts_decides_and_the_hopeless_leave(asked):
    bundle, found = asked
    winner, *others = writing_race.race_writing(bundle, PLAN)
    assert (winner.target.threads, winner.lost, winner.median_ms) == (4, "", pytest.approx(2000**0.5))
    assert [one.lost for one in others] == [
        "3.35 times the best after 1 process",
        "4.47 times the best after 1 process",
    ]
    assert found == [(1, [1, 2, 4]), (5, [4])]


def test_a_limit_of_memory_takes_the_fastest_out(asked):
    bundle, _ = asked
    winner, *_ = writing_race.race_writing(bundle, PLAN, Rules(max_ram_mib=100.0))
    assert winner.target.threads == 1
