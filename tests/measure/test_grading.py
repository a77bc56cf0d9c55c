"""How far a row can be trusted."""

import msgspec
import pytest
from measured import STEADY, row, samples

from edgewright.measure.grading import drift, grade
from edgewright.measure.rows import MachineState
from edgewright.statistics.latency import summarize


@pytest.mark.parametrize(
    ("change", "others", "words"),
    [
        ({}, 0.5, "other processes took 50% of the machine"),
        ({"swapped_pages": 9}, 0.0, "2 pages were swapped"),
        ({"clock_mhz": 1800.0}, 0.0, "the clock fell from 2000 to 1800 MHz"),
        ({"throttled": 0x50005}, 0.0, "throttled or under-voltage"),
        ({"throttled": 0x40000}, 0.0, "throttled or under-voltage"),
    ],
)
def test_a_machine_that_was_not_itself_voids_the_row(change, others, words):
    found = samples(2.0)
    flat = summarize([sample for process in found for sample in process])
    after = msgspec.structs.replace(STEADY["after"], **change)
    mark, reasons = grade(found, flat, [{**STEADY, "after": after}], [others])
    assert mark == "void"
    assert words in reasons[0]


def test_a_bit_that_was_set_before_the_run_does_not_count():
    found = samples(2.0, noise=0.001)
    flat = summarize([sample for process in found for sample in process])
    states = {when: MachineState(throttled=0x50000) for when in ("before", "after")}
    assert grade(found, flat, [states], [0.0]) == ("A", ())


def test_a_drift_voids_and_few_processes_lower_the_grade():
    slower = tuple(tuple(2 + 0.01 * at for at in range(60)) for _ in range(5))
    assert row(slower).grade == "void"
    assert drift(slower[0]) == pytest.approx(0.4 / 2.095, rel=0.1)
    assert row(samples(2.0, noise=0.001)).grade == "A"
    assert row(samples(2.0, 3, noise=0.001)).grade == "B"
    assert row(samples(2.0, 2, noise=0.001)).grade == "C"
