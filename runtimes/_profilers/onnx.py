"""ONNX Runtime's profiler, read as a `Trace`, with the layers that an artifact's own names tell.

The profiler (onnxruntime.ai/docs/performance/tune-performance/profiling-tools.html) writes one event for each node of
each run, in whole microseconds, with the shapes and bytes that went through it.
"""

from __future__ import annotations

import json
import math
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgewright.contracts.operators import Operator, Trace
from edgewright.statistics.latency import median

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["layers", "trace"]

_PRODUCTS = ("MatMul", "Gemm")
_SUFFIX = "_kernel_time"


def trace(plain: Any, profiled: Any, feeds: Mapping[str, Any], runs: int, layer: Mapping[str, str]) -> Trace:
    """Run two sessions of one file, the second with its profiler on.

    Args:
        plain: an `InferenceSession`.
        profiled: another, whose profile goes to a directory that the caller removes.
        feeds: arrays by name, as the session takes them.
        runs: how many runs to profile, after as many to warm up.
        layer: the module of each node by the node's name.
    """
    for _ in range(runs):
        plain.run(None, feeds)
    took = []
    for _ in range(runs):
        begin = time.perf_counter_ns()
        plain.run(None, feeds)
        took.append((time.perf_counter_ns() - begin) / 1e6)
    for _ in range(2 * runs):
        profiled.run(None, feeds)
    events = json.loads(Path(profiled.end_profiling()).read_text(encoding="utf-8"))
    return _read(events, runs, median(sorted(took)), layer, profiled.get_providers()[0])


def _read(
    events: Sequence[Mapping[str, Any]], runs: int, plain_ms: float, layer: Mapping[str, str], delegate: str
) -> Trace:
    """The last runs of a profile, each node's time averaged over them."""
    whole = [event for event in events if event["name"] == "model_run"][-runs:]
    first = whole[0]["ts"]
    nodes: dict[str, list[Mapping[str, Any]]] = {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith(_SUFFIX) and event["ts"] >= first:
            nodes.setdefault(event["name"].removesuffix(_SUFFIX), []).append(event)
    begin = whole[-1]["ts"]
    operators = [_operator(name, found, runs, begin, layer.get(name, "")) for name, found in nodes.items()]
    run_ms = sum(event["dur"] for event in whole) / runs / 1e3
    return Trace(tuple(sorted(operators, key=lambda o: o.start_ms)), run_ms, plain_ms, runs, delegate)


def _operator(name: str, found: Sequence[Mapping[str, Any]], runs: int, begin: int, layer: str) -> Operator:
    last = found[-1]["args"]
    moved = sum(int(last.get(key, 0)) for key in ("activation_size", "parameter_size", "output_size"))
    return Operator(
        name=name,
        kind=last["op_name"],
        layer=layer,
        start_ms=(found[-1]["ts"] - begin) / 1e3,
        time_ms=sum(event["dur"] for event in found) / runs / 1e3,
        macs=_macs(last["op_name"], _shapes(last, "input_type_shape"), _shapes(last, "output_type_shape")),
        moved_bytes=moved,
        ran_by=last.get("provider", ""),
    )


def _shapes(args: Mapping[str, Any], key: str) -> list[list[int]]:
    return [shape for value in args.get(key, ()) for shape in value.values()]


def _macs(kind: str, given: Sequence[Sequence[int]], made: Sequence[Sequence[int]]) -> int:
    """A product's are its outputs times the width that is summed over; attention's are of its two products."""
    if not given or not made or not given[0] or not made[0]:
        return 0
    if any(word in kind for word in _PRODUCTS):
        return math.prod(made[0]) * given[0][-1]
    if kind == "Attention":  # opset 23: query and key as (batch, length, heads x width)
        return 2 * math.prod(made[0]) * given[min(1, len(given) - 1)][-2]
    return 0


def layers(path: Path, said: Mapping[str, str]) -> dict[str, str]:
    """The module of each node of an ONNX file: as its own metadata says, written when it was built.

    A file of an older edgewright has none: then they are worked out, where the package `onnx` is installed.
    """
    from edgewright.bundle.onnx_layers import LAYERS, layers_of, unpacked  # an answer waits for every import up there

    if LAYERS in said:
        return unpacked(said[LAYERS])
    if path.suffix != ".onnx" or find_spec("onnx") is None:
        return {}
    import onnx

    return layers_of(onnx.load(str(path), load_external_data=False).graph)
