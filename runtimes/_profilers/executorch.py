"""Times of ExecuTorch's instructions, read as a `Trace` without its event tracer, which the published wheel lacks.

A program that ends after its first k instructions is a program too: what the k-th takes is what it takes longer than
the one before. An instruction is a kernel, or all that a backend such as XNNPACK was given in one piece.
"""

from __future__ import annotations

import itertools
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from edgewright.contracts.operators import Operator, Trace
from edgewright.runtimes._profilers.pte import Method
from edgewright.statistics.latency import median

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Run = Callable[[], object]

__all__ = ["DELEGATE", "trace"]

DELEGATE = "XnnpackBackend"


def trace(path: Path, opened: Callable[[Path], Run], plain: Run, runs: int) -> Trace:
    """Run the program with its first instructions only, one more each time, after as many runs to warm up.

    Args:
        path: a .pte file.
        opened: opens such a file, and gives one inference of its method `forward`.
        plain: one inference of the session that users get.
        runs: how many to time of each.
    """
    method = Method(path.read_bytes(), "forward")
    plain_ms = _median_ms(plain, runs)
    took = []
    with tempfile.TemporaryDirectory() as scratch:
        for count in range(len(method.calls) + 1):
            cut = Path(scratch) / "cut.pte"
            cut.write_bytes(method.first(count))
            took.append(_median_ms(opened(cut), runs))
            cut.unlink()  # a program that is open keeps what it has mapped
    until = _rising(took)
    operators = tuple(
        Operator(f"{at} {call.name}", call.name, "", until[at], until[at + 1] - until[at], ran_by=call.delegate)
        for at, call in enumerate(method.calls)
    )
    return Trace(operators, until[-1], plain_ms, runs, delegate=DELEGATE)


def _rising(took: Sequence[float]) -> list[float]:
    """Times that never fall, and end with the whole one: a longer program cannot be done sooner."""
    return [min(most, took[-1]) for most in itertools.accumulate(took, max)]


def _median_ms(run: Run, runs: int) -> float:
    for _ in range(runs):
        run()
    took = []
    for _ in range(runs):
        begin = time.perf_counter_ns()
        run()
        took.append(time.perf_counter_ns() - begin)
    return median(sorted(took)) / 1e6
