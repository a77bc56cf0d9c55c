"""How far a row can be trusted, from what the machine did while it was made.

After MLPerf's and Krun's rules (Barrett et al. 2017): a row from a machine that was throttled, swapped, slowed down or
shared is void. It is kept, and says so; nothing is averaged away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from edgewright.statistics.latency import median
from edgewright.system.words import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgewright.measure.rows import MachineState
    from edgewright.statistics.latency import Summary

    Grade: TypeAlias = Literal["A", "B", "C", "void"]

__all__ = ["drift", "grade", "spread"]

_MOST = 0.05
"""Of a drift, of a fall of the clock, of the machine's time that others take."""

_STEADY = 0.02
"""A choice: two processes that agree so well tell a gain of 5 % from noise."""
_PROCESSES = {"A": 5, "B": 3}
"""Fresh processes, a choice: three show that one is a stray, five outvote two."""


def grade(
    samples_ms: Sequence[Sequence[float]],
    latency_ms: Summary,
    states: Sequence[Mapping[str, MachineState]],
    others: Sequence[float],
    *,
    growing: bool = False,
) -> tuple[Grade, tuple[str, ...]]:
    """The grade of a row and the reasons why it is no better.

    Args:
        samples_ms: the runs of each process in their order.
        latency_ms: the summary of them all.
        states: `before` and `after` the timed runs of each process.
        others: the part of the machine's time that other processes took while each process was timed.
        growing: whether each run has more to do than the one before it, so that a drift says nothing.
    """
    void = [*_machine(states), *_shared(others), *([] if growing else _drifted(samples_ms))]
    if void:
        return "void", tuple(void)
    reasons = []
    if len(samples_ms) < _PROCESSES["A"]:
        reasons.append(f"{counted(len(samples_ms), 'process')}, {_PROCESSES['A']} are wanted for A")
    noise = spread(samples_ms)
    if noise > _STEADY:
        reasons.append(f"processes differ by {noise:.1%}, at most {_STEADY:.0%} for A")
    if latency_ms.low is None:
        reasons.append(f"{latency_ms.n} runs carry no interval")
    worst: Grade = "A" if not reasons else "B"
    if len(samples_ms) < _PROCESSES["B"] or noise > _MOST or latency_ms.low is None:
        worst = "C"
    return worst, tuple(reasons)


def spread(samples_ms: Sequence[Sequence[float]]) -> float:
    """Half of the range of the processes' medians, as a part of the median: what one run may differ from the next."""
    medians = sorted(median(sorted(process)) for process in samples_ms)
    return (medians[-1] - medians[0]) / 2 / median(medians)


def drift(samples: Sequence[float]) -> float:
    """The median of the last third over that of the first, minus 1."""
    third = len(samples) // 3
    return median(sorted(samples[-third:])) / median(sorted(samples[:third])) - 1 if third else 0.0


def _drifted(samples_ms: Sequence[Sequence[float]]) -> list[str]:
    """Whether the processes, in the median, became slower or faster: one alone may have met a short disturbance."""
    found = median(sorted(drift(process) for process in samples_ms))
    return [f"the last third of the runs differs from the first by {found:+.1%}"] if abs(found) > _MOST else []


def _shared(others: Sequence[float]) -> list[str]:
    worst = max(others, default=0.0)
    return [f"other processes took {worst:.0%} of the machine"] if worst > _MOST else []


def _machine(states: Sequence[Mapping[str, MachineState]]) -> list[str]:
    found = {}
    for state in states:
        before, after = state["before"], state["after"]
        if (after.swapped_pages or 0) > (before.swapped_pages or 0):
            found["swap"] = f"{(after.swapped_pages or 0) - (before.swapped_pages or 0)} pages were swapped"
        if after.throttled is not None and _throttled(before.throttled or 0, after.throttled):
            found["throttled"] = (
                f"the processor was throttled or under-voltage: get_throttled says {after.throttled:#x}"
            )
        stopped = (after.stopped_periods or 0) - (before.stopped_periods or 0)
        if stopped > 0:
            found["stopped"] = f"a quota of the control group stopped the process in {stopped} periods (cpu.stat)"
        if before.clock_mhz and after.clock_mhz and after.clock_mhz < (1 - _MOST) * before.clock_mhz:
            found["clock"] = f"the clock fell from {before.clock_mhz:.0f} to {after.clock_mhz:.0f} MHz"
    return list(found.values())


def _throttled(before: int, after: int) -> bool:
    """Bits 0 to 3 say what is so now, bits 16 to 19 what was since the start: of these only new ones count."""
    return bool(after & 0xF or (after & ~before) & 0xF0000)
