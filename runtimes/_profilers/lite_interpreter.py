"""PyTorch's profiler over the lite interpreter, read as a `Trace`: the operators that a run calls itself."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

from edgewright.contracts.operators import Operator, Trace
from edgewright.statistics.latency import median

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["trace"]

_RUN = "edgewright run"


def trace(torch: Any, run: Callable[[], Any], runs: int) -> Trace:
    """Run without and with the profiler, after as many runs to warm up.

    Args:
        torch: the module.
        run: one inference.
        runs: how many to profile.
    """
    for _ in range(runs):
        run()
    took = []
    for _ in range(runs):
        begin = time.perf_counter_ns()
        run()
        took.append((time.perf_counter_ns() - begin) / 1e6)
    profiler = torch.profiler
    with profiler.profile(activities=[profiler.ProfilerActivity.CPU], record_shapes=True) as profiled:
        for _ in range(runs):
            with profiler.record_function(_RUN):
                run()
    whole = [event for event in profiled.events() if event.name == _RUN]
    run_ms = sum(event.time_range.elapsed_us() for event in whole) / len(whole) / 1e3
    calls = list(zip(*(_calls(event) for event in whole), strict=False))
    return Trace(
        tuple(_operator(at, same, whole[-1]) for at, same in enumerate(calls)), run_ms, median(sorted(took)), runs
    )


def _calls(run: Any) -> list[Any]:
    """What a run calls, in order: the interpreter takes the same way each time."""
    return sorted(run.cpu_children, key=lambda event: event.time_range.start)


def _operator(at: int, same: Sequence[Any], run: Any) -> Operator:
    last = same[-1]
    return Operator(
        name=f"{at} {last.name}",
        kind=last.name,
        layer="",
        start_ms=(last.time_range.start - run.time_range.start) / 1e3,
        time_ms=sum(event.time_range.elapsed_us() for event in same) / len(same) / 1e3,
        macs=_macs(last.name, [shape for shape in last.input_shapes if shape]),
    )


def _macs(kind: str, shapes: Sequence[Sequence[int]]) -> int:
    """Of products whose operands the profiler shows; quantized layers keep their weights to themselves."""
    if len(shapes) < 2:
        return 0
    if kind == "aten::linear":
        return math.prod(shapes[0]) * shapes[1][0]
    if kind in ("aten::matmul", "aten::bmm", "aten::mm"):
        return math.prod(shapes[0]) * shapes[1][-1]
    if kind == "aten::scaled_dot_product_attention":
        return 2 * math.prod(shapes[0]) * shapes[1][-2]
    return 0
