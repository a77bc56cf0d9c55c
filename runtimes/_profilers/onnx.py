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
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["layers", "parameter_bytes", "trace"]

_PRODUCTS = ("MatMul", "Gemm")
_SUFFIX = "_kernel_time"
_CACHE_AXES = 4
"""Queries, keys and values have three."""
_FLOAT_BYTES = 4
"""What attention gives is float32, whatever the cache holds."""


def parameter_bytes(session: Any) -> dict[str, int]:
    """The bytes of the weights of each node, of a session that has run with its profiler on and packs none.

    What ONNX Runtime packs for its kernels it counts no more.
    """
    nodes = [event for event in _events(session) if event.get("cat") == "Node" and event["name"].endswith(_SUFFIX)]
    return {event["name"].removesuffix(_SUFFIX): int(event["args"].get("parameter_size", 0)) for event in nodes}


def _events(session: Any) -> list[Mapping[str, Any]]:
    events: list[Mapping[str, Any]] = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    return events


def trace(
    plain: Callable[[], object],
    profiled: Callable[[], object],
    session: Any,
    runs: int,
    layer: Mapping[str, str],
    weights: Mapping[str, int],
) -> Trace:
    """Run two sessions of one file, the second with its profiler on.

    Args:
        plain: one run of the first.
        profiled: one of the second.
        session: the second, an `InferenceSession` whose profile goes to a directory that the caller removes.
        runs: how many runs to profile, after as many to warm up.
        layer: the module of each node by the node's name.
        weights: the bytes of its weights, see `parameter_bytes`.
    """
    for _ in range(runs):
        plain()
    took = []
    for _ in range(runs):
        begin = time.perf_counter_ns()
        plain()
        took.append((time.perf_counter_ns() - begin) / 1e6)
    for _ in range(2 * runs):
        profiled()
    operators, run_ms = _read(_events(session), runs, layer, weights)
    return Trace(operators, run_ms, median(sorted(took)), runs, session.get_providers()[0])


def _read(
    events: Sequence[Mapping[str, Any]], runs: int, layer: Mapping[str, str], weights: Mapping[str, int]
) -> tuple[tuple[Operator, ...], float]:
    """The last runs of a profile, each node's time averaged over them, and what a run took."""
    whole = [event for event in events if event["name"] == "model_run"][-runs:]
    first = whole[0]["ts"]
    nodes: dict[str, list[Mapping[str, Any]]] = {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith(_SUFFIX) and event["ts"] >= first:
            nodes.setdefault(event["name"].removesuffix(_SUFFIX), []).append(event)
    begin = whole[-1]["ts"]
    operators = []
    for name, found in nodes.items():
        last, kind = found[-1]["args"], found[-1]["args"]["op_name"]
        given, made = _shapes(last, "input_type_shape"), _shapes(last, "output_type_shape")
        operators.append(
            Operator(
                name=name,
                kind=kind,
                layer=layer.get(name, ""),
                start_ms=(found[-1]["ts"] - begin) / 1e3,
                time_ms=sum(event["dur"] for event in found) / runs / 1e3,
                macs=_macs(kind, given, made),
                moved_bytes=_moved(kind, last, made, weights.get(name, 0)),
                ran_by=last.get("provider", ""),
            )
        )
    return tuple(sorted(operators, key=lambda o: o.start_ms)), sum(event["dur"] for event in whole) / runs / 1e3


def _moved(kind: str, args: Mapping[str, Any], made: Sequence[Sequence[int]], weights: int) -> int:
    """Bytes that are read and written: of a table the rows that are wanted, of a cache in place what is new."""
    given, written = int(args.get("activation_size", 0)), int(args.get("output_size", 0))
    if kind.startswith("Gather"):
        return given + 2 * written
    if kind == "GroupQueryAttention":
        return given + _FLOAT_BYTES * math.prod(made[0])
    return given + weights + written


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
    if kind == "GroupQueryAttention":  # its cache as (batch, heads, length, width), behind one or three of (batch, ...)
        return 2 * math.prod(made[0]) * next((shape[2] for shape in given if len(shape) == _CACHE_AXES), 0)
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
